// Several steps in flight give what the same steps give one after another, bit for bit; and who fails, fails alone.
#include "scheduler/run/pipeline.h"

#include <fstream>

#include "tests/support/devices.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::GroupStep;
using scheduler::Pipeline;
using scheduler::PipelineResult;
using scheduler::Sequence;
using scheduler::StepItem;
using scheduler::StepResult;
using scheduler::WantLogits;
using Tokens = std::vector<std::int32_t>;

const std::vector<std::string> shared_sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json",
                                           "tests/data/sim/faulty_late.json"};

// Stages of the same width on these devices; their names may repeat.
hal::Result<std::unique_ptr<Executor>> try_engine(const std::vector<std::string>& stages,
                                                  const std::vector<std::string>& sims = shared_sims) {
  auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
  if (!model) throw std::runtime_error(hal::describe(model.error()));
  std::map<std::string, hal::DeviceRef> opened;
  std::vector<hal::DeviceRef> devices;
  const auto units = static_cast<std::size_t>(models::unit_count(*model));
  for (std::size_t u = 0; u < units; ++u) {
    hal::DeviceRef& device = opened[stages[u * stages.size() / units]];
    if (!device) device = test::open_device(stages[u * stages.size() / units], sims);
    devices.push_back(device);
  }
  scheduler::ExecutorOptions options;
  options.context = 256;
  options.page_size = 16;
  return Executor::open(std::move(model).value(), devices, options);
}

std::unique_ptr<Executor> open_engine(const std::vector<std::string>& stages) {
  auto executor = try_engine(stages);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

// Groups of conversations that go on greedily: a prompt each (or a first token), then one row of each per round.
struct Talk {
  Talk(Executor& opened, const std::vector<std::vector<Tokens>>& prompts) : executor(opened), next(prompts) {
    for (const auto& group : prompts) {
      auto& mine = sequences.emplace_back();
      for (std::size_t s = 0; s < group.size(); ++s) {
        auto sequence = executor.create_sequence();
        if (!sequence) throw std::runtime_error(hal::describe(sequence.error()));
        mine.push_back(std::move(sequence).value());
      }
    }
    logits.resize(prompts.size());
  }
  GroupStep step(std::size_t g) {
    GroupStep items;
    for (std::size_t s = 0; s < sequences[g].size(); ++s)
      items.push_back({sequences[g][s].get(), next[g][s], WantLogits::last});
    return items;
  }
  GroupStep take(std::size_t g, const StepResult& result) {
    logits[g].push_back(result.logits);
    for (std::size_t s = 0; s < sequences[g].size(); ++s) next[g][s] = {scheduler::greedy(result.logits[s])};
    return logits[g].size() < rounds[g] ? step(g) : GroupStep{};
  }
  std::vector<GroupStep> first() {
    std::vector<GroupStep> steps;
    for (std::size_t g = 0; g < sequences.size(); ++g) steps.push_back(step(g));
    return steps;
  }
  void one_after_another() {
    for (std::size_t g = 0; g < sequences.size(); ++g)
      for (GroupStep items = step(g); !items.empty();) {
        auto result = executor.step(items);
        ASSERT_TRUE(result) << hal::describe(result.error());
        items = take(g, *result);
      }
  }
  hal::Result<PipelineResult> in_flight() {
    return Pipeline::run(
        executor, first(),
        [&](std::size_t g, std::int64_t round, const StepResult& result) {
          EXPECT_EQ(round, static_cast<std::int64_t>(logits[g].size()));
          order.emplace_back(round, g);
          return take(g, result);
        },
        true);
  }
  std::vector<std::vector<Tokens>> logs() const {
    std::vector<std::vector<Tokens>> all;
    for (const auto& group : sequences)
      for (auto& mine = all.emplace_back(); const auto& s : group) mine.push_back(s->log());
    return all;
  }

  Executor& executor;
  std::vector<std::vector<Tokens>> next;
  std::vector<std::size_t> rounds;
  std::vector<std::vector<std::unique_ptr<Sequence>>> sequences;
  std::vector<std::vector<std::vector<std::vector<float>>>> logits;  // by group, round, sequence
  std::vector<std::pair<std::int64_t, std::size_t>> order;
};

// Groups of one to three sequences, prompts of 1 to 40 tokens, so that pages and slots grow while others are in flight.
std::vector<std::vector<Tokens>> prompts(std::size_t groups) {
  const Tokens all = test::golden("moe-hybrid-f32").tokens(300);
  std::vector<std::vector<Tokens>> made;
  std::size_t at = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    auto& group = made.emplace_back();
    for (std::size_t s = 0; s <= g % 3; ++s) {
      const std::size_t length = 1 + (at * 7 + 13 * s) % 40;
      group.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                         all.begin() + static_cast<std::ptrdiff_t>(at + length));
      at += length;
    }
  }
  return made;
}

