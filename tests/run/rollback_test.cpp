// Sequences that go back and fork, against sequences that never did: random runs of both, the same logs in the same
// portions, the same bits (but for steps of many rows that are cut within: their rows are those of the whole step).
#include <array>
#include <fstream>
#include <random>
#include <set>

#include "kernels/ssm_scan/ssm_scan.h"
#include "scheduler/run/executor.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::RollbackHow;
using scheduler::Sequence;
using scheduler::StateUse;
using scheduler::StepItem;
using scheduler::WantLogits;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};
constexpr std::int32_t vocab = 320;

std::unique_ptr<Executor> open_executor(const std::string& model, std::vector<hal::DeviceRef> devices,
                                        ExecutorOptions options) {
  auto loaded = models::load(test::oracle_path("models/" + model));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  if (devices.size() == 1) devices.resize(static_cast<std::size_t>(models::unit_count(*loaded)), devices[0]);
  auto executor = Executor::open(std::move(loaded).value(), devices, options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

ExecutorOptions small() {
  ExecutorOptions options;
  options.context = 256;
  options.max_rows = 96;
  options.page_size = 16;
  return options;
}

struct Random {
  std::mt19937 engine;
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(engine); }
  std::vector<std::int32_t> tokens(std::size_t n) {
    std::vector<std::int32_t> made(n);
    for (auto& t : made) t = static_cast<std::int32_t>(below(vocab));
    return made;
  }
};

// A sequence, and in what portions its log would have to run from nothing to give its very bits.
struct Known {
  std::unique_ptr<Sequence> sequence;
  std::vector<std::size_t> portions;
  std::vector<std::int32_t> log;
  // Rows from here on were made in a longer step than `portions` says, of so many rows that a scan of fewer adds up in
  // another order: equal but for rounding.
  std::size_t rounded_from = SIZE_MAX;

  void cut(std::size_t length, bool rewound) {
    log.resize(length);
    if (length <= rounded_from) rounded_from = SIZE_MAX;
    std::size_t sum = 0, n = 0;
    for (; n < portions.size() && sum < length; ++n) {
      const std::size_t rows = std::min(portions[n], length - sum);
      if (rewound && rows < portions[n] && portions[n] > kernels::ssm_scan::step_order_rows)
        rounded_from = std::min(rounded_from, sum);
      portions[n] = rows;
      sum += rows;
    }
    portions.resize(n);
  }
  void add(std::size_t rows, std::size_t most) {
    for (; rows > 0; rows -= portions.back()) portions.push_back(std::min(rows, most));
  }
};

std::vector<float> feed(Executor& executor, Sequence& sequence, std::span<const std::int32_t> tokens) {
  auto fed = executor.feed(sequence, tokens, WantLogits::last);
  if (!fed) throw std::runtime_error(hal::describe(fed.error()));
  return std::move(fed).value();
}

// The same bits: what its state is, and the logits of the next token.
void expect_as_from_nothing(Executor& executor, Known& known, bool exact) {
  ASSERT_EQ(known.sequence->log(), known.log);
  exact = exact && known.rounded_from == SIZE_MAX;
  auto fresh = std::move(executor.create_sequence()).value();
  std::size_t done = 0;
  for (std::size_t rows : known.portions) {
    feed(executor, *fresh, std::span(known.log).subspan(done, rows));
    done += rows;
  }
  ASSERT_EQ(done, known.log.size());
  auto got = executor.save(*known.sequence), want = executor.save(*fresh);
  ASSERT_TRUE(got) << hal::describe(got.error());
  ASSERT_TRUE(want);
  ASSERT_EQ(got->layers.size(), want->layers.size());
  double worst = 0;
  auto compare = [&](const std::vector<std::byte>& a, const std::vector<std::byte>& b, std::int64_t layer,
                     const char* what) {
    ASSERT_EQ(a.size(), b.size());
    EXPECT_TRUE(!exact || a == b) << what << " of layer " << layer;
    for (std::size_t i = 0; i + 4 <= a.size(); i += 4) {
      float x, y;
      std::memcpy(&x, &a[i], 4);
      std::memcpy(&y, &b[i], 4);
      worst = std::max(worst, double(std::abs(x - y)) / std::max(1.0, double(std::abs(y))));
    }
  };
  for (const auto& [layer, a] : got->layers) {
    const auto& b = want->layers.at(layer);
    compare(a.conv_window, b.conv_window, layer, "window");
    compare(a.ssm_state, b.ssm_state, layer, "state");
    compare(a.k, b.k, layer, "keys");
    compare(a.v, b.v, layer, "values");
  }
  EXPECT_LT(worst, 1e-3);
}

struct Runs : testing::TestWithParam<std::tuple<std::string, const char*>> {
  std::string device() const { return std::get<0>(GetParam()); }
  std::string model() const { return std::get<1>(GetParam()); }
};

TEST_P(Runs, OfAnyKindGiveTheBitsOfFreshSequences) {
  auto opened = test::open_device(device(), sims);
  const bool exact = opened->info().accepts(hal::Format::call);
  std::set<RollbackHow> ways;
  for (unsigned seed = 0; seed < 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random{std::mt19937(seed)};
    ExecutorOptions options = small();
    options.checkpoints = static_cast<std::int64_t>(random.below(4));
    options.rewind = std::array{0, 64, 8, 32}[seed];
    auto executor = open_executor(model(), {opened}, options);
    const StateUse nothing = executor->state_use();
    EXPECT_EQ(nothing.slots, 0);
    std::vector<Known> all;
    for (int op = 0; op < 40; ++op) {
      if (all.empty() || (all.size() < 3 && random.below(8) == 0))
        all.push_back({std::move(executor->create_sequence()).value()});
      Known& one = all[random.below(all.size())];
      switch (random.below(8)) {
        case 0: EXPECT_EQ(static_cast<bool>(executor->checkpoint(*one.sequence)), options.checkpoints > 0); break;
        case 1: {
          const std::size_t tokens = random.below(std::min<std::size_t>(one.log.size(), 80) + 1);
          const std::size_t near = executor->reach(*one.sequence, one.log.size() - tokens);
          auto report = executor->rollback(*one.sequence, static_cast<std::int64_t>(tokens));
          ASSERT_TRUE(report) << hal::describe(report.error());
          EXPECT_EQ(report->how == RollbackHow::replay, near < one.log.size() - tokens) << to_string(report->how);
          ways.insert(report->how);
          const auto again = static_cast<std::size_t>(report->how == RollbackHow::replay ? report->tokens : 0);
          const std::size_t length = one.log.size() - tokens;
          std::vector<std::int32_t> log(one.log.begin(), one.log.begin() + static_cast<std::ptrdiff_t>(length));
          one.cut(length - again, report->how == RollbackHow::rewind);
          one.add(again, static_cast<std::size_t>(options.max_rows));
          one.log = log;
          expect_as_from_nothing(*executor, one, exact);
          break;
        }
        case 2: {
          if (all.size() == 4) break;
          Known twin{std::move(executor->fork(*one.sequence)).value(), one.portions, one.log, one.rounded_from};
          all.push_back(std::move(twin));
          break;
        }
        case 3:
          if (random.below(3) == 0) all.erase(all.begin() + (&one - all.data()));
          break;
        default: {  // a step of some of them
          std::vector<std::vector<std::int32_t>> tokens(all.size());
          std::vector<StepItem> items;
          std::size_t left = static_cast<std::size_t>(options.max_rows);
          for (std::size_t i = 0; i < all.size(); ++i) {
            std::size_t rows = random.below(2) ? 1 + random.below(4) : 1 + random.below(70);
            if (&all[i] != &one && random.below(2)) continue;
            if (rows > left || all[i].log.size() + rows > 250) continue;
            left -= rows;
            tokens[i] = random.tokens(rows);
            items.push_back({all[i].sequence.get(), tokens[i]});
          }
          if (items.empty()) break;
          auto stepped = executor->step(items);
          ASSERT_TRUE(stepped) << hal::describe(stepped.error());
          for (std::size_t i = 0; i < all.size(); ++i) {
            if (tokens[i].empty()) continue;
            all[i].portions.push_back(tokens[i].size());
            all[i].log.insert(all[i].log.end(), tokens[i].begin(), tokens[i].end());
          }
        }
      }
      if (HasFailure()) return;
    }
    for (Known& one : all) expect_as_from_nothing(*executor, one, exact);
    all.clear();
    EXPECT_EQ(executor->state_use(), nothing);
    if (HasFailure()) return;
  }
  if (model() == "dense-transformer-f32") {
    EXPECT_TRUE(ways.count(RollbackHow::cut));
  } else {
    EXPECT_TRUE(ways.count(RollbackHow::checkpoint) && ways.count(RollbackHow::replay));
    EXPECT_EQ(ways.count(RollbackHow::rewind), device() == "sim:graph" ? 0u : 1u) << "fixed shapes are replayed";
  }
}

std::vector<std::string> devices() {
  std::vector<std::string> ids = test::found_devices();
  ids.insert(ids.end(), {"sim:kernel", "sim:graph"});
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Devices, Runs,
                         testing::Combine(testing::ValuesIn(devices()),
                                          testing::Values("moe-hybrid-f32", "pure-mamba-f32", "dense-transformer-f32")),
                         [](const auto& i) {
                           return test::as_name(std::get<0>(i.param) + "_" + std::get<1>(i.param));
                         });

TEST(Rollback, ToACheckpointSwitchesASlotAndRunsNothing) {
  ExecutorOptions options = small();
  options.checkpoints = 2;
  auto executor = open_executor("moe-hybrid-f32", {test::open_device("cpu:0")}, options);
  Random random{std::mt19937(7)};
  auto sequence = std::move(executor->create_sequence()).value();
  for (int n : {20, 5, 4}) {
    feed(*executor, *sequence, random.tokens(static_cast<std::size_t>(n)));
    ASSERT_TRUE(executor->checkpoint(*sequence));  // at 20, 25, 29; 20 is dropped
  }
  EXPECT_EQ(executor->state_use().slots, 2) << "the present state is the last one kept";
  const auto want = feed(*executor, *sequence, std::vector<std::int32_t>{7});
  const auto steps = executor->steps();
  auto report = executor->rollback(*sequence, 1);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->how, RollbackHow::checkpoint);
  EXPECT_EQ(report->tokens, 0);
  EXPECT_EQ(executor->steps(), steps);
  EXPECT_EQ(feed(*executor, *sequence, std::vector<std::int32_t>{7}), want);
  ASSERT_TRUE(executor->rollback(*sequence, 0));
  EXPECT_EQ(executor->rollback(*sequence, 5)->how, RollbackHow::checkpoint);  // 30 - 5
  EXPECT_EQ(sequence->log().size(), 25u);
  EXPECT_EQ(executor->steps(), steps + 1);
  report = executor->rollback(*sequence, 3);  // 22: no state before it is kept but that of nothing
  EXPECT_EQ(report->how, RollbackHow::replay);
  EXPECT_EQ(report->tokens, 22);
  EXPECT_EQ(executor->rollback(*sequence, 22)->how, RollbackHow::checkpoint) << "nothing is always kept";
  EXPECT_EQ(executor->state_use().slots, 0);
}

