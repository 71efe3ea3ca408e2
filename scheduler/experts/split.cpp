#include "scheduler/experts/split.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::scheduler {
namespace {

using hal::no_value;
constexpr std::size_t first_weight = 3, last_weight = 5, local_in = 6, residual_in = 7;

hal::Error refuse(const std::string& why) { return {hal::Code::unsupported, "splitting experts: " + why}; }

std::uint64_t derived(std::uint64_t key, std::int64_t from, std::int64_t to) {
  for (std::int64_t n : {from, to}) key = (key ^ static_cast<std::uint64_t>(n + 1)) * 1099511628211ull;
  return key;
}

// The experts [from, to) of a constant [experts, rows, columns].
hal::Constant slice(const hal::Constant& c, hal::Tensor& t, std::int64_t from, std::int64_t to) {
  hal::Constant part = c;
  hal::Bytes one = hal::max_bytes(t) / static_cast<hal::Bytes>(t.shape[0].max);
  t.shape[0] = hal::Dim::fixed(to - from);
  part.key = derived(c.key, from, to);
  if (!c.data.empty())
    part.data = c.data.subspan(static_cast<std::size_t>(one) * static_cast<std::size_t>(from),
                               static_cast<std::size_t>(one) * static_cast<std::size_t>(to - from));
  part.source.reset();
  return part;
}

// Builds one part: the values of the whole that it uses, renumbered.
class Part {
 public:
  explicit Part(const hal::Segment& whole) : whole_(whole) {}

  std::uint32_t use(std::uint32_t v) {
    if (v == no_value) return v;
    auto [it, fresh] = map_.try_emplace(v, static_cast<std::uint32_t>(segment.values.size()));
    if (fresh) segment.values.push_back(whole_.values[v]);
    return it->second;
  }
  bool has(std::uint32_t v) const { return map_.count(v) != 0; }

  void node(std::uint32_t n) {
    hal::Node copy = whole_.nodes[n];
    for (auto& v : copy.in) v = use(v);
    for (auto& v : copy.out) v = use(v);
    segment.nodes.push_back(std::move(copy));
    if (n < whole_.labels.size()) segment.labels.push_back(whole_.labels[n]);
  }

  // The node of experts [from, to), with its weights cut and a table of where they lie.
  void experts(std::uint32_t n, std::int64_t from, std::int64_t to) {
    node(n);
    hal::Node& copy = segment.nodes.back();
    for (std::size_t i = first_weight; i <= last_weight; ++i)
      if (copy.in[i] != no_value) {
        const auto v = copy.in[i];
        hal::Constant part = slice(*whole_.constant(whole_.nodes[n].in[i]), segment.values[v], from, to);
        part.value = v;
        segment.constants.push_back(part);
        cut_.push_back(whole_.nodes[n].in[i]);
      }
    const std::int64_t all = copy.attrs_as<kernels::expert_gemm::Attrs>().experts;
    auto table = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(all), -1);
    std::iota(table->begin() + from, table->begin() + to, 0);
    copy.in[local_in] = static_cast<std::uint32_t>(segment.values.size());
    segment.values.push_back({hal::DType::i32, {hal::Dim::fixed(all)}});
    segment.constants.push_back(
        {copy.in[local_in], derived(0x6c6f63616c, from, to), std::as_bytes(std::span(*table)), table, std::nullopt});
  }

  void finish() {
    for (const hal::Constant& c : whole_.constants)
      if (has(c.value) && std::find(cut_.begin(), cut_.end(), c.value) == cut_.end()) {
        segment.constants.push_back(c);
        segment.constants.back().value = map_.at(c.value);
      }
  }

  std::uint32_t at(std::uint32_t v) const { return map_.at(v); }
  hal::Segment segment;

 private:
  const hal::Segment& whole_;
  std::map<std::uint32_t, std::uint32_t> map_;
  std::vector<std::uint32_t> cut_;  // constants of which only a part is here
};

std::uint32_t position(const std::vector<std::uint32_t>& list, std::uint32_t v) {
  return static_cast<std::uint32_t>(std::find(list.begin(), list.end(), v) - list.begin());
}

}  // namespace

