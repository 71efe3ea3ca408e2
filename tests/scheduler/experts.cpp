// The parts of a unit, for any set of its experts, give what the whole gives.
#include <gtest/gtest.h>

#include <set>

#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "kernels/library.h"
#include "kernels/router_topk/router_topk.h"
#include "models/shapes/shapes.h"
#include "scheduler/experts/split.h"
#include "scheduler/run/stage.h"

namespace switchyard::scheduler {
namespace {

using kernels::SegmentBuilder;
constexpr std::int64_t experts = 6, width = 32, inner = 32, top_k = 3;

// Rows in, a router of its own, experts on top of a residual, and a linear layer with a residual of the input after
// them.
kernels::Case layer(hal::DType type, bool fused, bool residual, bool after) {
  SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 9), hal::Dim::fixed(width)});
  auto u = kernels::gemm::append(b, x, b.constant(hal::DType::f32, {width, width}, 1, {}, nullptr));
  auto logits = kernels::gemm::append(b, u, b.constant(hal::DType::f32, {experts, width}, 2, {}, nullptr));
  auto choice = kernels::router_topk::append(b, logits, top_k);
  kernels::expert_gemm::Inputs in{};
  in.x = u;
  in.index = choice.index;
  in.gate = choice.gate;
  in.w_gate = b.constant(type, {experts, fused ? 2 * inner : inner, width}, 3, {}, nullptr);
  in.w_up = fused ? hal::no_value : b.constant(type, {experts, inner, width}, 4, {}, nullptr);
  in.w_down = b.constant(type, {experts, width, inner}, 5, {}, nullptr);
  if (residual) in.residual = x;
  auto y = kernels::expert_gemm::append(b, in, {experts, 0.5f});
  if (after) {
    kernels::gemm::Options o;
    o.residual = u;
    b.output(y);
    y = kernels::gemm::append(b, y, b.constant(hal::DType::f32, {width, width}, 6, {}, nullptr), o);
    b.output(u);
  }
  b.output(y);
  return {"layer", b.take(), {9}, {}, false, true};
}

using Values = std::vector<std::vector<double>>;

// The parts one after the other, in double precision; values of each.
std::vector<Values> play(const kernels::CaseData& unit, const ExpertSplit& split) {
  std::vector<Values> all;
  for (const ExpertSplit::Part& p : split.parts) {
    EXPECT_TRUE(kernels::check(p.segment)) << hal::describe(kernels::check(p.segment).error());
    kernels::CaseData data{{"part", p.segment, unit.c.dims, {}, false, true}, {}, {}};
    data.bytes.resize(p.segment.values.size());
    data.exact.resize(p.segment.values.size());
    for (std::size_t i = 0; i < p.inputs.size(); ++i) {
      const ExpertSplit::Source& from = p.inputs[i];
      EXPECT_TRUE(from.part == ExpertSplit::whole || from.part < all.size());
      data.exact[p.segment.inputs[i]] = from.part == ExpertSplit::whole
                                            ? unit.exact[unit.c.segment.inputs[from.index]]
                                            : all[from.part][split.parts[from.part].segment.outputs[from.index]];
    }
    for (const hal::Constant& k : p.segment.constants) {
      EXPECT_EQ(k.data.size(), hal::max_bytes(p.segment.values[k.value]));
      data.exact[k.value] = kernels::decode(p.segment.values[k.value], unit.c.dims, k.data);
    }
    auto done = kernels::run_reference(data, all.emplace_back());
    EXPECT_TRUE(done) << (done ? "" : hal::describe(done.error()));
  }
  return all;
}

hal::Bytes expert_bytes(const hal::Segment& part) {
  hal::Bytes sum = 0;
  for (const hal::Constant& k : part.constants)
    if (part.values[k.value].shape.size() == 3) sum += hal::max_bytes(part.values[k.value]);
  return sum;
}