TEST(Rollback, AKvCacheAloneIsCut) {
  auto executor = open_executor("dense-transformer-f32", {test::open_device("cpu:0")}, small());
  Random random{std::mt19937(8)};
  auto sequence = std::move(executor->create_sequence()).value();
  feed(*executor, *sequence, random.tokens(90));
  EXPECT_EQ(executor->state_use().pages, 6);
  auto report = executor->rollback(*sequence, 30);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->how, RollbackHow::cut);
  EXPECT_EQ(executor->state_use().pages, 4);
}

// The n-th submission to a device fails, and it is lost; for every n.
TEST(Rollback, AFailedReplayLeavesTheLogAsItIsToBe) {
  const test::Folder folder;
  const std::string file = folder.file("fails.json");
  for (int fails = 20; fails < 52; ++fails) {  // opening takes fewer
    SCOPED_TRACE("submission " + std::to_string(fails));
    std::ofstream(file) << R"({"name": "fails", "formats": ["call"], "faults": {"submission": )" << fails << "}}";
    auto device = test::open_device("sim:fails", {file});
    ExecutorOptions options = small();
    options.checkpoints = 1;
    auto executor = open_executor("moe-hybrid-f32", {device}, options);
    Random random{std::mt19937(9)};
    auto sequence = std::move(executor->create_sequence()).value();
    std::vector<std::int32_t> log;
    bool failed = false;
    for (int round = 0; !failed && round < 80; ++round) {
      const auto tokens = random.tokens(1 + random.below(9));
      auto fed = executor->feed(*sequence, tokens, WantLogits::none);
      failed = !fed;
      if (fed) log.insert(log.end(), tokens.begin(), tokens.end());
      EXPECT_EQ(sequence->log(), log);
      if (failed) break;
      if (round % 3 == 0) {
        ASSERT_TRUE(executor->checkpoint(*sequence));
      }
      const std::size_t back = random.below(std::min<std::size_t>(log.size(), 8));
      auto report = executor->rollback(*sequence, static_cast<std::int64_t>(back));
      failed = !report;
      log.resize(log.size() - back);
      EXPECT_EQ(sequence->log(), log);
    }
    EXPECT_TRUE(failed);
    EXPECT_FALSE(executor->save(*sequence)) << "stale";
    EXPECT_FALSE(executor->checkpoint(*sequence)) << "its replay fails too";
    EXPECT_FALSE(executor->fork(*sequence));
    EXPECT_EQ(sequence->log(), log);
    sequence.reset();
    EXPECT_EQ(executor->state_use(), StateUse{});
  }
}

