// What one tile of the second or third launch works on.
#pragma once
#include "kernels/expert_gemm/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

constexpr std::int64_t hidden_strip = kernels::expert_gemm::hidden_strip;

struct Work {
  std::uint32_t slot = 0, first = 0, columns = 0;
  std::int64_t rows = 0;  // 0: nothing to do
  const std::int32_t* entries = nullptr;
};
// tile_size: weight rows per tile, of n.
static inline Work work_of(std::uint32_t tile, const std::int32_t* plan, const kernels::expert_gemm::CpuParams& p,
                           std::uint32_t n, std::uint32_t tile_size) {
  const std::uint32_t blocks = (n + tile_size - 1) / tile_size, active = tile / blocks;
  Work w;
  if (active >= static_cast<std::uint32_t>(plan[0])) return w;
  w.slot = static_cast<std::uint32_t>(plan[kernels::expert_gemm::plan_active + active]);
  w.first = tile % blocks * tile_size;
  w.columns = n - w.first < tile_size ? n - w.first : tile_size;
  const std::int32_t* begin = plan + kernels::expert_gemm::plan_begin(p.slots) + w.slot;
  w.rows = begin[1] - begin[0];
  w.entries = plan + kernels::expert_gemm::plan_entries(p.slots) + begin[0];
  return w;
}

}  // namespace switchyard::kernels::SY_ISA