void expect_equal(const kernels::CaseData& unit, const ExpertSplit& split, const std::vector<bool>& chosen) {
  const hal::Segment& s = unit.c.segment;
  Values expected;
  ASSERT_TRUE(kernels::run_reference(unit, expected));
  const auto values = play(unit, split);
  ASSERT_EQ(split.outputs.size(), s.outputs.size());
  for (std::size_t i = 0; i < s.outputs.size(); ++i) {
    const auto& from = split.outputs[i];
    const auto& got = values[from.part][split.parts[from.part].segment.outputs[from.index]];
    const auto& want = expected[s.outputs[i]];
    ASSERT_EQ(got.size(), want.size());
    double norm = 0;
    for (double w : want) norm = std::max(norm, std::abs(w));
    EXPECT_GT(norm, 0);
    for (std::size_t j = 0; j < want.size(); ++j) ASSERT_NEAR(got[j], want[j], 1e-12 * norm) << "output " << i;
  }
  // The experts themselves are shared out, nothing is kept twice.
  std::vector<hal::Bytes> bytes;
  for (const ExpertSplit::Part& p : split.parts)
    if (expert_bytes(p.segment)) bytes.push_back(expert_bytes(p.segment));
  ASSERT_EQ(bytes.size(), 2u);
  EXPECT_EQ(bytes[0] + bytes[1], expert_bytes(s));
  EXPECT_EQ(bytes[0] * static_cast<hal::Bytes>(experts),
            expert_bytes(s) * static_cast<hal::Bytes>(std::count(chosen.begin(), chosen.end(), true)));
}

// Every set of experts but none and all.
std::vector<std::vector<bool>> sets() {
  std::vector<std::vector<bool>> all;
  for (int bits = 1; bits < (1 << experts) - 1; ++bits)
    for (auto& set = all.emplace_back(); static_cast<std::int64_t>(set.size()) < experts;)
      set.push_back(bits >> set.size() & 1);
  return all;
}

void expect_equal(const kernels::Case& c, const std::vector<bool>& chosen) {
  const kernels::CaseData unit = kernels::make_data(c, 5);
  SCOPED_TRACE(testing::PrintToString(chosen));
  auto row = split_experts(unit.c.segment, chosen), parallel = split_experts_parallel(unit.c.segment, chosen);
  ASSERT_TRUE(row && parallel);
  ASSERT_EQ(row->parts.size(), 2u);
  expect_equal(unit, *row, chosen);
  ASSERT_EQ(parallel->parts.size(), 4u);
  expect_equal(unit, *parallel, chosen);
  for (std::size_t p : {1, 2})  // near and far need the front alone
    for (const auto& from : parallel->parts[p].inputs) EXPECT_TRUE(from.part == ExpertSplit::whole || from.part == 0);
}

TEST(Experts, PartsEqualTheWholeForEverySet) {
  for (const auto& chosen : sets()) expect_equal(layer(hal::DType::f32, false, true, false), chosen);
  for (bool fused : {false, true})
    for (bool residual : {false, true})
      for (bool after : {false, true})
        for (std::size_t i : {0, 4, 20, 41}) expect_equal(layer(hal::DType::f32, fused, residual, after), sets()[i]);
  expect_equal(layer(hal::DType::q8_0, false, true, true), sets()[36]);
}

TEST(Experts, SideBySideTheyAreViewsElseGatheredOnce) {
  const kernels::CaseData unit = kernels::make_data(layer(hal::DType::q8_0, false, true, false), 5);
  const hal::Segment& s = unit.c.segment;
  auto is_view = [&](const hal::Segment& part) {
    int views = 0, gathered = 0;
    for (const hal::Constant& k : part.constants) {
      if (part.values[k.value].shape.size() != 3) continue;
      bool inside = false;
      for (const hal::Constant& of : s.constants)
        inside = inside || (k.data.data() >= of.data.data() && k.data.data() < of.data.data() + of.data.size());
      ++(inside ? views : gathered);
    }
    EXPECT_EQ(views + gathered, 3);
    return gathered == 0;
  };
  auto first = split_experts(s, {true, true, false, false, false, false});
  ASSERT_TRUE(first);
  EXPECT_TRUE(is_view(first->parts[0].segment) && is_view(first->parts[1].segment));
  auto middle = split_experts(s, {false, false, true, true, false, false});
  ASSERT_TRUE(middle);
  EXPECT_TRUE(is_view(middle->parts[0].segment));
  EXPECT_FALSE(is_view(middle->parts[1].segment));
  // Other experts are another constant; a device that shares by key must not mix them up.
  std::set<std::uint64_t> keys;
  std::size_t made = 0;
  for (const auto& chosen : sets()) {
    auto split = split_experts(s, chosen);
    ASSERT_TRUE(split);
    for (const hal::Constant& k : split->parts[0].segment.constants)
      if (split->parts[0].segment.values[k.value].shape.size() == 3) keys.insert(k.key), ++made;
  }
  EXPECT_EQ(keys.size(), made);

  hal::Segment unshared = s;
  for (hal::Constant& k : unshared.constants) k.key = 0;
  auto split = split_experts(unshared, sets()[20]);
  ASSERT_TRUE(split);
  for (const ExpertSplit::Part& part : split->parts)
    for (const hal::Constant& k : part.segment.constants) {
      if (part.segment.values[k.value].shape.size() != 3) continue;
      EXPECT_EQ(k.key, 0u) << "never shared, nor is its part";
    }
}

