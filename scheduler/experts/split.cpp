#include "scheduler/experts/split.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::scheduler {
namespace {

using hal::no_value;
constexpr std::size_t first_weight = 3, last_weight = 5, local_in = 6, residual_in = 7;
constexpr std::size_t gemm_residual_in = 4;

hal::Error refuse(const std::string& why) { return {hal::Code::unsupported, "splitting experts: " + why}; }

std::uint64_t derived(std::uint64_t key, const std::vector<std::int64_t>& experts) {
  for (std::int64_t e : experts) key = (key ^ static_cast<std::uint64_t>(e + 1)) * 1099511628211ull;
  return key;
}

// These experts, in rising order, of a constant [experts, rows, columns].
hal::Constant take(const hal::Constant& c, hal::Tensor& t, const std::vector<std::int64_t>& experts) {
  hal::Constant part = c;
  const auto one = static_cast<std::size_t>(hal::max_bytes(t)) / static_cast<std::size_t>(t.shape[0].max);
  t.shape[0] = hal::Dim::fixed(static_cast<std::int64_t>(experts.size()));
  part.key = c.key ? derived(c.key, experts) : 0;  // 0: never shared
  part.source.reset();
  if (c.data.empty()) return part;
  auto at = [&](std::int64_t e) { return c.data.subspan(one * static_cast<std::size_t>(e), one); };
  if (experts.back() - experts.front() + 1 == static_cast<std::int64_t>(experts.size())) {
    part.data = {at(experts.front()).data(), one * experts.size()};
    return part;
  }
  auto gathered = std::make_shared<std::vector<std::byte>>();
  gathered->reserve(one * experts.size());
  for (std::int64_t e : experts) gathered->insert(gathered->end(), at(e).begin(), at(e).end());
  part.data = *gathered;
  part.owner = std::move(gathered);
  part.mapped_file = false;
  return part;
}

// A copy of the unit in which two nodes do the work of its expert_gemm, each with its share of the weights.
struct Doubled {
  hal::Segment segment;
  std::size_t near = 0;  // the first of the two nodes: the chosen experts and the residual; then those of the others
  std::uint32_t near_sum() const { return segment.nodes[near].out[0]; }
  std::uint32_t far_sum() const { return segment.nodes[near + 1].out[0]; }
};

void keep(hal::Segment& s, hal::Node& node, const hal::Segment& unit, const std::vector<std::int64_t>& experts) {
  auto value = [&](hal::Tensor t) {
    s.values.push_back(std::move(t));
    return static_cast<std::uint32_t>(s.values.size() - 1);
  };
  for (std::size_t i = first_weight; i <= last_weight; ++i) {
    if (node.in[i] == no_value) continue;
    hal::Tensor t = unit.values[node.in[i]];
    hal::Constant part = take(*unit.constant(node.in[i]), t, experts);
    part.value = node.in[i] = value(t);
    s.constants.push_back(std::move(part));
  }
  const std::int64_t all = node.attrs_as<kernels::expert_gemm::Attrs>().experts;
  auto table = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(all), -1);
  for (std::size_t i = 0; i < experts.size(); ++i)
    (*table)[static_cast<std::size_t>(experts[i])] = static_cast<std::int32_t>(i);
  node.in[local_in] = value({hal::DType::i32, {hal::Dim::fixed(all)}});
  s.constants.push_back(
      {node.in[local_in], derived(0x6c6f63616c, experts), std::as_bytes(std::span(*table)), table, std::nullopt});
}

