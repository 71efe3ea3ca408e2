// An op's case as a graph device can run it: every dim fixed, one sequence, its context within one page.
#pragma once
#include <cmath>
#include <random>

#include "kernels/attention/attention.h"
#include "kernels/common/sequences.h"
#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::test {

using namespace kernels;

inline void fix(Segment& segment, const std::vector<std::int64_t>& dims) {
  for (Tensor& t : segment.values)
    for (Dim& d : t.shape)
      if (d.symbol >= 0) d.min = d.max = dims[static_cast<std::size_t>(d.symbol)];
}

// Attention with a context of several small pages, as one with a page that holds it all. Rows past the context hold
// numbers that would show.
inline void widen_page(Case& c, std::int64_t past, std::int64_t rows) {
  Node& n = c.segment.nodes[0];
  auto a = n.attrs_as<attention::Attrs>();
  a.page_size = static_cast<std::int32_t>((past + rows + 7) / 8 * 8);
  n.set_attrs(a);
  constexpr std::int64_t pages = 4, page = 2;
  c.segment.values[n.in[4]].shape[1] = Dim::fixed(1);
  c.fills[n.in[4]].values = {double(page)};
  const std::int64_t row = std::int64_t{a.kv_heads} * a.head_dim;
  for (auto v : {n.in[5], n.in[6]}) {
    auto& shape = c.segment.values[v].shape;
    shape[0] = Dim::fixed(pages);
    shape[1] = Dim::fixed(a.page_size);
    kernels::Fill& fill = c.fills[v];
    std::vector<double> old = std::move(fill.values), now(static_cast<std::size_t>(pages * a.page_size * row), 300.0);
    if (old.empty()) {  // filled from a range: any numbers of it
      std::mt19937_64 random(v);
      std::uniform_real_distribution<double> uniform(fill.lo, fill.hi);
      old.resize(1009);
      for (double& x : old) x = uniform(random);
    }
    for (std::int64_t i = 0; i < past * row; ++i) {
      double x = old[static_cast<std::size_t>(i) % old.size()];
      now[static_cast<std::size_t>(page * a.page_size * row + i)] = std::abs(x) > 1e4 ? 0.5 : x;
    }
    fill.values = std::move(now);
  }
}

// One case per sequence of `c`; the case itself where it has no sequences.
inline std::vector<Case> one_sequence(const Case& c) {
  std::uint32_t sequences = no_value, page_table = no_value;
  for (const Node& n : c.segment.nodes) {
    if (n.op == "causal_conv1d@1" || n.op == "attention@1") sequences = n.in[3];
    if (n.op == "ssm_scan@1") sequences = n.in[5];
    if (n.op == "selective_scan@1") sequences = n.in[8];
    if (n.op == "attention@1") page_table = n.in[4];
  }
  if (sequences == no_value) {
    Case fixed = c;
    fix(fixed.segment, fixed.dims);
    return {fixed};
  }
  std::vector<Case> all;
  const std::vector<double>& rows = c.fills.at(sequences).values;
  for (std::size_t s = 0; 5 * s < rows.size(); ++s) {
    Case one = c;
    one.dims[sym_rows] = static_cast<std::int64_t>(rows[5 * s + 1]);
    one.dims[sym_sequences] = 1;
    one.fills[sequences].values = {0, rows[5 * s + 1], rows[5 * s + 2], rows[5 * s + 3], rows[5 * s + 4]};
    one.name += "_" + std::to_string(s);
    if (page_table != no_value)
      widen_page(one, static_cast<std::int64_t>(rows[5 * s + 4]), static_cast<std::int64_t>(rows[5 * s + 1]));
    for (auto& [value, fill] : one.fills) {  // rows of a step longer than this one
      std::size_t n = static_cast<std::size_t>(elements(one.segment.values[value], one.dims));
      if (fill.values.size() > n) fill.values.resize(n);
    }
    fix(one.segment, one.dims);
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace switchyard::test
