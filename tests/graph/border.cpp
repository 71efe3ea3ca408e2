// A graph's border: padding rows, slots, the window page, and what is refused with numbers.
#include <gtest/gtest.h>

#include "tests/graph/one_sequence.h"
#include "tests/support/devices.h"

namespace switchyard::test {
namespace {

const std::vector<std::string> files{"tests/data/sim/graph_any.json"};

// The same step in a longer bucket; what stands in the padding rows is not a number.
CaseData padded_to(const CaseData& data, std::int64_t rows) {
  CaseData longer = data;
  longer.c.dims[sym_rows] = rows;
  for (auto v : longer.c.segment.inputs)
    if (longer.c.segment.values[v].shape[0].symbol == sym_rows) {
      Tensor t = longer.c.segment.values[v];
      t.shape[0].min = t.shape[0].max = rows;
      longer.bytes[v].resize(max_bytes(t), std::byte{0xff});
    }
  fix(longer.c.segment, longer.c.dims);
  return longer;
}

class Padding : public testing::TestWithParam<const char*> {};

TEST_P(Padding, DoesNotTouchRowsOrStates) {
  auto device = open_device("sim:graph_any", files);
  int ran = 0;
  for (const Case& whole : find_op(GetParam())->cases()) {
    if (!whole.tested) continue;
    for (const Case& c : one_sequence(whole)) {
      const std::int64_t rows = c.dims[sym_rows];
      CaseData data = make_data(c, 3), longer = padded_to(data, rows + 5);
      const OpInfo* op = find_op(GetParam());
      if (op->no_graph && op->no_graph(longer.c.segment, longer.c.segment.nodes[0])) continue;
      std::vector<std::vector<double>> reference;
      ASSERT_TRUE(run_reference(data, reference));
      auto run = run_on(*device, longer);
      ASSERT_TRUE(run) << c.name << ": " << describe(run.error());
      const std::uint32_t y = c.segment.outputs[0];
      run->values[y].resize(reference[y].size());
      Comparison worst = compare(data, reference, *run);
      EXPECT_LE(worst.error, 1e-5) << c.name << " value " << worst.value;
      ++ran;
    }
  }
  EXPECT_GT(ran, 5);
}

INSTANTIATE_TEST_SUITE_P(Ops, Padding, testing::Values("causal_conv1d", "ssm_scan", "selective_scan", "attention"),
                         [](const auto& each) { return std::string(each.param); });

const Case& attention_case() {
  static const Case found = [] {
    for (const Case& c : find_op("attention")->cases())
      if (c.name == "mixed_f16") return one_sequence(c)[1];
    return Case{};
  }();
  return found;
}

struct Refused {
  const char* what;
  std::size_t column;  // of the sequence's row; 5: the page
  std::int32_t number;
  Code code;
  const char* text;
};

class Border : public testing::TestWithParam<Refused> {};

TEST_P(Border, RefusesWithNumbers) {
  auto device = open_device("sim:graph_any", files);
  const Refused& r = GetParam();
  Case c = attention_case();  // 1 row, past 40, a page of 48, pages 0 to 3
  const Node& n = c.segment.nodes[0];
  if (r.column < 5)
    c.fills[n.in[3]].values[r.column] = r.number;
  else
    c.fills[n.in[4]].values[0] = r.number;
  auto run = run_on(*device, make_data(c, 1));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, r.code) << describe(run.error());
  EXPECT_NE(run.error().message.find(r.text), std::string::npos) << run.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, Border,
    testing::Values(Refused{"row_begin", 0, 1, Code::invalid_argument, "row_begin of its one sequence is 1"},
                    Refused{"no_rows", 1, 0, Code::invalid_argument, "rows is 0, allowed are 1 to 1"},
                    Refused{"many_rows", 1, 2, Code::invalid_argument, "rows is 2, allowed are 1 to 1"},
                    Refused{"past", 4, 48, Code::unsupported,
                            "positions up to 48 (past 48, rows 1) do not fit its window of one page of 48"},
                    Refused{"negative_past", 4, -1, Code::invalid_argument, "past is -1"},
                    Refused{"page", 5, 4, Code::invalid_argument, "page_table[0][0] is 4, allowed are 0 to 3"},
                    Refused{"negative_page", 5, -1, Code::invalid_argument, "page_table[0][0] is -1"}),
    [](const auto& each) { return std::string(each.param.what); });

TEST(Border, SlotZeroIsNeverWritten) {
  auto device = open_device("sim:graph_any", files);
  Case c = one_sequence(find_op("causal_conv1d")->cases()[0])[0];
  for (auto [slot, text] : std::vector<std::pair<int, const char*>>{{0, "slot_out is 0, allowed are 1 to 1"},
                                                                    {2, "slot_out is 2, allowed are 1 to 1"}}) {
    c.fills[c.segment.nodes[0].in[3]].values[3] = slot;
    auto run = run_on(*device, make_data(c, 1));
    ASSERT_FALSE(run);
    EXPECT_NE(run.error().message.find(text), std::string::npos) << run.error().message;
  }
}

TEST(Border, OnlyFixedShapesAndOneSequence) {
  auto device = open_device("sim:graph_any", files);
  Case open = find_op("gemm")->cases()[1];
  auto run = run_on(*device, make_data(open, 1));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Code::unsupported);
  EXPECT_NE(run.error().message.find("has an open dim"), std::string::npos) << run.error().message;
  for (Case c : find_op("ssm_scan")->cases()) {
    if (c.name != "mixed") continue;
    fix(c.segment, c.dims);
    run = run_on(*device, make_data(c, 1));
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code, Code::unsupported);
    EXPECT_NE(run.error().message.find("a graph runs one sequence"), std::string::npos) << run.error().message;
  }
  Case fixed = open;
  fix(fixed.segment, fixed.dims);
  fixed.segment.values[fixed.segment.inputs[0]].shape[0].symbol = sym_rows;
  CaseData data = make_data(fixed, 1);
  data.c.dims[sym_rows] = 9;
  run = run_on(*device, data);
  ASSERT_FALSE(run);
  EXPECT_NE(run.error().message.find("dims[0] is 9, the program was compiled for 7"), std::string::npos)
      << run.error().message;
}

}  // namespace
}  // namespace switchyard::test
