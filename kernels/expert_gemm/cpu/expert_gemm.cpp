// Four launches: sort the (row, choice) entries by expert; gate and up with SwiGLU, per expert and block of columns;
// down, likewise; the weighted sum of a row's choices in the order of its list. An entry's numbers depend on its row
// alone.
#include "hal/call.h"
#include "kernels/common/cpu/dots.h"
#include "kernels/common/cpu/math.h"
#include "kernels/expert_gemm/cpu/params.h"
#include "kernels/expert_gemm/cpu/work.h"

namespace switchyard::kernels::SY_ISA {
namespace {

using kernels::expert_gemm::CpuParams;
using kernels::expert_gemm::plan_active;
using kernels::expert_gemm::plan_begin;
using kernels::expert_gemm::plan_entries;

SY_INLINE std::int32_t slot_of(std::int32_t expert, const std::int32_t* local) {
  return local ? local[expert] : expert;
}

}  // namespace

void expert_plan(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const std::int64_t entries = row_count(p.rows, a->dims) * p.k;
  const auto* index = static_cast<const std::int32_t*>(a->pointers[0]);
  const auto* local = static_cast<const std::int32_t*>(a->pointers[1]);
  auto* plan = static_cast<std::int32_t*>(a->pointers[2]);
  std::int32_t* begin = plan + plan_begin(p.slots);
  std::int32_t* sorted = plan + plan_entries(p.slots);
  for (std::uint32_t s = 0; s <= p.slots; ++s) begin[s] = 0;
  for (std::int64_t e = 0; e < entries; ++e) {
    const std::int32_t slot = slot_of(index[e], local);
    if (slot >= 0) ++begin[slot + 1];
  }
  std::int32_t active = 0;
  for (std::uint32_t s = 0; s < p.slots; ++s) {
    if (begin[s + 1] != 0) plan[plan_active + static_cast<std::uint32_t>(active++)] = static_cast<std::int32_t>(s);
    begin[s + 1] += begin[s];
  }
  plan[0] = active;
  // begin[s] runs ahead while entries are placed, up to where s + 1 begins; then all are moved up by one.
  for (std::int64_t e = 0; e < entries; ++e) {
    const std::int32_t slot = slot_of(index[e], local);
    if (slot >= 0) sorted[begin[slot]++] = static_cast<std::int32_t>(e);
  }
  for (std::uint32_t s = p.slots; s > 0; --s) begin[s] = begin[s - 1];
  begin[0] = 0;
}

void expert_hidden(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* x = static_cast<const float*>(a->pointers[0]);
  const auto* plan = static_cast<const std::int32_t*>(a->pointers[3]);
  auto* hidden = static_cast<float*>(a->pointers[4]);
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const Work work = work_of(tile, plan, p, p.inner, p.tile);
    if (work.rows == 0) continue;
    Weights gate = weights(a->pointers[1], p.dtype, p.width), up = weights(a->pointers[2], p.dtype, p.width);
    const std::uint64_t rows = p.separate_up ? p.inner : 2 * p.inner;
    if (!p.separate_up) up.rows = gate.row(p.inner);
    gate.rows = gate.row(work.slot * rows);
    up.rows = up.row(work.slot * rows);
    dot_tile(
        gate, &up, work.first, work.columns, work.rows, static_cast<float*>(a->thread_scratch),
        [&](std::int64_t r) SY_LAMBDA { return x + static_cast<std::uint64_t>(work.entries[r]) / p.k * p.width; },
        [&](std::int64_t r, std::uint64_t n, float g, float u) {
          hidden[static_cast<std::uint64_t>(work.entries[r]) * p.inner + n] = silu(g) * u;
        });
  }
}

void expert_down(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* hidden = static_cast<const float*>(a->pointers[0]);
  const auto* plan = static_cast<const std::int32_t*>(a->pointers[2]);
  auto* parts = static_cast<float*>(a->pointers[3]);
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const Work work = work_of(tile, plan, p, p.width, p.down_tile);
    if (work.rows == 0) continue;
    Weights down = weights(a->pointers[1], p.down_dtype, p.inner);
    down.rows = down.row(std::uint64_t{work.slot} * p.width);
    dot_tile(
        down, nullptr, work.first, work.columns, work.rows, static_cast<float*>(a->thread_scratch),
        [&](std::int64_t r) SY_LAMBDA { return hidden + static_cast<std::uint64_t>(work.entries[r]) * p.inner; },
        [&](std::int64_t r, std::uint64_t n, float v, float) {
          parts[static_cast<std::uint64_t>(work.entries[r]) * p.width + n] = v;
        });
  }
}

void expert_sum(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* index = static_cast<const std::int32_t*>(a->pointers[0]);
  const auto* gate = static_cast<const float*>(a->pointers[1]);
  const auto* local = static_cast<const std::int32_t*>(a->pointers[2]);
  const auto* parts = static_cast<const float*>(a->pointers[3]);
  const auto* residual = static_cast<const float*>(a->pointers[4]);
  auto* y = static_cast<float*>(a->pointers[5]);
  constexpr std::uint32_t strip = 256;
  for (std::uint64_t t = a->first_tile; t < a->last_tile; ++t)
    for (std::uint32_t first = 0; first < p.width; first += strip) {
      const std::uint32_t n = p.width - first < strip ? p.width - first : strip;
      float total[strip] = {};
      for (std::uint64_t e = t * p.k; e < (t + 1) * p.k; ++e) {
        if (slot_of(index[e], local) < 0) continue;
        const float* part = parts + e * p.width + first;
        const float weight = gate[e];
        for (std::uint32_t c = 0; c < n; ++c) total[c] += weight * part[c];
      }
      float* to = y + t * p.width + first;
      if (residual) {
        const float* from = residual + t * p.width + first;
        for (std::uint32_t c = 0; c < n; ++c) to[c] = p.scale * total[c] + from[c];
      } else {
        for (std::uint32_t c = 0; c < n; ++c) to[c] = p.scale * total[c];
      }
    }
}

}  // namespace switchyard::kernels::SY_ISA