// The n-th allocation fails, once: a step that needs more memory. The sequences in it run again from their logs, the
// others as they are.
TEST(Rollback, AStepThatFailsIsReplayedFromTheLog) {
  const test::Folder folder;
  const std::string file = folder.file("fails_once.json");
  int failures = 0;
  for (int fails = 100, opened = 0; opened < 40; ++fails) {
    SCOPED_TRACE("allocation " + std::to_string(fails));
    std::ofstream(file) << R"({"name": "fails", "formats": ["call"], "faults": {"allocation": )" << fails << "}}";
    auto device = test::open_device("sim:fails", {file});
    ExecutorOptions options = small();
    options.checkpoints = 2;
    options.rewind = 16;
    std::unique_ptr<Executor> executor;
    try {
      executor = open_executor("moe-hybrid-f32", {device}, options);
    } catch (const std::runtime_error&) {  // it failed there
      continue;
    }
    ++opened;
    Random random{std::mt19937(11)};
    std::vector<Known> all;
    for (int round = 0; round < 16; ++round) {
      if (round < 3) all.push_back({std::move(executor->create_sequence()).value()});
      if (round == 3) all.push_back({std::move(executor->fork(*all[0].sequence)).value(), all[0].portions, all[0].log});
      std::vector<std::vector<std::int32_t>> tokens(all.size());
      std::vector<StepItem> items;
      for (std::size_t i = 0; i < all.size(); ++i) {
        tokens[i] = random.tokens(1 + random.below(15));
        items.push_back({all[i].sequence.get(), tokens[i]});
      }
      const bool done = executor->step(items).has_value();
      failures += !done;
      for (std::size_t i = 0; i < all.size(); ++i) {
        Known& one = all[i];
        if (done) {
          one.log.insert(one.log.end(), tokens[i].begin(), tokens[i].end());
          one.portions.push_back(tokens[i].size());
        } else {  // it will run again in the largest portions
          one.portions.clear();
          one.add(one.log.size(), static_cast<std::size_t>(options.max_rows));
        }
        EXPECT_EQ(one.sequence->log(), one.log);
        ASSERT_TRUE(executor->checkpoint(*one.sequence));
      }
    }
    for (Known& one : all) expect_as_from_nothing(*executor, one, true);
    all.clear();
    EXPECT_EQ(executor->state_use(), StateUse{});
    if (HasFailure()) return;
  }
  EXPECT_GT(failures, 3);
}

