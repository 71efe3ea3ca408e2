// Sequences do not touch each other: what a sequence gives in a mixed step is bit for bit what it gives alone, in the
// same program. And a sequence fed in one step is the same as fed row by row.
#include <cstring>
#include <set>

#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using Bytes2 = std::vector<std::vector<std::byte>>;
using kernels::CaseData;
using kernels::Sequence;
using Mixed = Contract;

constexpr auto no_sequences = static_cast<std::size_t>(-1);

// Which input holds the table of sequences.
std::size_t table_of(const Segment& s) {
  for (std::size_t i = 0; i < s.nodes[0].in.size(); ++i) {
    const auto v = s.nodes[0].in[i];
    if (v == no_value || s.constant(v)) continue;
    const Tensor& t = s.values[v];
    if (t.dtype == DType::i32 && t.shape.size() == 2 && t.shape[1].max == Sequence::width &&
        t.shape[0].symbol == kernels::sym_sequences)
      return v;
  }
  return no_sequences;
}

Sequence row_of(const std::vector<std::byte>& table, std::size_t s) {
  Sequence q{};
  std::memcpy(&q, &table[s * sizeof q], sizeof q);
  return q;
}

// Rows [first, first + count) of values that have one row per `symbol`.
void cut(const Segment& s, std::int16_t symbol, std::size_t first, std::size_t count, Bytes2& bytes, std::size_t all) {
  for (auto v : s.inputs) {
    const Tensor& t = s.values[v];
    if (t.shape.empty() || t.shape[0].symbol != symbol) continue;
    const std::size_t row = bytes[v].size() / all;
    bytes[v] = {bytes[v].begin() + static_cast<std::ptrdiff_t>(first * row),
                bytes[v].begin() + static_cast<std::ptrdiff_t>((first + count) * row)};
  }
}

// One sequence's rows [first, first + count) as a step of its own.
Bytes2 alone(const CaseData& data, std::size_t table, std::size_t s, std::int32_t first, std::int32_t count,
             Sequence q) {
  Bytes2 bytes = data.bytes;
  cut(data.c.segment, kernels::sym_rows, static_cast<std::size_t>(q.row_begin + first), static_cast<std::size_t>(count),
      bytes, static_cast<std::size_t>(data.c.dims[0]));
  cut(data.c.segment, kernels::sym_sequences, s, 1, bytes, static_cast<std::size_t>(data.c.dims[1]));
  q.row_begin = 0;
  q.rows = count;
  q.past += first;
  if (first != 0) q.slot_in = q.slot_out;
  bytes[table].resize(sizeof q);
  std::memcpy(bytes[table].data(), &q, sizeof q);
  return bytes;
}

std::string op_of(const CaseData& data) { return data.c.segment.nodes[0].op + " " + data.c.name; }

// Calls `each` with the cases of ops with sequences that this device takes with open dims; the number of such.
template <class Each>
int for_each_case(Device& device, Each&& each) {
  int cases = 0;
  for (const kernels::OpInfo* op : kernels::ops())
    for (const kernels::Case& c : op->cases()) {
      if (!c.tested || c.segment.nodes.size() != 1 || table_of(c.segment) == no_sequences) continue;
      const auto claim = device.claim(c.segment);
      if (!claim.whole() || claim.groups[0].fixed_shapes) continue;
      each(kernels::make_data(c, 21));
      ++cases;
    }
  return cases;
}

TEST_P(Mixed, SequencesGiveTheSameBitsAloneAndTogether) {
  int compared = 0;
  const int cases = for_each_case(device(), [&](const CaseData& data) {
    if (data.c.dims[1] < 2) return;
    const Segment& s = data.c.segment;
    const std::size_t table = table_of(s);
    auto runner = Runner::make(device(), s);
    ASSERT_OK(runner);
    auto together = (*runner)->run(data.bytes, data.c.dims);
    ASSERT_OK(together);
    for (std::size_t i = 0; i < static_cast<std::size_t>(data.c.dims[1]); ++i) {
      const Sequence q = row_of(data.bytes[table], i);
      auto single = (*runner)->run(alone(data, table, i, 0, q.rows, q), {q.rows, 1});
      ASSERT_OK(single);
      for (auto v : s.outputs) {
        const std::size_t row = (*single)[v].size() / static_cast<std::size_t>(q.rows);
        EXPECT_EQ(std::memcmp((*single)[v].data(), (*together)[v].data() + static_cast<std::size_t>(q.row_begin) * row,
                              (*single)[v].size()),
                  0)
            << op_of(data) << ": output of sequence " << i;
      }
      for (auto v : s.states) {
        std::size_t wrong = 0, changed = 0;
        for (std::size_t b = 0; b < (*single)[v].size(); ++b) {
          if ((*single)[v][b] == data.bytes[v][b]) continue;
          ++changed;
          wrong += (*single)[v][b] != (*together)[v][b];
        }
        EXPECT_GT(changed, 0u) << op_of(data) << ": sequence " << i << " left its state as it was";
        EXPECT_EQ(wrong, 0u) << op_of(data) << ": state of sequence " << i;
      }
      ++compared;
    }
  });
  if (cases == 0) GTEST_SKIP() << "takes no op with sequences and open dims";
  EXPECT_GT(compared, 0);
}

