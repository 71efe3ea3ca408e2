#include "probes/profile.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "kernels/attention/attention.h"
#include "probes/measure/step.h"
#include "tests/support/folder.h"
#include "tests/support/planning.h"

namespace switchyard::probes {
namespace {

TEST(Stat, MedianQuartilesAndNoise) {
  Stat s = summarize({5, 1, 3, 2, 4}, 7, 2);
  EXPECT_EQ(s.median, 3);
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 5);
  EXPECT_DOUBLE_EQ(s.spread, 2.0 / 3);
  EXPECT_TRUE(s.noisy());
  EXPECT_EQ(s.samples, 5);
  EXPECT_EQ(s.runs, 7);
  EXPECT_FALSE(summarize({1, 1, 1, 1, 9}, 1, 0).noisy()) << "one outlier is not noise";
  EXPECT_EQ(summarize({2}, 1, 0).median, 2);
}

Profile sample() {
  auto p = test::place("laptop");
  p.profile.devices[0].units.push_back(
      {"00ff", "layer 1", {4, 2, 100, 2}, 10, 20, summarize({1e-3, 2e-3, 1.5e-3}, 3, 1)});
  p.profile.devices[0].ops.push_back(
      {"gemm@1", "case", "q8_0", "avx2", kernels::Products::f32, 4, 1e9, 2e9, summarize({1, 2}, 1, 1)});
  p.profile.devices[0].notes = {"op x: too slow"};
  p.profile.links.push_back({"cpu:0", "vulkan:1", "staged", {{{4096, summarize({1e-5}, 1, 1)}}}});
  return p.profile;
}

TEST(Profile, JsonThereAndBack) {
  Profile p = sample();
  std::string text = to_json(p);
  auto back = profile_from_json(text);
  ASSERT_TRUE(back) << hal::describe(back.error());
  EXPECT_EQ(to_json(*back), text);
  p.devices[0].notes = {"no text: \xff"};
  EXPECT_EQ(profile_from_json(to_json(p))->devices[0].notes[0], "no text: \ufffd");
  EXPECT_TRUE(back->devices[0].units[0].step == (Step{4, 2, 100, 2}));
  EXPECT_NE(back->link("cpu:0", "vulkan:1"), nullptr);
  EXPECT_EQ(back->link("vulkan:1", "cpu:0"), nullptr);
  EXPECT_FALSE(profile_from_json("{\"schema\":\"switchyard.machine/1\"}"));
}

TEST(Profile, StaleOnesAreRefusedNamingBothSides) {
  auto p = test::place("laptop");
  EXPECT_TRUE(check_fresh(p.profile, p.machine, "test"));
  auto refused = [&](const Profile& profile, const Machine& machine, const char* build,
                     std::initializer_list<const char*> words) {
    auto s = check_fresh(profile, machine, build);
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, hal::Code::unavailable);
    for (auto w : words) EXPECT_NE(s.error().message.find(w), std::string::npos) << s.error().message;
  };
  refused(p.profile, p.machine, "newer", {"build test", "this is newer", "switchyard profile"});
  Profile driver = p.profile;
  driver.devices[1].driver = "0.9";
  refused(driver, p.machine, "test", {"vulkan:0", "'0.9'", "'1.0'"});
  refused(p.profile, test::place("two-cards").machine, "test", {p.profile.machine.c_str()});
}

TEST(Profile, SavedWholeAndFoundAgain) {
  const test::Folder folder;
  const std::string dir = folder.file("cache");
  setenv("XDG_CACHE_HOME", dir.c_str(), 1);
  auto machine = test::place("laptop").machine;
  auto path = cache_path(machine);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->rfind(dir + "/switchyard/profile-", 0), 0u) << *path;
  EXPECT_EQ(load_profile(*path).error().code, hal::Code::not_found);
  ASSERT_TRUE(save(sample(), *path));
  auto back = load_profile(*path);
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(sample()));
  std::ofstream(*path) << "{\"schema\":";
  EXPECT_EQ(load_profile(*path).error().code, hal::Code::io);
  EXPECT_EQ(save(sample(), "/dev/null/x/y").error().code, hal::Code::io);
  unsetenv("XDG_CACHE_HOME");
}