struct Spread {
  const char* name;
  std::vector<std::string> stages;
  std::vector<std::size_t> rounds;  // by group
  friend void PrintTo(const Spread& s, std::ostream* out) { *out << s.name; }
};

struct InFlight : testing::TestWithParam<Spread> {};

TEST_P(InFlight, EqualsOneAfterAnother) {
  const Spread& p = GetParam();
  auto executor = open_engine(p.stages);
  Talk alone(*executor, prompts(p.rounds.size())), together(*executor, prompts(p.rounds.size()));
  alone.rounds = together.rounds = p.rounds;
  alone.one_after_another();
  const std::uint64_t before = executor->steps();
  auto result = together.in_flight();
  ASSERT_TRUE(result) << hal::describe(result.error());
  EXPECT_EQ(together.logits, alone.logits);
  EXPECT_EQ(together.logs(), alone.logs());
  EXPECT_TRUE(std::is_sorted(together.order.begin(), together.order.end()));
  std::uint64_t steps = 0;
  std::vector<std::size_t> jobs_of_stage(p.stages.size());
  for (std::size_t g = 0; g < p.rounds.size(); ++g) {
    EXPECT_FALSE(result->groups[g].error);
    EXPECT_EQ(result->groups[g].rounds, static_cast<std::int64_t>(p.rounds[g]));
    steps += p.rounds[g];
  }
  EXPECT_EQ(executor->steps() - before, steps);
  for (const auto& jobs : result->jobs) {
    auto key = [](const scheduler::PipelineJob& j) { return std::tuple(j.round, j.stage, j.group); };
    EXPECT_TRUE(std::is_sorted(jobs.begin(), jobs.end(), [&](auto& a, auto& b) { return key(a) < key(b); }));
    for (const auto& j : jobs) ++jobs_of_stage[j.stage];
  }
  EXPECT_EQ(jobs_of_stage, std::vector<std::size_t>(p.stages.size(), steps));
  // And the sequences go on where they are.
  for (std::size_t g = 0; g < p.rounds.size(); ++g) {
    auto a = executor->step(alone.step(g)), b = executor->step(together.step(g));
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->logits, b->logits);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Spreads, InFlight,
    testing::Values(Spread{"one_device", {"cpu:0"}, {5, 5, 5}}, Spread{"one_group", {"cpu:0", "sim:kernel"}, {6}},
                    Spread{"two_devices", {"cpu:0", "sim:kernel"}, {6, 6}},
                    Spread{"three_groups_three_stages", {"cpu:0", "sim:kernel", "sim:graph"}, {6, 6, 6}},
                    Spread{"between", {"cpu:0", "sim:kernel", "cpu:0"}, {6, 6, 6}},
                    Spread{"between_both", {"sim:kernel", "cpu:0", "sim:kernel", "cpu:0", "sim:graph"}, {5, 5, 5, 5}},
                    Spread{"early_ends", {"sim:kernel", "cpu:0", "sim:kernel"}, {1, 7, 3, 5}},
                    Spread{"more_groups", {"cpu:0", "sim:kernel"}, {4, 2, 5, 3, 4, 1, 4}}),
    [](const auto& i) { return std::string(i.param.name); });

TEST(Pipeline, ADeviceThatFailsEndsTheGroupsThatReachIt) {
  // It fails at a submission in the middle of a round: groups before it have finished the round, others have not.
  auto executor = open_engine({"cpu:0", "sim:faulty_late", "cpu:0"}),
       sound = open_engine({"cpu:0", "sim:kernel", "cpu:0"});
  Talk talk(*executor, prompts(3)), want(*sound, prompts(3));
  talk.rounds = want.rounds = {20, 20, 20};
  want.one_after_another();
  auto result = talk.in_flight();
  ASSERT_TRUE(result) << hal::describe(result.error());
  std::int64_t least = 20, most = 0;
  for (std::size_t g = 0; g < 3; ++g) {
    const auto& ended = result->groups[g];
    ASSERT_TRUE(ended.error) << g;
    EXPECT_EQ(ended.error->code, hal::Code::device_lost) << hal::describe(*ended.error);
    least = std::min(least, ended.rounds);
    most = std::max(most, ended.rounds);
    // What was done before is right, and no token of the failed step is in a log.
    ASSERT_EQ(talk.logits[g].size(), static_cast<std::size_t>(ended.rounds));
    for (std::size_t r = 0; r < talk.logits[g].size(); ++r) EXPECT_EQ(talk.logits[g][r], want.logits[g][r]);
    for (std::size_t s = 0; s < talk.sequences[g].size(); ++s) {
      const Tokens &log = talk.sequences[g][s]->log(), &whole = want.sequences[g][s]->log();
      const std::size_t prompt = prompts(3)[g][s].size();
      EXPECT_EQ(log,
                Tokens(whole.begin(),
                       whole.begin() + static_cast<std::ptrdiff_t>(
                                           ended.rounds ? prompt + static_cast<std::size_t>(ended.rounds) - 1 : 0)));
      EXPECT_FALSE(executor->save(*talk.sequences[g][s])) << "the device state is stale";
    }
  }
  EXPECT_GT(most, 0);
  EXPECT_EQ(most, least + 1) << "the description was to let it fail in the middle of a round";
}

