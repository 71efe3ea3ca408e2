// Every op's cases on the graph devices, against the double reference.
#include <cmath>
#include <map>

#include "hal/shared/half.h"
#include "tests/graph/one_sequence.h"
#include "tests/support/devices.h"

namespace switchyard::test {
namespace {

const std::vector<std::string> files{"tests/data/sim/graph_any.json", "tests/data/sim/graph_f16.json"};

// Errors of a device that rounds to half after each primitive, largest |difference| over largest |reference|: twice the
// worst measured over all cases with this evaluator.
struct HalfTolerance {
  double error;
  const char* why;
};
const std::map<std::string, HalfTolerance> half_tolerance{
    {"gemm", {2e-3, "weights, inputs and the sum round once each"}},
    {"expert_gemm", {2.5e-3, "two products in a row"}},
    {"router_topk", {1e-3, "exp of a rounded difference"}},
    {"embedding", {2.2e-3, "q5_k: scale, zero point and product round"}},
    {"sampling", {0, "indices"}},
    {"dequantize", {1.8e-3, "q5_k: scale, zero point and product round"}},
    {"add", {1.2e-3, "both parts and the sum round once each"}},
    {"multiply_add", {0, "multiples of 64 stay exact"}},
    {"rmsnorm", {2.6e-3, "five roundings in a row"}},
    {"rope", {2e-3, "two tables and the addition theorem round"}},
    {"causal_conv1d", {2e-3, "a sum of rounded products"}},
    {"ssm_scan", {4e-3, "logarithms of decays round before the exp"}},
    {"selective_scan", {4e-3, "decays multiply over log2 T levels"}},
    {"attention", {2e-3, "scores round before the exp"}},
    {"attention hot", {1.7e-2, "scores of 200 round by 0.06 before the exp"}}};

class Op : public testing::TestWithParam<const OpInfo*> {};

std::string short_name(const OpInfo& op) { return std::string(op.name).substr(0, std::string(op.name).find('@')); }

struct Sum {
  int ran = 0, declined = 0;  // declined: shapes an op's decomposition refuses, with its reason
  double worst = 0;
  std::string at;
};

// The k largest of numbers that become equal in half are other numbers than the k largest before: give both the same.
void round_inputs(CaseData& data) {
  const Segment& s = data.c.segment;
  for (auto v : s.inputs) {
    if (s.values[v].dtype != DType::f32) continue;
    for (double& x : data.exact[v]) x = static_cast<double>(round_to_half(static_cast<float>(x)));
    data.bytes[v] = encode(s.values[v], data.c.dims, data.exact[v]);
  }
}

Sum run_all(const OpInfo& op, Device& device, bool half) {
  Sum sum;
  const std::string name = short_name(op);
  for (const Case& whole : op.cases()) {
    if (!whole.tested) continue;
    for (const Case& c : one_sequence(whole)) {
      // y reaches 5e5 there: no half can hold it
      if (half && name == "ssm_scan" && c.name.starts_with("mixed_hot")) continue;
      CaseData data = make_data(c, 7);
      if (half && (name == "router_topk" || name == "sampling")) round_inputs(data);
      std::vector<std::vector<double>> reference;
      EXPECT_TRUE(run_reference(data, reference));
      auto run = run_on(device, data);
      if (!run) {
        EXPECT_EQ(run.error().code, Code::unsupported) << c.name << ": " << describe(run.error());
        ++sum.declined;
        continue;
      }
      ++sum.ran;
      Comparison worst = compare(data, reference, *run);
      if (worst.error > sum.worst) sum.worst = worst.error, sum.at = c.name;
      const bool hot = name == "attention" && c.name.starts_with("mixed_hot");
      auto known = half_tolerance.find(hot ? name + " hot" : name);
      if (half && known == half_tolerance.end()) {
        ADD_FAILURE() << name << " has no line in half_tolerance above";
        return sum;
      }
      const double tolerance = half ? known->second.error : 1e-4;
      EXPECT_LE(worst.error, tolerance) << op.name << " " << c.name << " value " << worst.value;
    }
  }
  return sum;
}

TEST_P(Op, F32) {
  if (!GetParam()->decompose) GTEST_SKIP() << GetParam()->name << " is not for graph devices";
  auto device = open_device("sim:graph_any", files);
  Sum sum = run_all(*GetParam(), *device, false);
  EXPECT_GT(sum.ran, 0);
  std::printf("  %-16s f32: %d cases, %d declined, worst %.1e (%s)\n", GetParam()->name, sum.ran, sum.declined,
              sum.worst, sum.at.c_str());
}

TEST_P(Op, F16) {
  if (!GetParam()->decompose) GTEST_SKIP() << GetParam()->name << " is not for graph devices";
  auto device = open_device("sim:graph_f16", files);
  Sum sum = run_all(*GetParam(), *device, true);
  EXPECT_GT(sum.ran, 0);
  std::printf("  %-16s f16: %d cases, %d declined, worst %.1e (%s)\n", GetParam()->name, sum.ran, sum.declined,
              sum.worst, sum.at.c_str());
}

INSTANTIATE_TEST_SUITE_P(Graph, Op, testing::ValuesIn(ops()), [](const auto& each) { return short_name(*each.param); });

}  // namespace
}  // namespace switchyard::test
