// Snapshots of real sequences: saved on one device, loaded for an executor on another, token by token the same.
#include "tests/serve/files.h"
#include "tests/serve/snapshot_samples.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::Sequence;
using scheduler::Snapshot;
using scheduler::snapshot_expectation;
using scheduler::WantLogits;
using test::golden;

constexpr std::int64_t context = 512;

std::unique_ptr<Executor> executor_of(const std::string& model, const std::string& device, hal::DType kv) {
  auto loaded = models::load(test::oracle_path("models/" + model));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*loaded)),
                                      test::open_device(device, {"tests/data/sim/kernel.json"}));
  ExecutorOptions options;
  options.context = context;
  options.kv = kv;
  auto executor = Executor::open(std::move(loaded).value(), devices, options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

// The greedy continuation, or an error's text in its place.
hal::Result<std::vector<std::int32_t>> continued(Executor& executor, Sequence& sequence, std::int32_t first,
                                                 std::size_t n) {
  std::vector<std::int32_t> made{first};
  while (made.size() < n) {
    HAL_TRY(const auto logits, executor.feed(sequence, {&made.back(), 1}, WantLogits::last));
    made.push_back(scheduler::greedy(logits));
  }
  return made;
}

class SnapshotModels : public test::FileTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, SnapshotModels,
                         testing::Values("dense-hybrid-f32", "moe-hybrid-f32", "dense-transformer-f32",
                                         "pure-mamba-f32"),
                         [](const auto& i) { return test::as_name(i.param); });

TEST_P(SnapshotModels, GoesOnElsewhereWithTheGoldenTokens) {
  const auto g = golden(GetParam());
  for (hal::DType kv : {hal::DType::f32, hal::DType::f16}) {
    auto here = executor_of(GetParam(), "cpu:0", kv), there = executor_of(GetParam(), "sim:kernel", kv);
    const auto expected = snapshot_expectation(there->model(), kv, context);
    for (int n : {1, 7, 64, 300}) {
      auto sequence = std::move(here->create_sequence()).value();
      auto logits = here->feed(*sequence, g.tokens(n), WantLogits::last);
      ASSERT_TRUE(logits) << logits.error().message;
      const std::int32_t next = scheduler::greedy(*logits);
      auto state = here->save(*sequence);
      ASSERT_TRUE(state) << state.error().message;
      const std::size_t tokens = g.greedy(n).size();
      auto without = continued(*here, *sequence, next, tokens);
      ASSERT_TRUE(without) << without.error().message;
      if (kv == hal::DType::f32) {
        EXPECT_EQ(*without, g.greedy(n)) << n;
      }

      const Snapshot saved{std::move(state).value(), here->model().name, "{}"};
      ASSERT_TRUE(scheduler::save_snapshot(folder_ / "s", saved));
      auto loaded = scheduler::load_snapshot(folder_ / "s", &expected);
      ASSERT_TRUE(loaded) << loaded.error().message;
      test::expect_equal(*loaded, saved);
      auto restored = there->restore(loaded->state);
      ASSERT_TRUE(restored) << restored.error().message;
      auto with = continued(*there, **restored, next, tokens);
      ASSERT_TRUE(with) << with.error().message;
      EXPECT_EQ(*with, *without) << n;
    }
  }
}

TEST_P(SnapshotModels, BeforeItsFirstTokenItIsAsGood) {
  auto executor = executor_of(GetParam(), "cpu:0", hal::DType::f32);
  const auto expected = snapshot_expectation(executor->model(), hal::DType::f32, context);
  auto sequence = std::move(executor->create_sequence()).value();
  ASSERT_TRUE(scheduler::save_snapshot(folder_ / "s", {*executor->save(*sequence), executor->model().name, ""}));
  auto loaded = scheduler::load_snapshot(folder_ / "s", &expected);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(executor->restore(loaded->state));
}

TEST(SnapshotModel, AnotherModelsIsRefused) {
  auto executor = executor_of("dense-hybrid-f32", "cpu:0", hal::DType::f32);
  auto sequence = std::move(executor->create_sequence()).value();
  auto bytes = scheduler::snapshot_bytes({*executor->save(*sequence), executor->model().name, ""});
  ASSERT_TRUE(bytes);
  auto other = models::load(test::oracle_path("models/moe-hybrid-f32"));
  ASSERT_TRUE(other) << other.error().message;
  const auto expected = snapshot_expectation(*other, hal::DType::f32, context);
  auto refused = scheduler::snapshot_from(*bytes, &expected);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, hal::Code::invalid_argument);
  EXPECT_HAS(refused.error().message, "is of model '" + executor->model().name + "'");
  EXPECT_HAS(refused.error().message, "expected '" + other->name + "'");
}

}  // namespace
}  // namespace switchyard