hal::Result<Doubled> double_experts(const hal::Segment& unit, const std::vector<bool>& chosen) {
  std::size_t at = unit.nodes.size();
  for (std::size_t n = 0; n < unit.nodes.size(); ++n) {
    if (unit.nodes[n].op != "expert_gemm@1") continue;
    if (at != unit.nodes.size())
      return refuse("nodes " + std::to_string(at) + " and " + std::to_string(n) +
                    " both are expert_gemm, expected one");
    at = n;
  }
  if (at == unit.nodes.size())
    return refuse("there is no expert_gemm among " + std::to_string(unit.nodes.size()) + " nodes");
  const hal::Node& node = unit.nodes[at];
  std::vector<std::int64_t> near, far;
  for (std::size_t e = 0; e < chosen.size(); ++e) (chosen[e] ? near : far).push_back(static_cast<std::int64_t>(e));
  const auto experts = static_cast<std::size_t>(node.attrs_as<kernels::expert_gemm::Attrs>().experts);
  if (chosen.size() != experts || near.empty() || far.empty())
    return hal::Error{hal::Code::invalid_argument, "splitting experts: " + std::to_string(near.size()) + " of " +
                                                       std::to_string(chosen.size()) + " chosen, of a unit with " +
                                                       std::to_string(experts) + "; both devices need one at least"};
  if (node.in[local_in] != no_value) return refuse("some of its experts are elsewhere already");

  Doubled d{unit, at};
  hal::Segment& s = d.segment;
  s.nodes.insert(s.nodes.begin() + static_cast<std::ptrdiff_t>(at) + 1, node);
  if (s.labels.size() == unit.nodes.size())
    s.labels.insert(s.labels.begin() + static_cast<std::ptrdiff_t>(at) + 1, unit.labels[at]);
  s.nodes[at + 1].in[residual_in] = no_value;
  s.nodes[at + 1].out[0] = static_cast<std::uint32_t>(s.values.size());
  s.values.push_back(unit.values[node.out[0]]);
  keep(s, s.nodes[at], unit, near);
  keep(s, s.nodes[at + 1], unit, far);
  return d;
}

void replace(hal::Segment& s, std::size_t first_node, std::uint32_t from, std::uint32_t to) {
  for (std::size_t n = first_node; n < s.nodes.size(); ++n)
    std::replace(s.nodes[n].in.begin(), s.nodes[n].in.end(), from, to);
  std::replace(s.outputs.begin(), s.outputs.end(), from, to);
}

std::uint32_t position(std::vector<std::uint32_t>& list, std::uint32_t v) {
  const auto at = std::find(list.begin(), list.end(), v) - list.begin();
  if (at == static_cast<std::ptrdiff_t>(list.size())) list.push_back(v);
  return static_cast<std::uint32_t>(at);
}

// The nodes of `s` by the part each belongs to; what one part makes and another needs becomes an output and an input.
hal::Result<ExpertSplit> partition(const hal::Segment& s, const std::vector<std::size_t>& part_of, std::size_t parts) {
  ExpertSplit split;
  split.parts.resize(parts);
  std::vector<std::size_t> made_by(s.values.size(), ExpertSplit::whole);
  std::vector<std::set<std::uint32_t>> used(parts);
  std::vector<std::map<std::uint32_t, std::uint32_t>> number(parts);
  for (std::size_t n = 0; n < s.nodes.size(); ++n)
    for (auto v : s.nodes[n].out) made_by[v] = part_of[n];
  for (std::size_t n = 0; n < s.nodes.size(); ++n)
    for (const auto* list : {&s.nodes[n].in, &s.nodes[n].out})
      for (auto v : *list)
        if (v != no_value) used[part_of[n]].insert(v);

  auto at = [](const std::vector<std::uint32_t>& list, std::uint32_t v) {
    return static_cast<std::uint32_t>(std::find(list.begin(), list.end(), v) - list.begin());
  };
  auto is_in = [](const std::vector<std::uint32_t>& list, std::uint32_t v) {
    return std::find(list.begin(), list.end(), v) != list.end();
  };
  for (std::size_t p = 0; p < parts; ++p) {
    hal::Segment& part = split.parts[p].segment;
    for (auto v : used[p]) {
      number[p][v] = static_cast<std::uint32_t>(part.values.size());
      part.values.push_back(s.values[v]);
    }
  }
  auto source_of = [&](std::uint32_t v) -> ExpertSplit::Source {
    const std::size_t maker = made_by[v];
    if (maker == ExpertSplit::whole) return {maker, at(s.inputs, v)};
    return {maker, position(split.parts[maker].segment.outputs, number[maker].at(v))};
  };
  for (std::size_t p = 0; p < parts; ++p) {
    ExpertSplit::Part& part = split.parts[p];
    for (auto v : used[p]) {
      const std::uint32_t here = number[p].at(v);
      if (const hal::Constant* c = s.constant(v)) {
        part.segment.constants.push_back(*c);
        part.segment.constants.back().value = here;
      } else if (is_in(s.states, v)) {
        for (std::size_t other = 0; other < p; ++other)
          if (used[other].count(v)) return refuse("state " + std::to_string(v) + " would be on both devices");
        part.segment.states.push_back(here);
        part.states.push_back(at(s.states, v));
      } else if (made_by[v] != p) {
        part.inputs.push_back(source_of(v));
        part.segment.inputs.push_back(here);
      }
    }
  }
  for (std::size_t n = 0; n < s.nodes.size(); ++n) {
    hal::Segment& part = split.parts[part_of[n]].segment;
    hal::Node node = s.nodes[n];
    for (auto* list : {&node.in, &node.out})
      for (auto& v : *list)
        if (v != no_value) v = number[part_of[n]].at(v);
    part.nodes.push_back(std::move(node));
    if (s.labels.size() == s.nodes.size()) part.labels.push_back(s.labels[n]);
  }
  for (auto v : s.outputs) split.outputs.push_back(source_of(v));
  return split;
}

