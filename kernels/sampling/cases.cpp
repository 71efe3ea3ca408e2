#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::sampling {
namespace {

// Draws that are to land in the middle of a token's share, so that f32 and double agree on the token: uniform for row r
// picks the token of rank ranks[r] within the first `count` of the sorted row.
double draw(std::vector<double> row, double temperature, std::size_t count, std::size_t rank) {
  std::sort(row.begin(), row.end(), std::greater<>());
  std::vector<double> p;
  for (std::size_t j = 0; j < count; ++j) p.push_back(std::exp((row[j] - row[0]) / temperature));
  double before = std::accumulate(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(rank), 0.0);
  return (before + p[rank] / 2) / std::accumulate(p.begin(), p.end(), 0.0);
}

// top_p halfway between the sums of the first count - 1 and the first `count` tokens.
float cut(std::vector<double> row, double temperature, std::size_t count) {
  std::sort(row.begin(), row.end(), std::greater<>());
  double sum = 0, before = 0, total = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    double p = std::exp((row[j] - row[0]) / temperature);
    if (j < count) before = sum, sum += p;
    total += p;
  }
  return static_cast<float>((before + sum) / 2 / total);
}

struct Wanted {
  std::string name;
  std::int64_t rows, v;
  Attrs attrs;
  std::size_t cut_to = 0;               // where top_p shall cut; 0: it does not
  std::vector<std::size_t> ranks = {};  // per row; empty: temperature 0
  bool equal = false;                   // all logits of the row the same
};

Case make(const Wanted& w) {
  std::mt19937 random(static_cast<std::uint32_t>(w.v * 31 + w.rows));
  std::uniform_real_distribution<float> uniform(-4, 4);
  // Rows differ by a shift only, so that one top_p cuts all of them at the same rank.
  std::vector<double> first, logits, draws;
  for (std::int64_t i = 0; i < w.v; ++i) first.push_back(w.equal ? 0.25 : std::round(uniform(random) * 4096) / 4096);
  for (std::int64_t r = 0; r < w.rows; ++r)
    for (std::int64_t i = 0; i < w.v; ++i)
      logits.push_back(first[static_cast<std::size_t>((i + 3 * r) % w.v)] + static_cast<double>(r) * 8);
  Attrs attrs = w.attrs;
  auto count = static_cast<std::size_t>(attrs.top_k > 0 ? std::min<std::int64_t>(attrs.top_k, w.v) : w.v);
  if (w.cut_to) {
    attrs.top_p = cut(first, static_cast<double>(attrs.temperature), w.cut_to);
    count = std::min(count, w.cut_to);
  }
  for (std::size_t rank : w.ranks)
    draws.push_back(draw(first, static_cast<double>(attrs.temperature), count, std::min(rank, count - 1)));
  SegmentBuilder b;
  Dim rows = Dim::open(sym_logits, 1, w.rows);
  auto l = b.input(DType::f32, {rows, Dim::fixed(w.v)});
  auto u = draws.empty() ? no_value : b.input(DType::f32, {rows});
  b.output(append(b, l, u, attrs));
  Case c{
      w.name + "_r" + std::to_string(w.rows) + "_v" + std::to_string(w.v), b.take(), {0, 0, w.rows}, {}, false, true};
  c.fills[l].values = logits;
  if (!draws.empty()) c.fills[u].values = draws;
  return c;
}

Case timed(const char* name, const Attrs& attrs) {
  SegmentBuilder b;
  Dim rows = Dim::open(sym_logits, 1, 1);
  auto l = b.input(DType::f32, {rows, Dim::fixed(100352)});
  auto u = attrs.temperature > 0 ? b.input(DType::f32, {rows}) : no_value;
  b.output(append(b, l, u, attrs));
  Case c{name, b.take(), {0, 0, 1}, {}, true, false};
  c.fills[l] = Fill{-8, 8, {}};
  if (u != no_value) c.fills[u] = Fill{0, 1, {}};
  return c;
}

}  // namespace

std::vector<Case> cases() {
  return {
      make({"greedy", 3, 1000, {}}),
      make({"greedy", 1, 320, {}}),
      make({"greedy_one", 2, 1, {}}),
      make({"greedy_ties", 2, 33, {}, 0, {}, true}),
      make({"plain", 4, 50, {0.7f, 0, 1.0f}, 0, {0, 1, 7, 49}}),
      make({"plain", 3, 321, {1.0f, 0, 1.0f}, 0, {0, 13, 2}}),
      make({"ties", 4, 16, {1.0f, 0, 1.0f}, 0, {0, 3, 9, 15}, true}),
      make({"top_k", 4, 50, {1.3f, 5, 1.0f}, 0, {0, 1, 3, 4}}),
      make({"top_k_beyond", 2, 7, {1.0f, 100, 1.0f}, 0, {2, 6}}),
      make({"top_1", 2, 50, {1.0f, 1, 1.0f}, 0, {0, 0}}),
      make({"top_p", 4, 50, {1.0f, 0, 1.0f}, 6, {0, 2, 4, 5}}),
      make({"top_p_of_one", 2, 50, {0.2f, 0, 1.0f}, 1, {0, 0}}),
      make({"top_k_then_p", 3, 200, {0.9f, 20, 1.0f}, 9, {0, 4, 8}}),
      make({"top_p_then_k", 3, 200, {0.9f, 9, 1.0f}, 20, {0, 4, 8}}),
      make({"one", 2, 1, {0.8f, 0, 0.9f}, 0, {0, 0}}),
      timed("granite_greedy", {}),
      timed("granite_top_k50_p95", {0.7f, 50, 0.95f}),
      timed("granite_top_p95", {0.7f, 0, 0.95f}),
  };
}

}  // namespace switchyard::kernels::sampling
