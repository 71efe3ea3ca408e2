#include "kernels/common/opencl/launch.h"

#include <limits>
#include <numeric>

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> expert_gemm_expert_gemm_cl, expert_gemm_pairs_cl;
}

namespace switchyard::kernels::expert_gemm {
namespace {

using namespace opencl;

constexpr std::uint32_t tile_rows = 8;
constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();

struct PairParams {
  Count rows;
  std::int32_t k, experts, slots, d, mapped, residual;
  float scale;
};
struct Params {
  Count rows;
  std::int32_t k, n, outputs, per_row, weight_rows, up_row, row_words, first_slot, slots, mapped, all_slots;
};

// Slots above this do not fit the sorting kernel's local memory; then every pair is done on its own.
constexpr std::int64_t most_slots = 1024;

std::uint32_t tile_bound(std::uint32_t pairs, std::uint32_t slots) {
  return std::min(pairs, pairs / tile_rows + slots);
}

template <std::uint32_t Tile, bool Sorted>
std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  std::uint32_t pairs = count(p.rows, dims) * static_cast<std::uint32_t>(p.k);
  return {Sorted ? tile_bound(pairs, static_cast<std::uint32_t>(p.all_slots)) : pairs,
          groups(static_cast<std::uint32_t>(p.outputs), Tile), 1};
}
std::array<std::uint32_t, 3> grid_sort(const Launch& l, Dims dims) {
  return {count(l.args_as<PairParams>().rows, dims) ? 1u : 0u, 1, 1};
}
std::array<std::uint32_t, 3> grid_combine(const Launch& l, Dims dims) {
  auto p = l.args_as<PairParams>();
  return {groups(static_cast<std::uint32_t>(p.d), 64), count(p.rows, dims), 1};
}

// One of the two matrix products, for one way to take the pairs.
struct Product {
  std::uint32_t x, w, w_up, to;
  std::int32_t n, outputs, per_row, weight_rows, up_row;
  bool up;
};

class Lowering {
 public:
  Lowering(const Segment& segment, const Node& node, const Info& info, Lowered& lowered)
      : s(segment), n(node), info_(info), lowered_(lowered) {}

  Status run() {
    HAL_CHECK(add_rows32(s, n.in[3], lowered_));
    HAL_CHECK(add_rows32(s, n.in[4], lowered_));
    HAL_CHECK(add_rows32(s, n.in[5], lowered_));
    const auto at = n.attrs_as<Attrs>();
    const auto d = static_cast<std::int32_t>(shape_of(s, n.in[5], 1)),
               inner = static_cast<std::int32_t>(shape_of(s, n.in[5], 2));
    const bool fused = n.in[4] == no_value;
    rows_ = s.values[n.in[0]].shape[0];
    k_ = static_cast<std::int32_t>(shape_of(s, n.in[1], 1));
    slots_ = static_cast<std::int32_t>(shape_of(s, n.in[5], 0));
    const std::int64_t pairs = rows_.max * k_;

    // Sorting pays where experts are met by several rows each.
    const std::int64_t sorted_from =
        slots_ > most_slots ? any : std::max<std::int64_t>(2, (3 * std::int64_t{slots_} + k_ - 1) / k_);
    const std::uint32_t hidden = temporary(DType::f32, pairs * inner), parts = temporary(DType::f32, pairs * d);
    const Product up{n.in[0], n.in[3], n.in[4], hidden, d, inner, k_, fused ? 2 * inner : inner, fused ? inner : -1,
                     true};
    const Product down{hidden, n.in[5], no_value, parts, inner, d, 1, d, -1, false};
    const PairParams all{count_of(rows_),     k_,      at.experts, slots_, d, n.in[6] != no_value,
                         n.in[7] != no_value, at.scale};
    if (wanted(0, sorted_from - 1)) {
      product(up, no_value, no_value, 0, sorted_from - 1);
      product(down, no_value, no_value, 0, sorted_from - 1);
    }
    if (wanted(sorted_from, any)) {
      const auto bound =
          static_cast<std::int64_t>(tile_bound(static_cast<std::uint32_t>(pairs), static_cast<std::uint32_t>(slots_)));
      const std::uint32_t order = temporary(DType::i32, pairs), tiles = temporary(DType::i32, 3 * bound);
      Launch sort = pairs_launch("sort_pairs", grid_sort, all);
      sort.when = guard(sorted_from, any);
      sort.arguments = {{n.in[1]}, {n.in[6]}, {order, 0, 0, true}, {tiles, 0, 0, true}};
      lowered_.launches.push_back(std::move(sort));
      product(up, order, tiles, sorted_from, any);
      product(down, order, tiles, sorted_from, any);
    }
    Launch combine = pairs_launch("combine", grid_combine, all);
    combine.arguments = {{n.in[1]}, {n.in[2]}, {n.in[6]}, {parts}, {n.in[7]}, {n.out[0], 0, 0, true}};
    lowered_.launches.push_back(std::move(combine));
    return ok();
  }

