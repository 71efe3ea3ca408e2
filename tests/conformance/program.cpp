#include <thread>

#include "kernels/gemm/gemm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using kernels::CaseData;
using Program = Contract;

double tolerance_of(const CaseData& data) {
  double worst = 0;
  for (const Node& n : data.c.segment.nodes) worst = std::max(worst, kernels::find_op(n.op)->tolerance.f32);
  return worst;
}

// Three nodes, so that there is something between them.
kernels::Case chain(std::int64_t rows, std::int64_t width, std::int64_t inner) {
  kernels::SegmentBuilder b;
  auto x = b.input(DType::f32, {Dim::open(kernels::sym_rows, 1, rows), Dim::fixed(width)});
  auto norm = b.constant(DType::f32, {width}, 1, {}, nullptr);
  auto up = b.constant(DType::f32, {inner, width}, 2, {}, nullptr),
       down = b.constant(DType::f32, {width, inner}, 3, {}, nullptr);
  auto h = kernels::rmsnorm::append(b, x, norm, 1e-5f);
  auto m = kernels::gemm::append(b, h, up);
  kernels::gemm::Options residual;
  residual.residual = x;
  b.output(kernels::gemm::append(b, m, down, residual));
  return {"chain", b.take(), {rows}, {}, false, true};
}

std::optional<CaseData> chain_data(Device& device, std::int64_t rows, std::int64_t width, std::int64_t inner) {
  kernels::Case c = chain(rows, width, inner);
  auto segment = usable(device, c.segment, c.dims);
  if (!segment) return std::nullopt;
  c.segment = *segment;
  return kernels::make_data(c, 4);
}

TEST_P(Program, DeclinedOpsAreNamed) {
  auto data = any_case(device());
  Segment s;
  if (data) s = data->c.segment;
  Node odd;
  odd.op = "no_such_op@1";
  const auto index = static_cast<std::uint32_t>(s.nodes.size());
  if (s.values.empty()) {
    s.values.push_back({DType::f32, {Dim::fixed(4)}});
    s.inputs = s.outputs = {0};
  }
  odd.in = odd.out = {s.outputs[0]};
  s.nodes.push_back(odd);
  if (!s.labels.empty()) s.labels.emplace_back("layer 7 no_such_op");
  Claim claim = device().claim(s);
  bool declined = false;
  for (const Declined& d : claim.declined)
    if (d.node == index) declined = d.why.find("no_such_op@1") != std::string::npos;
  EXPECT_TRUE(declined) << "the reason must name the op";
  EXPECT_FALSE(claim.whole());
  auto compiled = device().compile(s, {});
  EXPECT_CODE(Code::unsupported, compiled);
  if (!compiled) {
    EXPECT_NE(compiled.error().message.find("no_such_op"), std::string::npos) << compiled.error().message;
  }
}

TEST_P(Program, ChainsThroughScratch) {
  auto data = chain_data(device(), 5, 64, 96);
  if (!data) GTEST_SKIP() << "declines the chain";
  std::vector<std::vector<double>> reference;
  ASSERT_OK(kernels::run_reference(*data, reference));
  auto run = kernels::run_on(device(), *data);
  ASSERT_OK(run);
  EXPECT_LE(kernels::compare(*data, reference, *run).error, tolerance_of(*data));
}

TEST_P(Program, RunsWithFewerRowsThanItsMost) {
  auto data = chain_data(device(), 9, 64, 96);
  if (!data) GTEST_SKIP() << "declines the chain";
  if (device().claim(data->c.segment).groups[0].fixed_shapes) GTEST_SKIP() << "compiles fixed shapes";
  auto runner = Runner::make(device(), data->c.segment);
  ASSERT_OK(runner);
  auto whole = (*runner)->run(data->bytes, {9});
  ASSERT_OK(whole);
  const auto in = data->c.segment.inputs[0], out = data->c.segment.outputs[0];
  for (std::int64_t rows : {1, 4, 8}) {
    auto bytes = data->bytes;
    bytes[in].resize(static_cast<std::size_t>(rows) * 64 * 4);
    auto part = (*runner)->run(bytes, {rows});
    ASSERT_OK(part);
    ASSERT_EQ((*part)[out].size(), static_cast<std::size_t>(rows) * 64 * 4);
    EXPECT_TRUE(std::equal((*part)[out].begin(), (*part)[out].end(), (*whole)[out].begin())) << rows << " rows";
  }
}

TEST_P(Program, HoldsItsConstants) {
  auto data = chain_data(device(), 2, 256, 512);
  if (!data) GTEST_SKIP() << "declines the chain";
  auto program = device().compile(data->c.segment, {});
  ASSERT_OK(program);
  EXPECT_GE((*program)->resident(), Bytes{2 * 256 * 512 * 4} / 2) << "two f32 matrices, at most halved by packing";
}

TEST_P(Program, SharesConstantsByKey) {
  auto data = chain_data(device(), 2, 1024, 2048);  // two matrices of 8 MiB
  if (!data) GTEST_SKIP() << "declines the chain";
  auto used = [&]() -> Bytes {
    auto heaps = device().heaps();
    Bytes sum = 0;
    if (heaps)
      for (const Heap& h : *heaps) sum += h.used;
    return sum;
  };
  const Bytes before = used();
  auto first = device().compile(data->c.segment, {});
  ASSERT_OK(first);
  const Bytes one = used();
  auto second = device().compile(data->c.segment, {});
  ASSERT_OK(second);
  const Bytes two = used();
  EXPECT_LE(two, one + (one - before) / 2 + (1 << 20))
      << "before " << before << ", one program " << one << ", two programs " << two;
}