// What is computed from the sum, in order; and whether each of these does no more than add to it.
struct Following {
  std::set<std::uint32_t> values;
  bool only_added = true;
};
Following following(const hal::Segment& s, std::size_t after, std::uint32_t sum) {
  Following f{{sum}, true};
  for (std::size_t n = after; n < s.nodes.size(); ++n) {
    const hal::Node& node = s.nodes[n];
    bool uses = false;
    for (std::size_t i = 0; i < node.in.size(); ++i) {
      if (!f.values.count(node.in[i])) continue;
      uses = true;
      f.only_added = f.only_added && node.op == "gemm@1" && i == gemm_residual_in;
    }
    if (uses) f.values.insert(node.out.begin(), node.out.end());
  }
  // The other half of the sum is added once, so it must be missing in one output only, and every step leads there.
  const auto results = std::count_if(s.outputs.begin(), s.outputs.end(), [&](auto v) { return f.values.count(v); });
  f.only_added = f.only_added && results == 1;
  return f;
}

}  // namespace

hal::Result<ExpertSplit> split_experts(const hal::Segment& unit, const std::vector<bool>& chosen) {
  HAL_TRY(Doubled d, double_experts(unit, chosen));
  hal::Segment& s = d.segment;
  replace(s, d.near + 2, d.near_sum(), d.far_sum());
  s.nodes[d.near + 1].in[residual_in] = d.near_sum();
  std::vector<std::size_t> part_of(s.nodes.size(), 1);
  std::fill_n(part_of.begin(), d.near + 1, 0);
  return partition(s, part_of, 2);
}

hal::Result<ExpertSplit> split_experts_parallel(const hal::Segment& unit, const std::vector<bool>& chosen) {
  enum : std::size_t { front, near, far, join, parts };
  HAL_TRY(Doubled d, double_experts(unit, chosen));
  hal::Segment& s = d.segment;
  if (d.near == 0) return refuse("nothing stands before the expert_gemm that both parts could wait for");
  const Following f = following(s, d.near + 2, d.near_sum());
  std::vector<std::size_t> part_of(s.nodes.size(), near);
  std::fill_n(part_of.begin(), d.near, front);
  part_of[d.near + 1] = far;
  // The two halves are added at the end where that is the same, else at once.
  std::uint32_t half = d.near_sum();
  std::size_t place = d.near + 2;
  if (f.only_added) {
    place = s.nodes.size();
    for (auto v : s.outputs)
      if (f.values.count(v)) half = v;
  } else {
    for (std::size_t n = place; n < s.nodes.size(); ++n)
      if (f.values.count(s.nodes[n].out[0])) part_of[n] = join;
  }
  const auto sum = static_cast<std::uint32_t>(s.values.size());
  s.values.push_back(s.values[half]);
  replace(s, place, half, sum);
  hal::Node add;
  add.op = "add@1";
  add.in = {half, d.far_sum()};
  add.out = {sum};
  s.nodes.insert(s.nodes.begin() + static_cast<std::ptrdiff_t>(place), std::move(add));
  part_of.insert(part_of.begin() + static_cast<std::ptrdiff_t>(place), join);
  if (!s.labels.empty()) {  // "layer 3 (experts) expert_gemm@1"
    std::string label = s.labels[d.near];
    label.replace(label.rfind(' ') + 1, std::string::npos, "add@1");
    s.labels.insert(s.labels.begin() + static_cast<std::ptrdiff_t>(place), std::move(label));
  }
  return partition(s, part_of, parts);
}

}  // namespace switchyard::scheduler