 private:
  std::uint32_t temporary(DType type, std::int64_t elements) {
    lowered_.temporaries.push_back({type, {Dim::fixed(elements)}});
    return static_cast<std::uint32_t>(s.values.size() + lowered_.temporaries.size() - 1);
  }

  // Whether the row count can lie in [min, max]; where it is fixed, launches need no guard.
  bool wanted(std::int64_t min, std::int64_t max) const {
    return rows_.max >= min && (rows_.symbol >= 0 ? rows_.min : rows_.max) <= max;
  }
  std::vector<Launch::Guard> guard(std::int64_t min, std::int64_t max) const {
    if (rows_.symbol < 0) return {};
    return {{rows_.symbol, min, max}};
  }

  Launch pairs_launch(const char* entry, decltype(&grid_sort) g, const PairParams& p) const {
    Launch l;
    l.code = embedded::expert_gemm_pairs_cl;
    l.build_options = define("SLOTS", std::min<std::int64_t>(slots_, most_slots));
    l.entry = entry;
    l.group = {64, 1, 1};
    l.grid = g;
    l.set_args(p);
    return l;
  }

  void product(const Product& m, std::uint32_t order, std::uint32_t tiles, std::int64_t min, std::int64_t max) {
    const bool sorted = order != no_value;
    const DType type = s.values[m.w].dtype;
    const std::uint32_t words = row_words(type, m.n);
    // Whole experts per launch, cut where 256 rows would be, so that offsets keep every alignment.
    const std::int64_t unit = 256 / std::gcd<std::int64_t>(256, m.weight_rows);
    const Bytes unit_bytes = Bytes{4} * words * static_cast<Bytes>(m.weight_rows * unit);
    const Bytes limit = info_.limits.max_binding;
    const std::int64_t most =
        limit ? std::max<std::int64_t>(1, static_cast<std::int64_t>(limit / unit_bytes)) * unit : slots_;
    for (std::int64_t first = 0; first < slots_; first += most) {
      const std::int64_t here = std::min<std::int64_t>(most, slots_ - first);
      const Bytes expert = unit_bytes / static_cast<Bytes>(unit);
      Launch l;
      l.code = embedded::expert_gemm_expert_gemm_cl;
      l.build_options = define_type(type) + define("ROWS", sorted ? tile_rows : 1) + define("UP", m.up);
      l.entry = "expert_gemm";
      l.group = {64, 1, 1};
      l.grid = m.up ? (sorted ? grid<16, true> : grid<16, false>) : (sorted ? grid<32, true> : grid<32, false>);
      l.when = guard(min, max);
      l.set_args(Params{count_of(rows_), k_, m.n, m.outputs, m.per_row, m.weight_rows, m.up_row,
                        static_cast<std::int32_t>(words), static_cast<std::int32_t>(first),
                        static_cast<std::int32_t>(here), n.in[6] != no_value, slots_});
      const Bytes offset = static_cast<Bytes>(first) * expert, bytes = static_cast<Bytes>(here) * expert;
      l.arguments = {{m.x},   {m.w, offset, bytes}, {m.w_up, offset, bytes}, {n.in[1]}, {n.in[6]}, {order},
                     {tiles}, {m.to, 0, 0, true}};
      lowered_.launches.push_back(std::move(l));
    }
  }

  const Segment& s;
  const Node& n;
  const Info& info_;
  Lowered& lowered_;
  Dim rows_;
  std::int32_t k_ = 0, slots_ = 0;
};

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  return Lowering(s, s.nodes[index], info, lowered).run();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::expert_gemm
