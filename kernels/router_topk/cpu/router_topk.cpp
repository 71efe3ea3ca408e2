// Tile i: rows [8 i, 8 i + 8). Each choice is the largest of what stands behind the choice before it, so nothing is
// marked.
#include "hal/call.h"
#include "kernels/common/cpu/math.h"
#include "kernels/router_topk/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

void route(const float* logits, std::uint32_t experts, std::uint32_t k, std::int32_t* index, float* gate) {
  float last = 0;
  std::uint32_t last_index = 0;
  for (std::uint32_t j = 0; j < k; ++j) {
    std::uint32_t best = 0;
    bool found = false;
    for (std::uint32_t e = 0; e < experts; ++e) {
      const float v = logits[e];
      const bool behind = j == 0 || v < last || (v == last && e > last_index);
      if (behind && (!found || v > logits[best])) {
        best = e;
        found = true;
      }
    }
    last = logits[best];
    last_index = best;
    index[j] = static_cast<std::int32_t>(best);
  }
  const float largest = logits[index[0]];
  float sum = 0;
  for (std::uint32_t j = 0; j < k; ++j) {
    gate[j] = exp(logits[index[j]] - largest);
    sum += gate[j];
  }
  for (std::uint32_t j = 0; j < k; ++j) gate[j] /= sum;
}

}  // namespace

void router_topk(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::router_topk::CpuParams*>(a->args);
  const std::int64_t rows = row_count(p.rows, a->dims);
  const auto* logits = static_cast<const float*>(a->pointers[0]);
  auto* index = static_cast<std::int32_t*>(a->pointers[1]);
  auto* gate = static_cast<float*>(a->pointers[2]);
  std::int64_t end = std::int64_t{a->last_tile} * kernels::router_topk::rows_per_tile;
  if (end > rows) end = rows;
  for (std::int64_t t = std::int64_t{a->first_tile} * kernels::router_topk::rows_per_tile; t < end; ++t)
    route(logits + t * p.experts, p.experts, p.k, index + t * p.k, gate + t * p.k);
}

}  // namespace switchyard::kernels::SY_ISA