TEST(Experts, WhatFollowsRunsBesideTheOtherHalfWhereItOnlyAdds) {
  auto nodes = [](const hal::Segment& unit) {
    std::vector<std::size_t> n;
    auto split = split_experts_parallel(unit, {true, false, true, false, true, false});
    EXPECT_TRUE(split);
    for (const auto& p : split->parts) n.push_back(p.segment.nodes.size());
    return n;
  };
  EXPECT_EQ(nodes(layer(hal::DType::f32, false, true, false).segment), (std::vector<std::size_t>{3, 1, 1, 1}));
  // A product of the sum cannot begin before the sum is whole.
  EXPECT_EQ(nodes(layer(hal::DType::f32, false, true, true).segment), (std::vector<std::size_t>{3, 1, 1, 2}));
  // The MLP of a model's layer takes the sum as its residual alone.
  models::LoadOptions options;
  options.no_data = true;
  auto model = models::load_shape("h-tiny", options);
  ASSERT_TRUE(model);
  StageOptions stage;
  const hal::Segment unit = models::build_segment(*model, 2, 3, step_shape(stage)).segment;
  std::vector<bool> some(64, false);
  some[3] = some[40] = true;
  auto split = split_experts_parallel(unit, some);
  ASSERT_TRUE(split) << hal::describe(split.error());
  EXPECT_EQ(split->parts[1].segment.nodes.size(), 3u);  // experts, gate and up, down
  EXPECT_EQ(split->parts[3].segment.nodes.size(), 1u);
  EXPECT_EQ(split->parts[3].segment.nodes[0].op, "add@1");
  for (const auto& p : split->parts) EXPECT_TRUE(kernels::check(p.segment));
}

TEST(Experts, PlannedWithoutData) {
  auto split = split_experts(layer(hal::DType::q8_0, false, true, false).segment, sets()[14]);
  ASSERT_TRUE(split);
  for (const auto& p : split->parts) EXPECT_TRUE(kernels::check(p.segment));
  EXPECT_EQ(split->parts[1].segment.nodes.size(), 1u);
  EXPECT_NE(hal::hash(split->parts[0].segment), hal::hash(split->parts[1].segment));
}

TEST(Experts, WhatCannotBeSplitSaysWhy) {
  hal::Segment s = layer(hal::DType::f32, false, true, false).segment;
  const std::vector<bool> three{true, true, true, false, false, false};
  for (const std::vector<bool>& wrong :
       {std::vector<bool>(6, true), std::vector<bool>(6, false), std::vector<bool>{true}})
    EXPECT_EQ(split_experts(s, wrong).error().code, hal::Code::invalid_argument);
  auto once = split_experts(s, three);
  ASSERT_TRUE(once);
  EXPECT_NE(split_experts(once->parts[0].segment, three).error().message.find("elsewhere already"), std::string::npos);
  EXPECT_NE(split_experts_parallel(once->parts[1].segment, three).error().message.find("elsewhere"), std::string::npos);
  s.nodes.pop_back();
  EXPECT_NE(split_experts(s, three).error().message.find("no expert_gemm"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::scheduler
