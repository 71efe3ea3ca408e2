#include "kernels/common/vulkan/launch.h"

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> expert_gemm_gate_up_comp;
extern const std::span<const std::byte> expert_gemm_down_comp;
}  // namespace switchyard::kernels::embedded

namespace switchyard::kernels::expert_gemm {
namespace {

using namespace vulkan;

struct UpParams {
  std::uint32_t k, d, inner, row_words, first, count, blocks;
  std::int32_t rows_symbol;
  std::uint32_t local;
};
struct DownParams {
  std::uint32_t k, d, inner, row_words, first, count, blocks, first_j, last_j;
  std::int32_t rows_symbol;
  std::uint32_t local, residual, begin, end;
  float scale;
};

std::array<std::uint32_t, 3> up_grid(const Launch& l, Dims dims) {
  auto p = l.args_as<UpParams>();
  return groups(at(dims, p.rows_symbol) * p.k * p.blocks);
}
std::array<std::uint32_t, 3> down_grid(const Launch& l, Dims dims) {
  auto p = l.args_as<DownParams>();
  return groups(at(dims, p.rows_symbol) * p.blocks);
}

// Whole experts to a binding, as many as keep offsets at multiples of 256 bytes.
struct Experts {
  std::uint32_t first, count;
  Bytes offset, bytes;
};
std::vector<Experts> split_experts(const Segment& s, std::uint32_t w, Bytes limit) {
  const Bytes expert = static_cast<Bytes>(shape_of(s, w, 1)) * packed_row_bytes(s, w);
  const auto slots = static_cast<std::uint32_t>(shape_of(s, w, 0));
  std::uint32_t unit = 1;
  while (unit * expert % 256) unit *= 2;
  std::vector<Experts> all;
  std::uint32_t step = expert * slots <= limit ? slots : static_cast<std::uint32_t>(limit / expert) / unit * unit;
  for (std::uint32_t first = 0; first < slots && step; first += step) {
    auto count = std::min(step, slots - first);
    all.push_back({first, count, first * expert, count * expert});
  }
  return all;
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  for (std::size_t i : {3, 4, 5}) {
    if (n.in[i] == no_value) continue;
    const char* name = i == 3 ? "w_gate" : i == 4 ? "w_up" : "w_down";
    if (auto why = refuse_weight(s, n.in[i], info, name, 1)) return why;
    if (split_experts(s, n.in[i], info.limits.max_binding).empty())
      return std::string(name) + ": one expert of " +
             std::to_string(static_cast<Bytes>(shape_of(s, n.in[i], 1)) * packed_row_bytes(s, n.in[i])) + " bytes, " +
             info.id + " binds at most " + std::to_string(info.limits.max_binding);
  }
  return refuse_symbol(s, n.in[0], "x");
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  for (std::size_t i : {3, 4, 5}) HAL_CHECK(add_rows32(s, n.in[i], lowered));
  const auto a = n.attrs_as<Attrs>();
  const bool fused = n.in[4] == no_value;
  const auto k = static_cast<std::uint32_t>(shape_of(s, n.in[1], 1)),
             d = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  const auto inner = static_cast<std::uint32_t>(shape_of(s, n.in[5], 2));
  const std::uint32_t local = n.in[6] != no_value;
  const std::int32_t symbol = symbol_of(s, n.in[0]);
  const auto h = static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size());
  lowered.temporaries.push_back({DType::f32, {s.values[n.in[0]].shape[0], Dim::fixed(k), Dim::fixed(inner)}});

  for (const Experts& e : split_experts(s, n.in[3], info.limits.max_binding)) {
    Launch l;
    l.code = embedded::expert_gemm_gate_up_comp;
    l.group = {64, 1, 1};
    l.group_memory = 4 * 8 * 64;
    l.grid = up_grid;
    l.spec = {number(s.values[n.in[3]].dtype), fused};
    l.set_args(UpParams{k, d, inner, static_cast<std::uint32_t>(packed_row_bytes(s, n.in[3]) / 4), e.first, e.count,
                        divide_up(inner, 8), symbol, local});
    l.arguments = {{n.in[0]}, {n.in[1]},      {n.in[3], e.offset, e.bytes}, {n.in[4], e.offset, e.bytes},
                   {n.in[6]}, {h, 0, 0, true}};
    lowered.launches.push_back(std::move(l));
  }

  const auto ranges = split_experts(s, n.in[5], info.limits.max_binding);
  const std::uint32_t rounds =
      ranges.size() == 1 ? 1 : k;  // several ranges: one pair of each row per launch keeps the order of the sum
  for (std::uint32_t round = 0; round < rounds; ++round)
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      const Experts& e = ranges[r];
      Launch l;
      l.code = embedded::expert_gemm_down_comp;
      l.group = {64, 1, 1};
      l.group_memory = 4 * 8 * 64;
      l.grid = down_grid;
      l.spec = {number(s.values[n.in[5]].dtype)};
      DownParams p{};
      p.k = k;
      p.d = d;
      p.inner = inner;
      p.row_words = static_cast<std::uint32_t>(packed_row_bytes(s, n.in[5]) / 4);
      p.first = e.first;
      p.count = e.count;
      p.blocks = divide_up(d, 16);
      p.first_j = rounds == 1 ? 0 : round;
      p.last_j = rounds == 1 ? k : round + 1;
      p.rows_symbol = symbol;
      p.local = local;
      p.residual = n.in[7] != no_value;
      p.begin = round == 0 && r == 0;
      p.end = round + 1 == rounds && r + 1 == ranges.size();
      p.scale = a.scale;
      l.set_args(p);
      l.arguments = {
          {h}, {n.in[1]}, {n.in[2]}, {n.in[5], e.offset, e.bytes}, {n.in[6]}, {n.in[7]}, {n.out[0], 0, 0, true}};
      lowered.launches.push_back(std::move(l));
    }
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::expert_gemm
