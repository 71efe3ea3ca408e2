// One layer's experts on two devices: each runs its share, the second takes the first's sum as its residual.
#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "kernels/router_topk/router_topk.h"
#include "scheduler/experts/split.h"
#include "tests/support/devices.h"

namespace switchyard {
namespace {

using namespace kernels;

// router, experts and the shared MLP of one small layer.
Case layer() {
  SegmentBuilder b;
  constexpr std::int64_t hidden = 64, experts = 8, width = 32, t = 13;
  const hal::Dim rows = hal::Dim::open(sym_rows, 1, t);
  auto x = b.input(hal::DType::f32, {rows, hal::Dim::fixed(hidden)});
  auto residual = b.input(hal::DType::f32, {rows, hal::Dim::fixed(hidden)});
  auto weight = [&, key = std::uint64_t{0}](hal::DType type, std::vector<std::int64_t> shape) mutable {
    return b.constant(type, shape, ++key, {}, nullptr);
  };
  auto chosen = router_topk::append(b, gemm::append(b, x, weight(hal::DType::f32, {experts, hidden})), 2);
  expert_gemm::Inputs in{x, chosen.index, chosen.gate, weight(hal::DType::q8_0, {experts, width, hidden})};
  in.w_up = weight(hal::DType::q8_0, {experts, width, hidden});
  in.w_down = weight(hal::DType::q8_0, {experts, hidden, width});
  in.residual = residual;
  b.output(expert_gemm::append(b, in, {experts, 0.22f}));
  return {"layer", b.take(), {t}, {}, false, true};
}

struct SplitExperts : testing::TestWithParam<std::string> {};

TEST_P(SplitExperts, RunOnTwoDevices) {
  auto first = test::open_device("cpu:0"), second = test::open_device(GetParam(), {"tests/data/sim/kernel.json"});
  CaseData whole = make_data(layer(), 7);
  std::vector<std::vector<double>> want;
  ASSERT_TRUE(run_reference(whole, want));
  for (std::int64_t cut : {1, 4, 7}) {
    auto split = scheduler::split_experts(whole.c.segment, cut);
    ASSERT_TRUE(split) << hal::describe(split.error());
    auto part = [&](const hal::Segment& segment, const std::vector<scheduler::ExpertSplit::Source>& sources,
                    const CaseRun* before, const hal::Segment* before_segment) {
      Case c{"part", segment, whole.c.dims, {}, false, true};
      for (std::size_t i = 0; i < sources.size(); ++i)
        c.fills[segment.inputs[i]].values = sources[i].from_first
                                                ? before->values[before_segment->outputs[sources[i].index]]
                                                : whole.exact[whole.c.segment.inputs[sources[i].index]];
      return make_data(c, 1);
    };
    auto a = run_on(*first, part(split->first, split->first_inputs, nullptr, nullptr));
    ASSERT_TRUE(a) << hal::describe(a.error());
    auto b = run_on(*second, part(split->second, split->second_inputs, &*a, &split->first));
    ASSERT_TRUE(b) << hal::describe(b.error());
    ASSERT_FALSE(split->outputs[0].from_first);
    const auto& got = b->values[split->second.outputs[split->outputs[0].index]];
    const auto& reference = want[whole.c.segment.outputs[0]];
    ASSERT_EQ(got.size(), reference.size());
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(reference[i]));
      difference = std::max(difference, std::abs(reference[i] - got[i]));
    }
    EXPECT_LT(difference, 2e-5 * largest) << "cut at " << cut;
  }
}

std::vector<std::string> partners() {
  auto ids = test::found_devices();
  ids.push_back("sim:kernel");
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Devices, SplitExperts, testing::ValuesIn(partners()),
                         [](const auto& i) { return test::as_name(i.param); });

}  // namespace
}  // namespace switchyard
