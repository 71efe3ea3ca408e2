#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/common/quant.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::attention {

Status reference(ReferenceArgs& a) {
  const auto at = a.node.attrs_as<Attrs>();
  const auto &q = a.in(0), &k = a.in(1), &v = a.in(2), &table = a.in(4);
  auto &k_pages = a.in(5), &v_pages = a.in(6);
  auto& y = a.out(0);
  const std::int64_t d = at.head_dim, nq = at.heads, nk = at.kv_heads, columns = a.in_dim(4, 1);
  const DType type = a.segment.values[a.node.in[5]].dtype;
  const std::vector<Sequence> sequences = sequences_of(a, 3);
  auto half = [](double x) { return double(f16_to_f32(f32_to_f16(float(x)))); };
  // What a page holds of element i of a row.
  auto kept = [&](const double* row, std::int64_t i) {
    if (type == DType::f32) return row[i];
    if (type == DType::f16) return half(row[i]);
    double largest = 0;
    for (std::int64_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) largest = std::max(largest, std::abs(row[j]));
    return largest == 0 ? 0.0 : half(largest / 127) * std::nearbyint(row[i] * (127 / largest));
  };
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& e = sequences[s];
    auto place = [&](std::int64_t position, std::int64_t head) {
      const auto page = static_cast<std::int64_t>(table[s * columns + position / at.page_size]);
      return ((page * at.page_size + position % at.page_size) * nk + head) * d;
    };
    for (std::int64_t r = 0; r < e.rows; ++r)
      for (std::int64_t i = 0; i < nk * d; ++i) {
        k_pages[place(e.past + r, 0) + i] = kept(&k[(e.row_begin + r) * nk * d], i);
        v_pages[place(e.past + r, 0) + i] = kept(&v[(e.row_begin + r) * nk * d], i);
      }
    for (std::int64_t r = 0; r < e.rows; ++r)
      for (std::int64_t h = 0; h < nq; ++h) {
        const std::int64_t t = e.row_begin + r, context = e.past + r + 1, head = h / (nq / nk);
        std::vector<double> score(context);
        for (std::int64_t p = 0; p < context; ++p) {
          for (std::int64_t i = 0; i < d; ++i) score[p] += q[(t * nq + h) * d + i] * k_pages[place(p, head) + i];
          score[p] *= double(at.scale);
        }
        const double largest = *std::max_element(score.begin(), score.end());
        double sum = 0;
        for (double& x : score) sum += x = std::exp(x - largest);
        for (std::int64_t i = 0; i < d; ++i) {
          double out = 0;
          for (std::int64_t p = 0; p < context; ++p) out += score[p] * v_pages[place(p, head) + i];
          y[(t * nq + h) * d + i] = out / sum;
        }
      }
  }
  return ok();
}

}  // namespace switchyard::kernels::attention
