#include <algorithm>

#include "kernels/attention/attention.h"
#include "kernels/attention/cpu/params.h"
#include "kernels/common/cpu/isa.h"

SY_CPU_DECLARE(f32, attention_append)
SY_CPU_DECLARE(f32, attention_rows)
SY_CPU_DECLARE(f32, attention_chunks)
SY_CPU_DECLARE(f32, attention_merge)

namespace switchyard::kernels::attention {
namespace {

std::uint32_t rows_of(const Launch& l, Dims dims) {
  return static_cast<std::uint32_t>(dims[static_cast<std::size_t>(l.args_as<CpuParams>().rows_symbol)]);
}

std::int64_t blocks_of(const Launch& l, Dims dims) {
  return l.args_as<CpuParams>().blocks(rows_of(l, dims),
                                       dims[static_cast<std::size_t>(l.args_as<CpuParams>().sequences_symbol)]);
}
std::array<std::uint32_t, 3> append_grid(const Launch& l, Dims dims) { return {rows_of(l, dims), 1, 1}; }
std::array<std::uint32_t, 3> rows_grid(const Launch& l, Dims dims) {
  const std::int64_t blocks = blocks_of(l, dims);
  return {static_cast<std::uint32_t>(blocks * l.args_as<CpuParams>().head_parts(blocks)), 1, 1};
}
std::array<std::uint32_t, 3> chunks_grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(blocks_of(l, dims) * l.args_as<CpuParams>().parts), 1, 1};
}
std::array<std::uint32_t, 3> merge_grid(const Launch& l, Dims dims) {
  return {rows_of(l, dims) * static_cast<std::uint32_t>(l.args_as<CpuParams>().heads), 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (auto why = refuse_symbol(s, n.in[0], "q")) return why;
  if (auto why = refuse_symbol(s, n.in[3], "sequences")) return why;
  return std::nullopt;
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  static constexpr auto append_table = SY_CPU_TABLE(f32, attention_append);
  static constexpr auto rows_table = SY_CPU_TABLE(f32, attention_rows);
  static constexpr auto chunks_table = SY_CPU_TABLE(f32, attention_chunks);
  static constexpr auto merge_table = SY_CPU_TABLE(f32, attention_merge);
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  const std::int16_t rows_symbol = s.values[n.in[0]].shape[0].symbol;
  CpuParams p{};
  p.rows_symbol = rows_symbol;
  p.sequences_symbol = s.values[n.in[3]].shape[0].symbol;
  p.heads = at.heads;
  p.kv_heads = at.kv_heads;
  p.head_dim = at.head_dim;
  p.padded_dim = (at.head_dim + 15) / 16 * 16;
  p.page_size = at.page_size;
  p.columns = static_cast<std::int32_t>(shape_of(s, n.in[4], 1));
  p.kept = s.values[n.in[5]].dtype;
  p.chunks = static_cast<std::int32_t>((std::int64_t{p.columns} * p.page_size + chunk_positions - 1) / chunk_positions);
  p.parts = std::min(p.chunks, most_parts);
  p.enough_tiles = 2 * info.limits.compute_units;
  p.scale = at.scale;
  const auto most = static_cast<std::uint32_t>(block_rows * at.heads),
             padded = static_cast<std::uint32_t>(p.padded_dim);
  // Queries, values and totals; scores; four numbers per query; the unpacked keys or values of 16 positions.
  const std::uint32_t scratch =
      4 * (most * (3 * padded + chunk_positions + 4) + 16 * padded * static_cast<std::uint32_t>(at.kv_heads));
  auto add = [&](hal::Call call, const char* entry, auto grid, std::uint32_t thread_scratch,
                 std::vector<Arg> arguments) {
    Launch l;
    l.call = call;
    l.entry = entry;
    l.grid = grid;
    l.thread_scratch = thread_scratch;
    l.arguments = std::move(arguments);
    l.set_args(p);
    lowered.launches.push_back(std::move(l));
    return &lowered.launches.back();
  };
  const auto [q, k, v, sequences, table, k_pages, v_pages] =
      std::tuple{n.in[0], n.in[1], n.in[2], n.in[3], n.in[4], n.in[5], n.in[6]};
  add(append_table[I], "attention_append", append_grid, 0,
      {{k}, {v}, {sequences}, {table}, {k_pages, 0, 0, true}, {v_pages, 0, 0, true}});
  add(rows_table[I], "attention_rows", rows_grid, scratch,
      {{q}, {sequences}, {table}, {k_pages}, {v_pages}, {n.out[0], 0, 0, true}})
      ->when = {{rows_symbol, split_rows + 1, INT64_MAX}};
  const auto partials = static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size());
  lowered.temporaries.push_back(
      {DType::f32, {Dim::fixed(split_rows), Dim::fixed(p.heads), Dim::fixed(p.chunks), Dim::fixed(p.padded_dim + 16)}});
  add(chunks_table[I], "attention_chunks", chunks_grid, scratch,
      {{q}, {sequences}, {table}, {k_pages}, {v_pages}, {partials, 0, 0, true}})
      ->when = {{rows_symbol, 1, split_rows}};
  add(merge_table[I], "attention_merge", merge_grid, 4 * padded, {{sequences}, {partials}, {n.out[0], 0, 0, true}})
      ->when = {{rows_symbol, 1, split_rows}};
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::attention
