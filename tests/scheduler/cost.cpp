#include "scheduler/cost/cost.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

using probes::Step;

probes::Stat took(double seconds, double spread = 0) { return {seconds, seconds, seconds, spread, 5, 1, 1}; }

TEST(Cost, BestSourceFirstAndSaidSo) {
  auto p = test::place("laptop");
  auto& cpu = p.profile.devices[0];
  cpu.read.per_second = 50e9;
  cpu.compute[kernels::Products::f32].per_second = 1e12;
  hal::Segment s = test::unit("u", 0, 100).segment;
  const Step decode{1, 1, 0, 1};
  double bytes = static_cast<double>(hal::max_bytes(s.values[s.constants[0].value]) * 2);
  {
    CostModel cost(p.profile);
    auto e = cost.unit("cpu:0", s, decode);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->how, How::roofline);
    EXPECT_NEAR(e->seconds, bytes / 50e9, 0.01 * bytes / 50e9);
    EXPECT_EQ(cost.unit("cpu:9", s, decode).error().code, hal::Code::unavailable);
  }
  // The op at another width ran at half the bandwidth.
  cpu.ops.push_back({"gemm@1", "q8_0", "q8_0", "", kernels::Products::f32, 1, 2e6, 1e6, took(2 * 1e6 / 50e9)});
  cpu.ops.push_back({"gemm@1", "f32", "f32", "", kernels::Products::f32, 1, 2e6, 1e6, took(1)});
  {
    CostModel cost(p.profile);
    auto e = cost.unit("cpu:0", s, decode);
    EXPECT_EQ(e->how, How::ops);
    EXPECT_NEAR(e->seconds, 2 * bytes / 50e9, 0.01 * bytes / 50e9);
  }
  // The unit at other steps: between them, close to the nearer.
  cpu.units.push_back({probes::unit_key(s), "u", {4, 1, 0, 1}, 123, 0, took(3 * bytes / 50e9)});
  cpu.units.push_back({probes::unit_key(s), "u", {256, 1, 0, 1}, 456, 0, took(1)});
  {
    CostModel cost(p.profile);
    auto e = cost.unit("cpu:0", s, decode);
    EXPECT_EQ(e->how, How::interpolated);
    EXPECT_GT(e->seconds, 2.5 * bytes / 50e9);
    EXPECT_LT(e->seconds, 20 * bytes / 50e9);
    EXPECT_EQ(cost.resident("cpu:0", s), 456u);
  }
  cpu.units.push_back({probes::unit_key(s), "u", decode, 0, 0, took(0.125, 0.5)});
  CostModel cost(p.profile);
  auto e = cost.unit("cpu:0", s, decode);
  EXPECT_EQ(e->how, How::measured);
  EXPECT_EQ(e->seconds, 0.125);
  EXPECT_NE(e->detail.find("varied by 50 %"), std::string::npos) << e->detail;
  EXPECT_EQ(cost.unit("cpu:0", test::unit("v", 1, 101).segment, decode)->how, How::ops) << "another unit";
}

TEST(Cost, AbsurdNumbersInAProfileAreRefusedByName) {
  auto p = test::place("laptop");
  p.profile.contention.push_back({"cpu:0", "vulkan:1", 1.5, 2});
  const std::string good = probes::to_json(p.profile);
  ASSERT_TRUE(probes::profile_from_json(good));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return probes::profile_from_json(text.replace(at, from.size(), to));
  };
  for (const char* reads : {"0.5", "-5.0", "1e300"}) {
    const auto refused = with("\"reads\": 1.5", std::string("\"reads\": ") + reads);
    ASSERT_FALSE(refused) << reads;
    EXPECT_NE(refused.error().message.find("reads"), std::string::npos) << refused.error().message;
  }
  const auto slow = with("\"per_second\": ", "\"per_second\": -");
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("per_second"), std::string::npos) << slow.error().message;
}

TEST(Cost, ErrorsComeFromWhatWasMeasured) {
  auto p = test::place("laptop");
  auto& cpu = p.profile.devices[0];
  cpu.read.per_second = 50e9;
  cpu.compute[kernels::Products::f32].per_second = 1e12;
  hal::Segment s = test::unit("u", 0, 100).segment;
  const double bytes = static_cast<double>(hal::max_bytes(s.values[s.constants[0].value]) * 2);
  const auto error = [&](const Step& step) { return CostModel(p.profile).unit("cpu:0", s, step)->error; };
  EXPECT_FALSE(error({1, 1, 0, 1})) << "nothing was measured";
  // Ops at 1 and 4 times their roofline: what is known of one tells the other within a factor of two to either side.
  for (double times : {1.0, 4.0})
    cpu.ops.push_back({"gemm@1", "q8_0", "q8_0", "", kernels::Products::f32, 1, 2e6, 1e6, took(times * 1e6 / 50e9)});
  ASSERT_TRUE(error({1, 1, 0, 1}));
  EXPECT_NEAR(*error({1, 1, 0, 1}), std::log(4.0) / std::sqrt(2.0), 1e-9);
  // Steps that all take the same multiple of their roofline foretell each other exactly; others do not.
  for (std::int64_t rows : {2, 4})
    cpu.units.push_back({probes::unit_key(s), "u", {rows, 1, 0, 1}, 0, 0, took(3 * bytes / 50e9)});
  EXPECT_LT(*error({1, 1, 0, 1}), 0.05);
  cpu.units.back().seconds = took(6 * bytes / 50e9);
  EXPECT_GT(*error({1, 1, 0, 1}), 0.5);
  cpu.units.push_back({probes::unit_key(s), "u", {1, 1, 0, 1}, 0, 0, took(0.1, 0.1349)});
  EXPECT_NEAR(*error({1, 1, 0, 1}), 0.1, 1e-9);
}

TEST(Cost, MovesByLinkOrThroughTheHost) {
  auto p = test::place("laptop");
  {
    CostModel cost(p.profile);
    EXPECT_EQ(cost.move("cpu:0", "cpu:0", 1e6).seconds, 0);
    double out = cost.move("vulkan:1", "", 1e6).seconds, in = cost.move("", "vulkan:0", 1e6).seconds;
    EXPECT_GT(out, 0);
    EXPECT_NEAR(cost.move("vulkan:1", "vulkan:0", 1e6).seconds, out + in, 1e-12);
    EXPECT_EQ(cost.move("vulkan:1", "vulkan:0", 1e6).detail, "by way of the host");
  }
  p.profile.links.push_back({"vulkan:1", "vulkan:0", "peer", {{{1000, took(1e-5)}, {1'000'000, took(1e-3)}}}});
  CostModel cost(p.profile);
  EXPECT_DOUBLE_EQ(cost.move("vulkan:1", "vulkan:0", 1e6).seconds, 1e-3);
  EXPECT_DOUBLE_EQ(cost.move("vulkan:1", "vulkan:0", 2e6).seconds, 2e-3) << "beyond: by the bandwidth of the largest";
  EXPECT_DOUBLE_EQ(cost.move("vulkan:1", "vulkan:0", 10).seconds, 1e-5) << "below: the latency";
  EXPECT_EQ(cost.move("vulkan:1", "vulkan:0", 1e6).how, How::measured);
  EXPECT_EQ(cost.move("vulkan:1", "vulkan:0", 1e6).detail, "peer");
}

}  // namespace
}  // namespace switchyard::scheduler
