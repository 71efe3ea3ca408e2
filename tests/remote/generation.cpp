// Whole models on devices in processes of their own: the same bits, and after a kill -9 at any moment nothing is lost
// but time.
#include <signal.h>

#include <random>
#include <thread>

#include "scheduler/run/executor.h"
#include "tests/remote/rig.h"
#include "tests/support/golden.h"

namespace switchyard::test {
namespace {

using scheduler::Executor;
using scheduler::WantLogits;

constexpr const char* model_name = "moe-hybrid-f32";

Result<std::unique_ptr<Executor>> open_model(const DeviceRef& device, const char* name = model_name) {
  HAL_TRY(auto model, models::load(oracle_path("models/" + std::string(name))));
  std::vector<DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), device);
  scheduler::ExecutorOptions options;
  options.context = 512;
  return Executor::open(std::move(model), devices, options);
}

struct Generated {
  std::vector<float> prefill;
  std::vector<std::int32_t> tokens;
  std::vector<float> last;
  bool operator==(const Generated&) const = default;
};
Generated generate(const DeviceRef& device, const char* name, const std::vector<std::int32_t>& prompt, std::size_t n) {
  auto executor = open_model(device, name);
  if (!executor) throw std::runtime_error(describe(executor.error()));
  auto sequence = (*executor)->create_sequence();
  auto fed = (*executor)->feed(**sequence, prompt, WantLogits::all);
  if (!fed) throw std::runtime_error(describe(fed.error()));
  Generated g{*fed, {}, {fed->end() - (*executor)->model().config.vocab, fed->end()}};
  while (g.tokens.size() < n) {
    g.tokens.push_back(scheduler::greedy(g.last));
    auto next = (*executor)->feed(**sequence, {&g.tokens.back(), 1}, WantLogits::last);
    if (!next) throw std::runtime_error(describe(next.error()));
    g.last = *next;
  }
  return g;
}

struct SameBits : Remote, testing::WithParamInterface<std::tuple<const char*, const char*>> {};
TEST_P(SameBits, AsInThisProcess) {
  const auto [name, id] = GetParam();
  const std::string api = std::string(id).substr(0, std::string(id).find(':'));
  const Asked asked{"", 30s, {"tests/data/sim/kernel.json", "tests/data/sim/graph.json"}};
  auto g = golden(name);
  const auto here = generate(open(*backend(api, asked, true), id), name, g.tokens(64), 16);
  const auto there = generate(open(*backend(api, asked), id), name, g.tokens(64), 16);
  EXPECT_EQ(there, here);
  auto want = g.greedy(64);
  want.resize(std::min<std::size_t>(want.size(), 16));
  EXPECT_EQ(std::vector(there.tokens.begin(), there.tokens.begin() + static_cast<std::ptrdiff_t>(want.size())), want);
}
INSTANTIATE_TEST_SUITE_P(Models, SameBits,
                         testing::Combine(testing::Values(model_name, "dense-hybrid-f32"),
                                          testing::Values("cpu:0", "sim:kernel", "sim:graph")),
                         [](const auto& i) {
                           std::string text = std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param);
                           std::replace_if(
                               text.begin(), text.end(), [](char c) { return !std::isalnum(c); }, '_');
                           return text;
                         });

// A conversation goes on, process after process, each killed at a random moment of its life.
TEST_F(Remote, KilledAtRandomMomentsOfAGeneration) {
  constexpr int kills = 60;
  constexpr unsigned seed = 20261123;
  std::mt19937 random(seed);
  auto g = golden(model_name);
  const auto prompt = g.tokens(64);
  const Generated want = generate(open(*backend("cpu", {}, true)), model_name, prompt, 200);

  auto b = backend("cpu");
  std::vector<std::int32_t> log = prompt;
  int killed = 0, while_opening = 0;
  // What a life takes that is left alone, for moments all over it.
  const auto alone = std::chrono::steady_clock::now();
  ASSERT_EQ(generate(open(*b), model_name, prompt, 100).tokens,
            std::vector(want.tokens.begin(), want.tokens.begin() + 100));
  const auto life = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - alone);

  while (killed < kills) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", kill " + std::to_string(killed));
    const auto begin = std::chrono::steady_clock::now();
    DeviceRef device = open(*b);
    const int process = remote::process_of(*device);
    const std::chrono::microseconds moment(random() % static_cast<unsigned>(life.count()));
    std::thread killer([&] {
      std::this_thread::sleep_for(moment);
      ::kill(process, SIGKILL);
    });
    // Goes on until it is killed; rolls over to the prompt where the golden ends.
    auto speak = [&]() -> Status {
      HAL_TRY(auto executor, open_model(device));
      HAL_TRY(auto sequence, executor->create_sequence());
      HAL_TRY(auto logits, executor->feed(*sequence, log, WantLogits::last));
      for (;;) {
        const std::int32_t token = scheduler::greedy(logits);
        const std::size_t at = log.size() - prompt.size();
        if (at < want.tokens.size()) {
          EXPECT_EQ(token, want.tokens[at]) << "token " << at;
        }
        if (log.size() >= 260) {
          log = prompt;
          HAL_TRY(sequence, executor->create_sequence());
          HAL_TRY(logits, executor->feed(*sequence, log, WantLogits::last));
          continue;
        }
        auto next = executor->feed(*sequence, {&token, 1}, WantLogits::last);
        if (!next) {
          EXPECT_EQ(sequence->log().size(), log.size()) << "a token whose step failed is not in the log";
          return next.error();
        }
        log.push_back(token);
        logits = std::move(*next);
      }
    };
    const std::size_t before = log.size();
    Status ended = speak();
    killer.join();
    expect_lost(ended, "signal 9");
    while_opening += log.size() == before;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, life + 20s);
    ++killed;
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_LT(while_opening, kills);
  RecordProperty("killed_before_a_token", while_opening);
}

}  // namespace
}  // namespace switchyard::test