TEST_P(Program, ConstantsWithoutAKeyAreApart) {
  auto data = chain_data(device(), 3, 64, 64);  // two matrices of one size
  if (!data) GTEST_SKIP() << "declines the chain";
  for (Constant& c : data->c.segment.constants) c.key = 0;
  std::vector<std::vector<double>> reference;
  ASSERT_OK(kernels::run_reference(*data, reference));
  auto run = kernels::run_on(device(), *data);
  ASSERT_OK(run);
  EXPECT_LE(kernels::compare(*data, reference, *run).error, tolerance_of(*data));
}

TEST_P(Program, KeepsOwnersOfConstantsAndOutlivesItsSegment) {
  auto data = chain_data(device(), 3, 64, 96);
  if (!data) GTEST_SKIP() << "declines the chain";
  std::vector<std::vector<double>> reference;
  ASSERT_OK(kernels::run_reference(*data, reference));
  const auto in = data->c.segment.inputs[0], out = data->c.segment.outputs[0];
  const auto x = data->bytes[in];
  ProgramRef program;
  {
    // Copies that nobody else owns, under keys nobody has used.
    Segment s = data->c.segment;
    for (Constant& c : s.constants) {
      auto owned = std::make_shared<std::vector<std::byte>>(c.data.begin(), c.data.end());
      c.data = *owned;
      c.owner = owned;
      c.key ^= 0x5a5a5a5a;
    }
    auto compiled = device().compile(s, {});
    ASSERT_OK(compiled);
    program = *compiled;
  }
  std::vector<std::vector<std::byte>> dirt;  // likely to fall where the copies were
  for (int i = 0; i < 8; ++i) dirt.push_back(pattern(64 * 96 * 4, 99));
  BufferRef input = buffer(x.size()), output = buffer(3 * 64 * 4),
            scratch = program->scratch() ? buffer(program->scratch()) : nullptr;
  ASSERT_TRUE(input && output);
  ASSERT_OK(input->write(0, x));
  auto q = queue();
  TimelineRef t = timeline();
  ASSERT_TRUE(q && t);
  hal::Run run{program, {{input}, {output}}, {3}, {scratch}};
  program.reset();
  ASSERT_OK(q->submit({{}, {run}, {{t, 1}}, nullptr}));
  run = hal::Run{};
  scratch.reset();
  ASSERT_OK(t->wait(1, patience));
  kernels::CaseRun result;
  result.values.resize(data->c.segment.values.size());
  result.values[out] = kernels::decode(data->c.segment.values[out], data->c.dims, read(*output, 0, 3 * 64 * 4));
  EXPECT_LE(kernels::compare(*data, reference, result).error, tolerance_of(*data));
}

TEST_P(Program, RunsOnTwoQueuesAtOnce) {
  auto data = chain_data(device(), 4, 256, 512);
  if (!data) GTEST_SKIP() << "declines the chain";
  const auto in = data->c.segment.inputs[0];
  auto compiled = device().compile(data->c.segment, {});
  ASSERT_OK(compiled);
  ProgramRef program = *compiled;
  constexpr int times = 25;
  std::vector<std::byte> results[3];
  auto work = [&](int which) {
    auto q = queue();
    TimelineRef t = timeline();
    BufferRef x = buffer(data->bytes[in].size()), y = buffer(4 * 256 * 4),
              scratch = program->scratch() ? buffer(program->scratch()) : nullptr;
    ASSERT_TRUE(q && t && x && y);
    ASSERT_OK(x->write(0, data->bytes[in]));
    for (int i = 1; i <= times; ++i)
      ASSERT_OK(q->submit(
          {{}, {hal::Run{program, {{x}, {y}}, {4}, {scratch}}}, {{t, static_cast<std::uint64_t>(i)}}, nullptr}));
    ASSERT_OK(t->wait(times, patience));
    results[which] = read(*y, 0, 4 * 256 * 4);
  };
  work(0);
  std::thread a([&] { work(1); }), b([&] { work(2); });
  a.join();
  b.join();
  ASSERT_FALSE(results[0].empty());
  EXPECT_TRUE(results[0] == results[1]);
  EXPECT_TRUE(results[0] == results[2]);
}

TEST_P(Program, GivesSpansOfItsNodes) {
  auto data = chain_data(device(), 4, 64, 96);
  if (!data) GTEST_SKIP() << "declines the chain";
  const auto in = data->c.segment.inputs[0];
  auto program = device().compile(data->c.segment, {});
  ASSERT_OK(program);
  BufferRef x = buffer(data->bytes[in].size()), y = buffer(4 * 64 * 4),
            scratch = (*program)->scratch() ? buffer((*program)->scratch()) : nullptr;
  ASSERT_TRUE(x && y);
  ASSERT_OK(x->write(0, data->bytes[in]));
  auto timing = std::make_shared<Timing>();
  timing->want_spans = true;
  ASSERT_OK(run({hal::Run{*program, {{x}, {y}}, {4}, {scratch}}}, timing));
  ASSERT_FALSE(timing->spans.empty());
  for (const Span& s : timing->spans) {
    EXPECT_LE(s.begin, s.end);
    EXPECT_EQ(s.command, 0u);
    EXPECT_LT(s.node, 3u);
  }
}

ON_EVERY_DEVICE(Program);

}  // namespace
}  // namespace switchyard::test