TEST_P(Mixed, RowByRowIsTheSameAsAllAtOnce) {
  int compared = 0;
  const bool promises = device().info().accepts(Format::call);  // every bit, others their tolerance
  const int cases = for_each_case(device(), [&](const CaseData& data) {
    const Segment& s = data.c.segment;
    const std::size_t table = table_of(s);
    const kernels::OpInfo& op = *kernels::find_op(s.nodes[0].op);
    const double tolerance = op.tolerance.f32;
    auto runner = Runner::make(device(), s);
    ASSERT_OK(runner);
    auto together = (*runner)->run(data.bytes, data.c.dims);
    ASSERT_OK(together);
    for (std::size_t i = 0; i < static_cast<std::size_t>(data.c.dims[1]); ++i) {
      const Sequence q = row_of(data.bytes[table], i);
      if (q.rows < 2) continue;
      const bool exact = promises && (op.step_order_rows == 0 || q.rows <= op.step_order_rows);
      CaseData now = data;
      Bytes2 last;
      for (std::int32_t r = 0; r < q.rows; ++r) {
        auto step = (*runner)->run(alone(now, table, i, r, 1, q), {1, 1});
        ASSERT_OK(step);
        for (auto v : s.states) now.bytes[v] = (*step)[v];
        for (auto v : s.outputs) {
          const std::size_t row = (*step)[v].size();
          const std::byte* expected = (*together)[v].data() + static_cast<std::size_t>(q.row_begin + r) * row;
          if (exact) {
            EXPECT_EQ(std::memcmp((*step)[v].data(), expected, row), 0)
                << op_of(data) << ": sequence " << i << " row " << r;
          } else {
            double largest = 0, difference = 0;
            for (std::size_t b = 0; b + 4 <= row; b += 4) {
              float x, y;
              std::memcpy(&x, (*step)[v].data() + b, 4);
              std::memcpy(&y, expected + b, 4);
              largest = std::max(largest, std::abs(double(y)));
              difference = std::max(difference, std::abs(double(x) - double(y)));
            }
            EXPECT_LE(difference, 2 * tolerance * std::max(largest, 1.0))
                << op_of(data) << ": sequence " << i << " row " << r;
          }
        }
        last = std::move(*step);
      }
      if (exact)
        for (auto v : s.states) {
          std::size_t wrong = 0;
          for (std::size_t b = 0; b < last[v].size(); ++b)
            wrong += last[v][b] != data.bytes[v][b] && last[v][b] != (*together)[v][b];
          EXPECT_EQ(wrong, 0u) << op_of(data) << ": state of sequence " << i;
        }
      ++compared;
    }
  });
  if (cases == 0) GTEST_SKIP() << "takes no op with sequences and open dims";
  EXPECT_GT(compared, 0);
}

TEST_P(Mixed, SlotZeroStaysZero) {
  int checked = 0;
  const int cases = for_each_case(device(), [&](const CaseData& data) {
    const Segment& s = data.c.segment;
    auto runner = Runner::make(device(), s);
    ASSERT_OK(runner);
    auto after = (*runner)->run(data.bytes, data.c.dims);
    ASSERT_OK(after);
    for (auto v : s.states) {
      const std::size_t slot = (*after)[v].size() / static_cast<std::size_t>(s.values[v].shape[0].max);
      EXPECT_EQ(std::memcmp((*after)[v].data(), data.bytes[v].data(), slot), 0) << op_of(data);
      ++checked;
    }
  });
  if (cases == 0) GTEST_SKIP() << "takes no op with sequences and open dims";
  EXPECT_GT(checked, 0);
}

ON_EVERY_DEVICE(Mixed);

}  // namespace
}  // namespace switchyard::test