TEST(Profile, BuildIdIsThisProgramsAndConstant) {
  EXPECT_GE(build_id().size(), 8u);
  EXPECT_EQ(build_id(), build_id());
}

hal::Segment attention_unit(std::int64_t max_rows, std::int64_t slots, std::int64_t pages_each, std::int64_t heads) {
  kernels::SegmentBuilder b;
  hal::Dim rows = hal::Dim::open(kernels::sym_rows, 1, max_rows),
           sequences = hal::Dim::open(kernels::sym_sequences, 1, 4);
  std::int64_t d = 16;
  auto q = b.input(hal::DType::f32, {rows, hal::Dim::fixed(heads * d)}),
       k = b.input(hal::DType::f32, {rows, hal::Dim::fixed(d)}),
       v = b.input(hal::DType::f32, {rows, hal::Dim::fixed(d)});
  auto table = b.input(hal::DType::i32, {sequences, hal::Dim::fixed(kernels::Sequence::width)}),
       pages = b.input(hal::DType::i32, {sequences, hal::Dim::fixed(pages_each)});
  std::vector<hal::Dim> cache{hal::Dim::fixed(slots), hal::Dim::fixed(32), hal::Dim::fixed(1), hal::Dim::fixed(d)};
  auto kp = b.state(hal::DType::f32, cache), vp = b.state(hal::DType::f32, cache);
  auto y = b.value(hal::DType::f32, {rows, hal::Dim::fixed(heads * d)});
  b.node("attention@1", {q, k, v, table, pages, kp, vp}, {y},
         kernels::attention::Attrs{static_cast<std::int32_t>(heads), 1, 16, 32, 1.0f});
  b.output(y);
  return b.take();
}

TEST(UnitKey, SizesOfStepsDoNotMatterSizesOfWeightsDo) {
  EXPECT_EQ(unit_key(attention_unit(16, 3, 4, 2)), unit_key(attention_unit(256, 9, 40, 2)));
  EXPECT_NE(unit_key(attention_unit(16, 3, 4, 2)), unit_key(attention_unit(16, 3, 4, 4)));
  EXPECT_NE(unit_key(test::unit("a", 0, 100).segment), unit_key(test::unit("a", 0, 101).segment));
  EXPECT_EQ(unit_key(test::unit("a", 0, 100).segment), unit_key(test::unit("b", 7, 100, 99).segment));
}

TEST(Step, OnlyWhatMattersIsKept) {
  EXPECT_TRUE(relevant(test::unit("a", 0, 1).segment, {4, 2, 100, 3}) == (Step{4, 2, 0, 1}));
  EXPECT_TRUE(relevant(attention_unit(4, 1, 1, 2), {4, 2, 100, 3}) == (Step{4, 2, 100, 1}));
}

TEST(Step, FittedSegmentsAndTheirTables) {
  Step step{10, 3, 100, 3};
  hal::Segment s = fitted(attention_unit(4, 1, 1, 2), step);
  EXPECT_EQ(s.values[0].shape[0].max, 10);
  EXPECT_EQ(s.values[4].shape[1].max, 4) << "104 tokens in pages of 32";
  EXPECT_EQ(s.values[5].shape[0].max, 12);
  auto fills = fills_for(s, step);
  EXPECT_EQ(fills.at(3).values, (std::vector<double>{0, 3, 1, 1, 100, 3, 3, 2, 2, 100, 6, 4, 3, 3, 100}));
  EXPECT_EQ(fills.at(4).values.size(), 12u);
  EXPECT_EQ(fills.at(4).values.back(), 11);
  EXPECT_EQ(fills.count(0), 0u);
  for (const auto& t : fixed_at(s, step).values)
    for (const auto& d : t.shape) EXPECT_TRUE(d.is_fixed());
}

}  // namespace
}  // namespace switchyard::probes