// Whichever allocation of a device fails: the group it was for ends, the others go on, and the group's sequences are
// right again afterwards.
TEST(Pipeline, AGroupThatFailsAloneLeavesTheOthersAndRecovers) {
  auto sound = open_engine({"cpu:0", "sim:kernel", "cpu:0"});
  Talk want(*sound, prompts(3));
  want.rounds = {8, 8, 8};
  want.one_after_another();
  const test::Folder folder;
  const std::string file = folder.file("short_of_memory.json");
  int failed_in_flight = 0;
  for (int n = 1;; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    std::ofstream(file) << R"({"name": "short_of_memory", "faults": {"allocation": )" << n << "}}";
    auto executor = try_engine({"cpu:0", "sim:short_of_memory", "cpu:0"}, {file});
    if (!executor) continue;
    std::optional<Talk> made;
    try {
      made.emplace(**executor, prompts(3));
    } catch (const std::runtime_error&) {
      continue;  // no slots for the sequences
    }
    Talk& talk = *made;
    talk.rounds = want.rounds;
    auto result = talk.in_flight();
    ASSERT_TRUE(result) << hal::describe(result.error());
    bool failed = false;
    for (std::size_t g = 0; g < 3; ++g) {
      if (const auto& error = result->groups[g].error) {
        failed = true;
        EXPECT_EQ(error->code, hal::Code::out_of_memory) << hal::describe(*error);
        for (GroupStep items = talk.step(g); !items.empty();) {
          auto again = (*executor)->step(items);
          ASSERT_TRUE(again) << hal::describe(again.error());
          items = talk.take(g, *again);
        }
      }
      EXPECT_EQ(talk.logits[g], want.logits[g]) << g;
    }
    EXPECT_EQ(talk.logs(), want.logs());
    if (!failed) break;  // there are fewer allocations than that
    ++failed_in_flight;
  }
  EXPECT_GT(failed_in_flight, 3);
}

TEST(Pipeline, RefusesWhatMakesNoSense) {
  auto executor = open_engine({"cpu:0", "sim:kernel"});
  Talk talk(*executor, {{{1, 2}, {3}}, {{4}}});
  auto none = [](std::size_t, std::int64_t, const StepResult&) { return GroupStep{}; };
  auto refused = [&](std::vector<GroupStep> first, const char* word) {
    auto result = Pipeline::run(*executor, std::move(first), none);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, hal::Code::invalid_argument);
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
    for (const auto& group : talk.logs())
      for (const Tokens& log : group) EXPECT_TRUE(log.empty());
  };
  refused({}, "no groups");
  refused({talk.step(0), {}}, "no items");
  refused({talk.step(0), talk.step(0)}, "two groups");
  Tokens outside{320};
  refused({talk.step(0), {{talk.sequences[1][0].get(), outside}}}, "320");

  // A next step that is refused ends its group, with what was done; the other goes on.
  Tokens fine{5};
  auto result = Pipeline::run(*executor, talk.first(), [&](std::size_t g, std::int64_t round, const StepResult&) {
    if (round == 3) return GroupStep{};
    if (g == 0) return GroupStep{{talk.sequences[0][0].get(), fine}};  // the other sequence rests
    return round == 0 ? GroupStep{{talk.sequences[1][0].get(), fine}} : GroupStep{{talk.sequences[0][1].get(), fine}};
  });
  ASSERT_TRUE(result) << hal::describe(result.error());
  EXPECT_FALSE(result->groups[0].error);
  EXPECT_EQ(result->groups[0].rounds, 4);
  EXPECT_EQ(result->groups[1].rounds, 2);
  ASSERT_TRUE(result->groups[1].error);
  EXPECT_EQ(result->groups[1].error->code, hal::Code::invalid_argument);
  EXPECT_EQ(talk.logs(), (std::vector<std::vector<Tokens>>{{{1, 2, 5, 5, 5}, {3}}, {{4, 5}}}));
  EXPECT_TRUE(executor->save(*talk.sequences[1][0]));
}

}  // namespace
}  // namespace switchyard
