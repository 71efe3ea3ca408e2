// Every op's cases on every device found, every kernel it offers, against the double reference.
#include "tests/ops/rig.h"

namespace switchyard::test {
namespace {

using namespace hal;
using namespace kernels;

struct Pair {
  std::string device;
  const OpInfo* op;
};

std::vector<Pair> pairs() {
  std::vector<Pair> all;
  for (const Info& info : Rig::get().devices())
    for (const OpInfo* op : ops()) all.push_back({info.id, op});
  return all;
}

std::string name(const ::testing::TestParamInfo<Pair>& p) {
  return test_name(p.param.device + "_" + std::string(p.param.op->name));
}

class Ops : public ::testing::TestWithParam<Pair> {};

TEST_P(Ops, CasesMatchTheReference) {
  const auto& [device, op] = GetParam();
  int cases = 0;
  for (const Case& c : op->cases()) {
    if (!c.tested) continue;
    ++cases;
    run_variants(device, make_data(c, 1), std::max(op->tolerance.f32, c.tolerance), op->name);
  }
  EXPECT_GT(cases, 0) << op->name << " has no tested case";
}

// One row of a case as a case of its own. Rows: the symbol of the first output's first dim. Empty: the op mixes rows.
std::vector<std::pair<std::int64_t, CaseData>> single_rows(const CaseData& data) {
  const Segment& s = data.c.segment;
  std::vector<std::pair<std::int64_t, CaseData>> all;
  const std::int16_t symbol = s.values[s.outputs[0]].shape[0].symbol;
  if (!s.states.empty() || symbol < 0) return all;
  const std::int64_t rows = data.c.dims[static_cast<std::size_t>(symbol)];
  for (std::int64_t r = 0; r<rows; r += rows> 9 ? rows / 5 : 1) {
    CaseData one = data;
    one.c.dims[static_cast<std::size_t>(symbol)] = 1;
    for (auto v : s.inputs) {
      if (s.values[v].shape[0].symbol != symbol) continue;
      const auto bytes = static_cast<std::ptrdiff_t>(data.bytes[v].size()) / rows;
      one.bytes[v].assign(data.bytes[v].begin() + r * bytes, data.bytes[v].begin() + (r + 1) * bytes);
      one.exact[v] = decode(s.values[v], one.c.dims, one.bytes[v]);
    }
    all.emplace_back(r, std::move(one));
  }
  return all;
}

// A row's result has the same bits whatever rows stand beside it.
TEST_P(Ops, RowsDoNotTouchEachOther) {
  const auto& [id, op] = GetParam();
  DeviceRef device = Rig::get().open(id);
  ASSERT_TRUE(device);
  Library library;
  int compared = 0, cases = 0;
  for (const Case& c : op->cases()) {
    if (!c.tested) continue;
    CaseData data = make_data(c, 2);
    auto rows = single_rows(data);
    if (rows.size() < 2 || !device->claim(c.segment).whole()) continue;
    if (device->claim(c.segment).groups[0].fixed_shapes)
      continue;  // one program per shape: no promise between programs
    ++cases;
    for (const std::string& variant : library.variants(c.segment, 0, device->info())) {
      data.c.segment.nodes[0].variant = variant;
      auto together = run_on(*device, data);
      ASSERT_TRUE(together) << c.name << " " << variant << ": " << describe(together.error());
      for (auto& [row, one] : rows) {
        one.c.segment.nodes[0].variant = variant;
        auto alone = run_on(*device, one);
        ASSERT_TRUE(alone) << c.name << " " << variant << ": " << describe(alone.error());
        for (auto v : c.segment.outputs) {
          const auto& single = alone->values[v];
          const double* beside = together->values[v].data() + static_cast<std::size_t>(row) * single.size();
          EXPECT_EQ(std::memcmp(single.data(), beside, single.size() * sizeof(double)), 0)
              << op->name << " " << c.name << " " << variant << ": row " << row << " differs between alone and among "
              << data.c.dims[0] << " rows";
          ++compared;
        }
      }
    }
  }
  if (cases == 0) GTEST_SKIP() << op->name << " keeps state, has no rows, or is declined by " << id;
  EXPECT_GT(compared, 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, Ops, ::testing::ValuesIn(pairs()), name);

TEST(Found, SomeDeviceAndSomeOpAreThere) {
  EXPECT_FALSE(Rig::get().devices().empty()) << "no device was found";
  EXPECT_FALSE(ops().empty());
}

}  // namespace
}  // namespace switchyard::test
