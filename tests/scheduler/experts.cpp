// Two parts on two devices give what the whole gives.
#include <gtest/gtest.h>

#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "kernels/library.h"
#include "kernels/router_topk/router_topk.h"
#include "scheduler/experts/split.h"

namespace switchyard::scheduler {
namespace {

using kernels::SegmentBuilder;
constexpr std::int64_t experts = 6, width = 32, inner = 32, chosen = 3;

// Rows in, a router of its own, experts on top of a residual, and a linear layer with a residual of the input after
// them.
kernels::Case layer(hal::DType type, bool fused, bool residual, bool after) {
  SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 9), hal::Dim::fixed(width)});
  auto u = kernels::gemm::append(b, x, b.constant(hal::DType::f32, {width, width}, 1, {}, nullptr));
  auto logits = kernels::gemm::append(b, u, b.constant(hal::DType::f32, {experts, width}, 2, {}, nullptr));
  auto choice = kernels::router_topk::append(b, logits, chosen);
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

std::vector<double> values_of(const std::vector<std::vector<double>>& all, std::uint32_t v) { return all[v]; }

void expect_equal(const kernels::Case& c, std::int64_t cut) {
  kernels::CaseData whole = kernels::make_data(c, 5);
  const hal::Segment& s = whole.c.segment;
  std::vector<std::vector<double>> expected;
  ASSERT_TRUE(kernels::run_reference(whole, expected));
  auto split = split_experts(s, cut);
  ASSERT_TRUE(split) << hal::describe(split.error());
  ASSERT_TRUE(kernels::check(split->first)) << hal::describe(kernels::check(split->first).error());
  ASSERT_TRUE(kernels::check(split->second)) << hal::describe(kernels::check(split->second).error());

  auto run = [&](const hal::Segment& part, const std::vector<ExpertSplit::Source>& sources,
                 const std::vector<std::vector<double>>& first_values) {
    kernels::CaseData data{{"part", part, c.dims, {}, false, true}, {}, {}};
    data.bytes.resize(part.values.size());
    data.exact.resize(part.values.size());
    for (std::size_t i = 0; i < part.inputs.size(); ++i)
      data.exact[part.inputs[i]] = sources[i].from_first
                                       ? values_of(first_values, split->first.outputs[sources[i].index])
                                       : whole.exact[s.inputs[sources[i].index]];
    for (const hal::Constant& k : part.constants) {
      EXPECT_EQ(k.data.size(), hal::max_bytes(part.values[k.value]));
      data.exact[k.value] = kernels::decode(part.values[k.value], c.dims, k.data);
    }
    std::vector<std::vector<double>> values;
    auto done = kernels::run_reference(data, values);
    EXPECT_TRUE(done) << (done ? "" : hal::describe(done.error()));
    return values;
  };
  auto first = run(split->first, split->first_inputs, {});
  auto second = run(split->second, split->second_inputs, first);
  ASSERT_EQ(split->outputs.size(), s.outputs.size());
  for (std::size_t i = 0; i < s.outputs.size(); ++i) {
    const auto& source = split->outputs[i];
    const auto& got =
        source.from_first ? first[split->first.outputs[source.index]] : second[split->second.outputs[source.index]];
    const auto& want = expected[s.outputs[i]];
    ASSERT_EQ(got.size(), want.size());
    double norm = 0;
    for (double w : want) norm = std::max(norm, std::abs(w));
    EXPECT_GT(norm, 0);
    for (std::size_t j = 0; j < want.size(); ++j)
      ASSERT_NEAR(got[j], want[j], 1e-12 * norm) << "cut " << cut << " output " << i;
  }
  // The experts themselves are halved, nothing is kept twice.
  auto bytes = [](const hal::Segment& part) {
    hal::Bytes sum = 0;
    for (const hal::Constant& k : part.constants)
      if (part.values[k.value].shape.size() == 3) sum += hal::max_bytes(part.values[k.value]);
    return sum;
  };
  EXPECT_EQ(bytes(split->first) + bytes(split->second), bytes(s));
  EXPECT_EQ(bytes(split->first) * static_cast<hal::Bytes>(experts), bytes(s) * static_cast<hal::Bytes>(cut));
}

TEST(Experts, TwoPartsEqualTheWhole) {
  for (bool fused : {false, true})
    for (bool residual : {false, true})
      for (bool after : {false, true})
        for (std::int64_t cut : {1, 3, 5}) expect_equal(layer(hal::DType::f32, fused, residual, after), cut);
  expect_equal(layer(hal::DType::q8_0, false, true, true), 2);
}

TEST(Experts, PlannedWithoutData) {
  auto split = split_experts(layer(hal::DType::q8_0, false, true, false).segment, 4);
  ASSERT_TRUE(split);
  EXPECT_TRUE(kernels::check(split->first));
  EXPECT_TRUE(kernels::check(split->second));
  EXPECT_EQ(split->second.nodes.size(), 1u);
  EXPECT_NE(hal::hash(split->first), hal::hash(split->second));
}

TEST(Experts, WhatCannotBeSplitSaysWhy) {
  hal::Segment s = layer(hal::DType::f32, false, true, false).segment;
  EXPECT_EQ(split_experts(s, 0).error().code, hal::Code::invalid_argument);
  EXPECT_EQ(split_experts(s, experts).error().code, hal::Code::invalid_argument);
  auto once = split_experts(s, 3);
  ASSERT_TRUE(once);
  EXPECT_NE(split_experts(once->first, 2).error().message.find("elsewhere already"), std::string::npos);
  s.nodes.pop_back();
  EXPECT_NE(split_experts(s, 3).error().message.find("no expert_gemm"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::scheduler