hal::Result<ExpertSplit> split_experts(const hal::Segment& whole, std::int64_t cut) {
  std::uint32_t at = no_value;
  for (std::uint32_t n = 0; n < whole.nodes.size(); ++n) {
    if (whole.nodes[n].op != "expert_gemm@1") continue;
    if (at != no_value)
      return refuse("nodes " + std::to_string(at) + " and " + std::to_string(n) +
                    " both are expert_gemm, expected one");
    at = n;
  }
  if (at == no_value) return refuse("there is no expert_gemm among " + std::to_string(whole.nodes.size()) + " nodes");
  const hal::Node& node = whole.nodes[at];
  const std::int64_t experts = node.attrs_as<kernels::expert_gemm::Attrs>().experts;
  if (cut <= 0 || cut >= experts)
    return hal::Error{hal::Code::invalid_argument,
                      "splitting experts: cut at " + std::to_string(cut) + " of " + std::to_string(experts)};
  if (node.in[local_in] != no_value) return refuse("some of its experts are elsewhere already");
  for (std::size_t i = first_weight; i <= last_weight; ++i)
    for (std::uint32_t n = 0; n < whole.nodes.size(); ++n)
      if (node.in[i] != no_value && n != at &&
          std::count(whole.nodes[n].in.begin(), whole.nodes[n].in.end(), node.in[i]))
        return refuse("its weights are also used by node " + std::to_string(n));

  Part first(whole), second(whole);
  for (std::uint32_t n = 0; n < at; ++n) first.node(n);
  first.experts(at, 0, cut);
  second.experts(at, cut, experts);
  for (std::uint32_t n = at + 1; n < whole.nodes.size(); ++n) second.node(n);
  // The second adds to what the first has summed; in the whole, the two are one value.
  const std::uint32_t sum = node.out[0];
  std::uint32_t partial = static_cast<std::uint32_t>(second.segment.values.size());
  second.segment.values.push_back(whole.values[sum]);
  second.segment.nodes.front().in[residual_in] = partial;
  const std::uint32_t residual = node.in[residual_in];

  ExpertSplit split;
  for (std::uint32_t i = 0; i < whole.states.size(); ++i) {
    const auto v = whole.states[i];
    if (first.has(v) && second.has(v)) return refuse("state " + std::to_string(v) + " would be on both devices");
    Part& part = second.has(v) ? second : first;
    part.segment.states.push_back(part.use(v));
    (second.has(v) ? split.second_states : split.first_states).push_back(i);
  }
  for (std::uint32_t i = 0; i < whole.inputs.size(); ++i)
    if (first.has(whole.inputs[i])) {
      first.segment.inputs.push_back(first.at(whole.inputs[i]));
      split.first_inputs.push_back({false, i});
    }
  first.segment.outputs.push_back(first.at(sum));
  second.segment.inputs.push_back(partial);
  split.second_inputs.push_back({true, 0});
  std::vector<bool> written(whole.values.size(), false);  // by the first part
  for (std::uint32_t n = 0; n < at; ++n)
    for (auto v : whole.nodes[n].out) written[v] = true;
  auto used_later = [&](std::uint32_t v) {
    if (v != residual) return second.has(v);
    bool used = false;  // the experts' own residual is added by the first part
    for (std::uint32_t n = at; n < whole.nodes.size(); ++n)
      for (std::size_t i = 0; i < whole.nodes[n].in.size(); ++i)
        used = used || (whole.nodes[n].in[i] == v && !(n == at && i == residual_in));
    return used;
  };
  for (std::uint32_t v = 0; v < whole.values.size(); ++v) {
    const bool is_input = std::count(whole.inputs.begin(), whole.inputs.end(), v) != 0;
    if (!second.has(v) || (!is_input && !written[v]) || !used_later(v)) continue;
    if (is_input) {
      split.second_inputs.push_back({false, position(whole.inputs, v)});
    } else {
      split.second_inputs.push_back({true, static_cast<std::uint32_t>(first.segment.outputs.size())});
      first.segment.outputs.push_back(first.at(v));
    }
    second.segment.inputs.push_back(second.at(v));
  }
  for (auto v : whole.outputs) {
    const bool from_first = v != sum && written[v];
    Part& part = from_first ? first : second;
    auto index = position(part.segment.outputs, part.at(v));
    if (index == part.segment.outputs.size()) part.segment.outputs.push_back(part.at(v));
    split.outputs.push_back({from_first, index});
  }
  first.finish();
  second.finish();
  split.first = std::move(first.segment);
  split.second = std::move(second.segment);
  return split;
}

}  // namespace switchyard::scheduler
