// The second and third launch of expert_gemm.cpp on rounded rows, included behind the products of one form (int8.h,
// bf16.h): the second rounds what it makes, the third reads that. A tile of the second is 32 of the inner dimension, a
// block of the third's rows.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/math.h"
#include "kernels/expert_gemm/cpu/params.h"
#include "kernels/expert_gemm/cpu/work.h"

namespace switchyard::kernels::SY_ISA {

using kernels::expert_gemm::CpuParams;

SY_INLINE void expert_hidden_rounded(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* x = static_cast<const Byte*>(a->pointers[0]);
  const auto* plan = static_cast<const std::int32_t*>(a->pointers[3]);
  auto* hidden = static_cast<Byte*>(a->pointers[4]);
  const auto type = static_cast<DType>(p.dtype);
  const std::uint64_t group = rows16_bytes(type, p.width), stride = input_row_bytes(p.width),
                      hidden_stride = input_row_bytes(p.inner), groups = p.inner / 16;
  auto* block = static_cast<float*>(a->thread_scratch);  // [rows][32]
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const Work work = work_of(tile, plan, p, p.inner, 32);
    if (work.rows == 0) continue;
    const Byte* gate = static_cast<const Byte*>(a->pointers[1]) + work.slot * groups * group * (p.separate_up ? 1 : 2);
    const Byte* up =
        p.separate_up ? static_cast<const Byte*>(a->pointers[2]) + work.slot * groups * group : gate + groups * group;
    if (work.rows <= few_rows && (tile == a->first_tile || work.first == 0)) {
      ask_for(gate + work.first / 16 * group);
      ask_for(up + work.first / 16 * group);
    }
    // A strip of rows at a time, so that its halves meet in the cache.
    for (std::int64_t begin = 0; begin < work.rows; begin += hidden_strip) {
      const std::int64_t rows = work.rows - begin < hidden_strip ? work.rows - begin : hidden_strip;
      for (std::uint32_t half = 0; half < 2; ++half) {
        const std::uint64_t g = work.first / 16 + half;
        const Byte* const w[2] = {gate + g * group, up + g * group};
        multiply_pair(
            type, w, p.width, rows,
            [&](std::int64_t r)
                SY_LAMBDA { return x + static_cast<std::uint64_t>(work.entries[begin + r]) / p.k * stride; },
            [&](std::int64_t r, const float* one, const float* other) SY_LAMBDA {
              float* to = block + r * 32 + half * 16;
              for (int i = 0; i < 16; ++i) to[i] = silu(one[i]) * other[i];
            });
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        Byte* row = hidden + static_cast<std::uint64_t>(work.entries[begin + r]) * hidden_stride;
        round_32(block + r * 32, row, p.inner, work.first);
      }
    }
  }
}

SY_INLINE void expert_down_rounded(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* hidden = static_cast<const Byte*>(a->pointers[0]);
  const auto* plan = static_cast<const std::int32_t*>(a->pointers[2]);
  auto* parts = static_cast<float*>(a->pointers[3]);
  const auto type = static_cast<DType>(p.down_dtype);
  const std::uint64_t group = rows16_bytes(type, p.inner), stride = input_row_bytes(p.inner);
  const std::uint32_t groups = (p.width + 15) / 16;
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const Work work = work_of(tile, plan, p, p.width, 32);
    if (work.rows == 0) continue;
    const Byte* down = static_cast<const Byte*>(a->pointers[1]) + std::uint64_t{work.slot} * groups * group;
    const std::uint32_t first = work.first / 16, second = first + 1 == groups ? first : first + 1;
    const Byte* const w[2] = {down + first * group, down + second * group};
    if (work.rows <= few_rows && (tile == a->first_tile || first == 0)) ask_for(w[0]);
    auto finish = [&](float* to, std::uint32_t n, const float* v) SY_LAMBDA {
      const std::uint32_t count = p.width - n < 16 ? p.width - n : 16;
      if (count == 16)
        std::memcpy(to + n, v, 64);
      else
        std::memcpy(to + n, v, count * 4);
    };
    multiply_pair(
        type, w, p.inner, work.rows,
        [&](std::int64_t r) SY_LAMBDA {
          const auto entry = static_cast<std::uint64_t>(work.entries[r]);
          expect(parts + entry * p.width + first * 16);
          expect(parts + entry * p.width + second * 16);
          return hidden + entry * stride;
        },
        [&](std::int64_t r, const float* one, const float* other) SY_LAMBDA {
          float* to = parts + static_cast<std::uint64_t>(work.entries[r]) * p.width;
          finish(to, first * 16, one);
          if (second != first) finish(to, second * 16, other);
        });
  }
}

}  // namespace switchyard::kernels::SY_ISA
