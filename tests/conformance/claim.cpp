#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using Claim = Contract;

bool same(const hal::Claim& a, const hal::Claim& b) {
  if (a.groups.size() != b.groups.size() || a.declined.size() != b.declined.size()) return false;
  for (std::size_t i = 0; i < a.groups.size(); ++i)
    if (a.groups[i].nodes != b.groups[i].nodes || a.groups[i].fixed_shapes != b.groups[i].fixed_shapes) return false;
  if (a.holds.size() != b.holds.size() || a.scratch != b.scratch) return false;
  for (std::size_t i = 0; i < a.holds.size(); ++i)
    if (a.holds[i].key != b.holds[i].key || a.holds[i].layout != b.holds[i].layout ||
        a.holds[i].bytes != b.holds[i].bytes)
      return false;
  for (std::size_t i = 0; i < a.declined.size(); ++i)
    if (a.declined[i].node != b.declined[i].node || a.declined[i].why != b.declined[i].why) return false;
  return true;
}

TEST_P(Claim, IsPure) {
  std::vector<Segment> segments;
  for (const kernels::OpInfo* op : kernels::ops()) {
    auto cases = op->cases();
    ASSERT_FALSE(cases.empty()) << op->name;
    segments.push_back(cases.front().segment);
  }
  for (const Segment& s : segments) {
    const auto first = device().claim(s);
    for (const Segment& other : segments) (void)device().claim(other);
    EXPECT_TRUE(same(first, device().claim(s))) << s.nodes[0].op;
  }
}

TEST_P(Claim, CoversEveryNodeOnceOrSaysWhyNot) {
  int groups = 0;
  for (const kernels::OpInfo* op : kernels::ops())
    for (const kernels::Case& c : op->cases()) {
      const auto claim = device().claim(c.segment);
      std::vector<int> seen(c.segment.nodes.size(), 0);
      for (const Group& g : claim.groups) {
        EXPECT_FALSE(g.nodes.empty());
        for (auto n : g.nodes) {
          ASSERT_LT(n, seen.size());
          ++seen[n];
        }
        ++groups;
      }
      for (const Declined& d : claim.declined) {
        ASSERT_LT(d.node, seen.size());
        ++seen[d.node];
        EXPECT_FALSE(d.why.empty()) << op->name << " " << c.name;
      }
      for (std::size_t n = 0; n < seen.size(); ++n) EXPECT_EQ(seen[n], 1) << op->name << " " << c.name << " node " << n;
    }
  if (groups == 0) GTEST_SKIP() << "claims nothing";
}

TEST_P(Claim, NeedsNoData) {
  auto data = any_case(device());
  if (!data) GTEST_SKIP() << "claims nothing";
  Segment bare = data->c.segment;
  for (Constant& c : bare.constants) {
    c.data = {};
    c.owner = nullptr;
  }
  EXPECT_TRUE(same(device().claim(bare), device().claim(data->c.segment)));
}

TEST_P(Claim, IsKeptByCompile) {
  int compiled = 0;
  for (const kernels::OpInfo* op : kernels::ops()) {
    auto data = small_case(device(), op->name);
    if (!data) continue;
    auto program = device().compile(data->c.segment, {});
    EXPECT_TRUE(program) << op->name << " " << data->c.name << ": " << (program ? "" : describe(program.error()));
    ++compiled;
    const auto claim = device().claim(data->c.segment);
    if (!program || !claim.whole()) continue;
    Bytes held = 0;
    for (const Holding& h : claim.holds) held += h.bytes;
    EXPECT_EQ(held, (*program)->resident()) << op->name << " " << data->c.name;
    EXPECT_EQ(claim.scratch, (*program)->scratch()) << op->name << " " << data->c.name;
  }
  if (compiled == 0) GTEST_SKIP() << "claims nothing";
}

ON_EVERY_DEVICE(Claim);

}  // namespace
}  // namespace switchyard::test
