// Activations a device may round to 8 bits, beside bf16 weights to bf16: as near to the exact answer as the format
// allows, and still independent of who shares the step.
#include <algorithm>
#include <cmath>

#include "kernels/library.h"
#include "scheduler/run/executor.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::StepItem;
using scheduler::WantLogits;

std::unique_ptr<Executor> open_model(const std::string& name, kernels::Activations activations, hal::DType kv) {
  auto model = models::load(test::oracle_path("gguf/" + name + ".gguf"));
  if (!model) throw std::runtime_error(hal::describe(model.error()));
  scheduler::ExecutorOptions options;
  options.context = 512;
  options.activations = activations;
  options.kv = kv;
  auto count = static_cast<std::size_t>(models::unit_count(*model));
  auto executor = Executor::open(std::move(model).value(), {count, test::open_device("cpu:0")}, options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

struct Rounded : testing::TestWithParam<std::string> {
  void SetUp() override {
    if (!GetParam().ends_with("bf16")) return;
    const auto info = test::open_device("cpu:0")->info();
    for (const kernels::Case& c : kernels::find_op("gemm")->cases())
      for (const std::string& variant : kernels::Library().variants(c.segment, 0, info))
        if (variant.starts_with("bf16")) return;
    GTEST_SKIP() << info.name << " (or this build) has no products of bf16, so nothing is rounded";
  }
  std::unique_ptr<Executor> open(kernels::Activations activations) const {
    return open_model(GetParam(), activations, hal::DType::f32);
  }
  std::vector<std::int32_t> tokens() const { return test::golden("gguf-" + GetParam()).tokens(64); }
};

std::vector<float> all_logits(Executor& executor, std::span<const std::int32_t> tokens) {
  auto sequence = executor.create_sequence();
  auto logits = executor.feed(**sequence, tokens, WantLogits::all);
  if (!logits) throw std::runtime_error(hal::describe(logits.error()));
  return std::move(logits).value();
}

TEST_P(Rounded, TheMedianRowStaysNearTheExactOne) {
  auto exact = open(kernels::Activations::exact), rounded = open(kernels::Activations::rounded);
  const auto want = all_logits(*exact, tokens()), got = all_logits(*rounded, tokens());
  const std::size_t vocab = want.size() / tokens().size();
  std::vector<double> errors;
  for (std::size_t r = 0; r < want.size(); r += vocab) {
    double largest = 0, difference = 0;
    for (std::size_t v = 0; v < vocab; ++v) {
      largest = std::max(largest, std::abs(double(want[r + v])));
      difference = std::max(difference, std::abs(double(want[r + v]) - double(got[r + v])));
    }
    errors.push_back(difference / largest);
  }
  std::sort(errors.begin(), errors.end());
  const double median = errors[errors.size() / 2];
  EXPECT_GT(median, 1e-5) << "nothing was rounded: the exact kernels ran";
  EXPECT_LT(median, 0.08);  // small models with weak layers; the 8-bit step itself is 1 in 127
  std::printf("  %s: median error of a row %.4f, largest %.4f\n", GetParam().c_str(), median, errors.back());
}

// a in one go, b in pieces, alone and beside each other.
void expect_rows_alone_and_mixed_to_be_bit_equal(Executor& opened, const std::vector<std::int32_t>& a) {
  Executor* executor = &opened;
  const std::vector<std::int32_t> b(a.rbegin(), a.rend());
  // Alone: b as a prefill of 40 and single steps; a in one go.
  const auto want_a = all_logits(*executor, a);
  auto lone = executor->create_sequence();
  std::vector<float> want_b = *executor->feed(**lone, std::span(b).first(40), WantLogits::all);
  for (std::size_t i = 40; i < b.size(); ++i) {
    auto row = *executor->feed(**lone, std::span(b).subspan(i, 1), WantLogits::all);
    want_b.insert(want_b.end(), row.begin(), row.end());
  }
  // Together: all of a beside the first of b, then b's rest in one piece beside single tokens of a third sequence.
  auto sa = executor->create_sequence(), sb = executor->create_sequence(), sc = executor->create_sequence();
  StepItem first[] = {{sa->get(), a, WantLogits::all}, {sb->get(), std::span(b).first(40), WantLogits::all}};
  StepItem second[] = {{sc->get(), std::span(a).first(1), WantLogits::last},
                       {sb->get(), std::span(b).subspan(40), WantLogits::all}};
  auto r1 = executor->step(first), r2 = executor->step(second);
  ASSERT_TRUE(r1 && r2);
  std::vector<float> got_b = r1->logits[1];
  got_b.insert(got_b.end(), r2->logits[1].begin(), r2->logits[1].end());
  EXPECT_EQ(r1->logits[0], want_a);
  const std::size_t vocab = want_b.size() / b.size();
  EXPECT_TRUE(std::equal(got_b.begin(), got_b.begin() + static_cast<std::ptrdiff_t>(40 * vocab), want_b.begin()));
  EXPECT_EQ(got_b.size(), want_b.size());
}

TEST_P(Rounded, ARowIsBitEqualAloneAndInAMixedStep) {
  expect_rows_alone_and_mixed_to_be_bit_equal(*open(kernels::Activations::rounded), tokens());
}

TEST(KvCache, InQ8_0IsNearTheExactOneAndRowsStayBitEqual) {
  const std::string name = "quant256-q8_0";
  auto open = [&](hal::DType kv) { return open_model(name, kernels::Activations::exact, kv); };
  const auto tokens = test::golden("gguf-" + name).tokens(64);
  auto exact = open(hal::DType::f32), small = open(hal::DType::q8_0);
  const auto want = all_logits(*exact, tokens), got = all_logits(*small, tokens);
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::abs(double(want[i])));
    difference = std::max(difference, std::abs(double(want[i]) - double(got[i])));
  }
  EXPECT_GT(difference / largest, 1e-6) << "nothing was rounded";
  EXPECT_LT(difference / largest, 0.02);
  std::printf("  KV in q8_0: largest error %.5f of the largest logit\n", difference / largest);
  expect_rows_alone_and_mixed_to_be_bit_equal(*small, tokens);
}

INSTANTIATE_TEST_SUITE_P(Types, Rounded,
                         testing::Values("quant256-q4_0", "quant256-q4_k", "quant256-q5_k", "quant256-q6_k",
                                         "quant256-q8_0", "dense-hybrid-q8_0", "dense-hybrid-bf16",
                                         "dense-transformer-bf16", "moe-hybrid-bf16"),
                         [](const auto& i) { return test::as_name(i.param); });

}  // namespace
}  // namespace switchyard