TEST(Fork, SharesWhatIsFullAndCopiesOnePage) {
  auto executor = open_executor("dense-hybrid-f32", {test::open_device("cpu:0")}, small());
  Random random{std::mt19937(10)};
  auto parent = std::move(executor->create_sequence()).value();
  feed(*executor, *parent, random.tokens(40));  // two full pages of 16 and a part of a third
  const StateUse one = executor->state_use();
  EXPECT_EQ(one.slots, 1);
  EXPECT_EQ(one.pages, 3);
  auto child = std::move(executor->fork(*parent)).value();
  EXPECT_EQ(executor->state_use(), one);
  feed(*executor, *child, random.tokens(2));
  EXPECT_EQ(executor->state_use().slots, 2);
  EXPECT_EQ(executor->state_use().pages, 4);
  feed(*executor, *parent, random.tokens(2));
  EXPECT_EQ(executor->state_use().slots, 2) << "alone on its slot and its pages";
  EXPECT_EQ(executor->state_use().pages, 4);
  ASSERT_TRUE(executor->rollback(*child, 20));  // into a shared page
  EXPECT_EQ(executor->state_use().pages, 3 + 2) << "replayed: it shares nothing of it any more";
  parent.reset();
  EXPECT_EQ(executor->state_use().slots, 1);
  EXPECT_EQ(executor->state_use().pages, 2);
  child.reset();
  EXPECT_EQ(executor->state_use(), StateUse{});
}

}  // namespace
}  // namespace switchyard
