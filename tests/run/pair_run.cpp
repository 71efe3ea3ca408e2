// Prefill on one device and decode on another: the tokens of a run on one, and the bytes of the plan.
#include "scheduler/run/pair_run.h"

#include "scheduler/plan/pair.h"
#include "scheduler/run/place.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"
#include "tests/support/planning.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::WantLogits;
using test::golden;
using test::oracle_path;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

models::Model load(const std::string& name) {
  auto loaded = models::load(oracle_path("models/" + name));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  return std::move(loaded).value();
}

std::unique_ptr<Executor> open_engine(const std::string& name, hal::DeviceRef device, ExecutorOptions options = {}) {
  if (options.context == ExecutorOptions{}.context) options.context = 512;
  models::Model model = load(name);
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), std::move(device));
  auto executor = Executor::open(std::move(model), std::move(devices), options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

// The whole conversation on one executor.
std::vector<std::int32_t> alone(Executor& executor, std::span<const std::int32_t> prompt, std::size_t n) {
  auto sequence = std::move(executor.create_sequence()).value();
  auto logits = std::move(executor.feed(*sequence, prompt, WantLogits::last)).value();
  std::vector<std::int32_t> made;
  while (made.size() < n) {
    made.push_back(scheduler::greedy(logits));
    logits = std::move(executor.feed(*sequence, {&made.back(), 1}, WantLogits::last)).value();
  }
  return made;
}

hal::Bytes planned_bytes(const models::Model& model, const ExecutorOptions& options, std::size_t prompt) {
  hal::Bytes bytes = 0;
  for (std::int64_t u = 0; u < models::unit_count(model); ++u)
    bytes += models::state_bytes(model, u, static_cast<std::int64_t>(prompt), options.kv);
  return bytes;
}

struct PairOf : testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(PairOf, GivesTheTokensOfTheDecodeDevice) {
  const auto [name, first, second] = GetParam();
  auto prefill = open_engine(name, test::open_device(first, sims));
  auto decode = open_engine(name, test::open_device(second, sims));
  auto g = golden(name);
  for (int n : {1, 7, 64, 300}) {
    const auto prompt = g.tokens(n);
    const auto want = g.greedy(n);
    auto run = scheduler::run_pair(*prefill, *decode, prompt, static_cast<std::int64_t>(want.size()));
    ASSERT_TRUE(run) << hal::describe(run.error());
    EXPECT_EQ(run->tokens, alone(*decode, prompt, want.size())) << n;
    EXPECT_EQ(run->tokens, want) << n;
    EXPECT_EQ(run->handoff_bytes, planned_bytes(decode->model(), decode->options(), prompt.size())) << n;
    auto log = prompt;
    log.insert(log.end(), want.begin(), want.end());
    EXPECT_EQ(run->sequence->log(), log);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, PairOf,
                         testing::Values(std::tuple{"moe-hybrid-f32", "sim:kernel", "cpu:0"},
                                         std::tuple{"moe-hybrid-f32", "cpu:0", "sim:graph"},
                                         std::tuple{"moe-hybrid-f32", "cpu:0", "cpu:0"},
                                         std::tuple{"dense-hybrid-f32", "sim:graph", "cpu:0"},
                                         std::tuple{"pure-mamba-f32", "cpu:0", "sim:kernel"},
                                         std::tuple{"dense-transformer-f32", "sim:kernel", "cpu:0"}),
                         [](const auto& i) {
                           return test::as_name(std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param) + "_" +
                                                std::get<2>(i.param));
                         });

// From a plan: prompts on a device that computes fast, tokens on one that reads fast.
TEST(PairRun, HandsOverTheBytesOfItsPlan) {
  auto p = test::place("two-cards");
  for (auto& d : p.profile.devices) {
    d.read.per_second = d.id == "cpu:0" ? 100e9 : d.id == "vulkan:0" ? 20e9 : 1e9;
    for (auto products : {kernels::Products::f32, kernels::Products::int8, kernels::Products::bf16})
      d.compute[products].per_second = d.id == "vulkan:0" ? 1e15 : 1e11;
    for (auto* copies : {&d.to_device, &d.to_host}) copies->points = {{4096, {1e-9, 1e-9, 1e-9, 0, 5, 1, 1}}};
  }
  for (hal::DType kv : {hal::DType::f32, hal::DType::f16}) {
    ExecutorOptions options;
    options.context = 512;
    options.kv = kv;
    const models::Model model = load("moe-hybrid-f32");
    scheduler::PairRequest request;
    request.plan = scheduler::request_for(model, options);
    request.plan.prompt = 300;
    request.output = 16;
    auto plan = scheduler::make_pair_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    for (const auto& u : plan->best.units)
      if (u.handoff_bytes || u.kind == "mamba" || u.kind == "attention") {
        EXPECT_EQ(u.prefill, "vulkan:0") << u.unit;
        EXPECT_EQ(u.decode, "cpu:0") << u.unit;
      }
    auto prefill = open_engine("moe-hybrid-f32", test::open_device("sim:kernel", sims), options);
    auto decode = open_engine("moe-hybrid-f32", test::open_device("cpu:0"), options);
    auto run = scheduler::run_pair(*prefill, *decode, golden("moe-hybrid-f32").tokens(300), 4);
    ASSERT_TRUE(run) << hal::describe(run.error());
    EXPECT_GT(run->handoff_bytes, 0u);
    EXPECT_EQ(run->handoff_bytes, plan->best.handoff_bytes);
  }
}

TEST(PairRun, RefusesWhatMakesNoSenseBeforeItRuns) {
  auto a = open_engine("dense-hybrid-f32", test::open_device("cpu:0"));
  auto other = open_engine("pure-mamba-f32", test::open_device("cpu:0"));
  ExecutorOptions f16, small;
  f16.kv = hal::DType::f16;
  small.context = 64;
  auto halves = open_engine("dense-hybrid-f32", test::open_device("cpu:0"), f16);
  auto narrow = open_engine("dense-hybrid-f32", test::open_device("cpu:0"), small);
  const std::vector<std::int32_t> prompt(60, 1), none;
  auto refused = [&](Executor& prefill, Executor& decode, std::span<const std::int32_t> tokens, std::int64_t output,
                     const char* word) {
    auto run = scheduler::run_pair(prefill, decode, tokens, output);
    ASSERT_FALSE(run) << word;
    EXPECT_EQ(run.error().code, hal::Code::invalid_argument);
    EXPECT_NE(run.error().message.find(word), std::string::npos) << run.error().message;
    EXPECT_EQ(prefill.steps(), 0u);
  };
  refused(*a, *a, none, 4, "a prompt of 0 tokens");
  refused(*a, *a, prompt, 0, "and 0 after it");
  refused(*a, *narrow, prompt, 5, "decode executor has a context of 64");
  refused(*narrow, *a, std::vector<std::int32_t>(65, 1), 5, "prefill executor has a context of 64");
  refused(*a, *other, prompt, 4, "the state belongs to model");
  refused(*a, *halves, prompt, 4, "KV cache is f32");
  auto fits = scheduler::run_pair(*a, *narrow, prompt, 4);
  EXPECT_TRUE(fits) << hal::describe(fits.error());
}

}  // namespace
}  // namespace switchyard
