// Primitives one by one: what the writer infers, what the evaluator computes, what a weight becomes.
#include "kernels/primitives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "backends/sim/evaluator.h"
#include "hal/shared/half.h"
#include "kernels/builder.h"
#include "kernels/common/quant.h"

namespace switchyard::test {
namespace {

using namespace kernels;
using backends::sim::Array;
using backends::sim::Evaluator;
using Shape = std::vector<std::int64_t>;
using Write = std::function<std::uint32_t(GraphWriter&, const std::vector<std::uint32_t>&)>;

struct Value {
  Shape shape;
  std::vector<float> f = {};
  std::vector<std::int32_t> i = {};
};

std::vector<Dim> fixed(const Shape& shape) {
  std::vector<Dim> dims;
  for (auto n : shape) dims.push_back(Dim::fixed(n));
  return dims;
}

// Writes a graph of the inputs twice (the second time knowing its output's shape) and runs it.
Result<Array> evaluate(const std::vector<Value>& in, const Write& write, bool half = false,
                       Decomposed* kept = nullptr) {
  SegmentBuilder b;
  std::vector<std::uint32_t> inputs;
  for (const Value& v : in) inputs.push_back(b.input(v.f.empty() ? DType::i32 : DType::f32, fixed(v.shape)));
  auto values = [&](GraphWriter& g) {
    std::vector<std::uint32_t> all;
    for (auto v : inputs) all.push_back(g.of(v));
    return all;
  };
  const Segment plain = b.segment();
  GraphWriter probe(plain, Arithmetic::f32);
  const std::uint32_t probed = write(probe, values(probe));
  Result<Decomposed> first = probe.finish();
  if (!first) return first.error();
  auto y = b.value(first->graph.values[probed].dtype, first->graph.values[probed].shape);
  b.output(y);
  Segment source = b.take();
  GraphWriter g(source, Arithmetic::f32);
  g.set(y, write(g, values(g)));
  HAL_TRY(Decomposed made, g.finish());
  HAL_TRY(Evaluator evaluator, Evaluator::make(made.graph, half));
  std::vector<Array> arrays;
  for (const GraphInput& i : made.inputs) {
    const Value& v = in[i.value];
    arrays.push_back({v.shape, v.f.empty() ? nullptr : std::make_shared<std::vector<float>>(v.f),
                      v.f.empty() ? std::make_shared<std::vector<std::int32_t>>(v.i) : nullptr});
  }
  HAL_TRY(std::vector<Array> out, evaluator.run(std::move(arrays)));
  if (kept) *kept = std::move(made);
  return out[0];
}

std::vector<float> floats(const std::vector<Value>& in, const Write& write) {
  auto out = evaluate(in, write);
  if (!out) ADD_FAILURE() << describe(out.error());
  return out && out->f ? *out->f : std::vector<float>{};
}
std::vector<std::int32_t> ints(const std::vector<Value>& in, const Write& write) {
  auto out = evaluate(in, write);
  if (!out) ADD_FAILURE() << describe(out.error());
  return out && out->i ? *out->i : std::vector<std::int32_t>{};
}

std::vector<float> noise(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> v(n);
  for (float& x : v) x = uniform(random);
  return v;
}

TEST(Primitives, ElementwiseBroadcast) {
  const Value a{{2, 3}, {1, 2, 3, 4, 5, 6}}, row{{3}, {10, 20, 30}}, column{{2, 1}, {100, 200}};
  EXPECT_EQ(floats({a, row}, [](auto& g, auto& v) { return g.add(v[0], v[1]); }),
            (std::vector<float>{11, 22, 33, 14, 25, 36}));
  EXPECT_EQ(floats({column, a}, [](auto& g, auto& v) { return g.sub(v[0], v[1]); }),
            (std::vector<float>{99, 98, 97, 196, 195, 194}));
  EXPECT_EQ(floats({column, row}, [](auto& g, auto& v) { return g.mul(v[0], v[1]); }),
            (std::vector<float>{1000, 2000, 3000, 2000, 4000, 6000}));
  EXPECT_EQ(floats({row, a}, [](auto& g, auto& v) { return g.div(v[0], v[1]); }),
            (std::vector<float>{10, 10, 10, 2.5, 4, 5}));
  EXPECT_EQ(floats({a, row}, [](auto& g, auto& v) { return g.min(g.mul(v[0], v[0]), v[1]); }),
            (std::vector<float>{1, 4, 9, 10, 20, 30}));
  EXPECT_EQ(floats({a, row}, [](auto& g, auto& v) { return g.max(g.mul(v[0], v[0]), v[1]); }),
            (std::vector<float>{10, 20, 30, 16, 25, 36}));
  const Value wide{{2, 1, 2, 1}, {1, 2, 3, 4}}, tall{{3, 1, 2}, {1, 2, 3, 4, 5, 6}};
  auto rank4 = floats({wide, tall}, [](auto& g, auto& v) { return g.mul(v[0], v[1]); });
  ASSERT_EQ(rank4.size(), 24u);
  for (std::size_t i = 0; i < 24; ++i) {
    std::size_t l = i % 2, k = i / 2 % 2, j = i / 4 % 3, h = i / 12;
    EXPECT_EQ(rank4[i], wide.f[h * 2 + k] * tall.f[j * 2 + l]);
  }
}

TEST(Primitives, Integers) {
  const Value a{{4}, {}, {7, 300, 128, 0}}, b{{1}, {}, {128}};
  EXPECT_EQ(ints({a, b}, [](auto& g, auto& v) { return g.div(v[0], v[1]); }), (std::vector<std::int32_t>{0, 2, 1, 0}));
  EXPECT_EQ(floats({a, b}, [](auto& g, auto& v) { return g.select(g.less(v[0], v[1]), g.scalar(1), g.scalar(-2)); }),
            (std::vector<float>{1, -2, -2, 1}));
  auto by_zero = evaluate({b, {{1}, {}, {0}}}, [](auto& g, auto& v) { return g.div(v[0], v[1]); });
  ASSERT_FALSE(by_zero);
  EXPECT_EQ(by_zero.error().code, Code::invalid_argument);
}

TEST(Primitives, FunctionsAtTheirEnds) {
  auto y = floats({{{5}, {-1000, -20, 0, 20, 1000}}}, [](auto& g, auto& v) { return g.softplus(v[0]); });
  EXPECT_EQ(y[0], 0);
  EXPECT_NEAR(y[1], std::exp(-20.0), 1e-14);
  EXPECT_NEAR(y[2], std::log(2.0), 1e-7);
  EXPECT_NEAR(y[3], 20, 1e-6);
  EXPECT_EQ(y[4], 1000);
  auto s = floats({{{3}, {-1000, 0, 1000}}}, [](auto& g, auto& v) { return g.silu(v[0]); });
  EXPECT_EQ(s, (std::vector<float>{-0.0f, 0, 1000}));
  auto e = floats({{{2}, {-65504, 0}}}, [](auto& g, auto& v) { return g.sqrt(g.exp(v[0])); });
  EXPECT_EQ(e, (std::vector<float>{0, 1}));
}

TEST(Primitives, MatmulInAllForms) {
  for (auto [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
           {1, 1, 1}, {2, 19, 33}, {5, 19, 33}, {8, 32, 16}, {3, 70, 100}, {13, 5, 2}})
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        const Value a{ta ? Shape{2, 1, k, m} : Shape{2, 1, m, k}, noise(static_cast<std::size_t>(2 * m * k), 1)};
        const Value b{tb ? Shape{3, n, k} : Shape{3, k, n}, noise(static_cast<std::size_t>(3 * n * k), 2)};
        auto y = floats({a, b}, [&](auto& g, auto& v) { return g.matmul(v[0], v[1], ta, tb); });
        ASSERT_EQ(y.size(), static_cast<std::size_t>(6 * m * n));
        for (std::int64_t i = 0; i < 2; ++i)
          for (std::int64_t j = 0; j < 3; ++j)
            for (std::int64_t r = 0; r < m; ++r)
              for (std::int64_t c = 0; c < n; ++c) {
                double sum = 0;
                for (std::int64_t x = 0; x < k; ++x)
                  sum += double(a.f[static_cast<std::size_t>(i * m * k + (ta ? x * m + r : r * k + x))]) *
                         double(b.f[static_cast<std::size_t>(j * n * k + (tb ? c * k + x : x * n + c))]);
                ASSERT_NEAR(y[static_cast<std::size_t>(((i * 3 + j) * m + r) * n + c)], sum, 5e-6)
                    << m << " " << n << " " << k << ta << tb;
              }
      }
}

TEST(Primitives, AlongAnAxis) {
  const Value a{{2, 3, 2}, {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6}};
  EXPECT_EQ(floats({a}, [](auto& g, auto& v) { return g.reduce("reduce_sum", v[0], 1); }),
            (std::vector<float>{9, 12, -9, -12}));
  EXPECT_EQ(floats({a}, [](auto& g, auto& v) { return g.reduce("reduce_mean", v[0], -1); }),
            (std::vector<float>{1.5, 3.5, 5.5, -1.5, -3.5, -5.5}));
  EXPECT_EQ(floats({a}, [](auto& g, auto& v) { return g.reduce("reduce_max", v[0], 0); }),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
  auto y = floats({a}, [](auto& g, auto& v) { return g.softmax(v[0], 1); });
  const double sum = 1 + std::exp(2.0) + std::exp(4.0);
  EXPECT_NEAR(y[0], 1 / sum, 1e-7);
  EXPECT_NEAR(y[4], std::exp(4.0) / sum, 1e-7);
  EXPECT_NEAR(y[6], std::exp(4.0) / sum, 1e-7);
  // Masked by a number, not by infinity: a row that is all masked stays a row of numbers.
  for (float x : floats({{{1, 2}, {-65504, -65504}}}, [](auto&g, auto&v) { return g.softmax(v[0], 1); }))
    EXPECT_EQ(x, 0.5f);
}

TEST(Primitives, Movements) {
  Value a{{2, 3, 4, 5}, noise(120, 3)};
  const std::vector<int> perm{2, 0, 3, 1};
  auto t = floats({a}, [&](auto& g, auto& v) { return g.transpose(v[0], perm); });
  for (std::int64_t i = 0; i < 4; ++i)
    for (std::int64_t j = 0; j < 2; ++j)
      for (std::int64_t k = 0; k < 5; ++k)
        for (std::int64_t l = 0; l < 3; ++l)
          ASSERT_EQ(t[static_cast<std::size_t>(((i * 2 + j) * 5 + k) * 3 + l)],
                    a.f[static_cast<std::size_t>(((j * 3 + l) * 4 + i) * 5 + k)]);
  EXPECT_EQ(floats({a},
                   [&](auto& g, auto& v) {
                     return g.concat({g.slice(v[0], 1, 0, 1), g.slice(v[0], 1, 1, 3)}, 1);
                   }),
            a.f);
  EXPECT_EQ(floats({{{2, 3}, {1, 2, 3, 4, 5, 6}}}, [](auto& g, auto& v) { return g.slice(v[0], 1, 1, 3); }),
            (std::vector<float>{2, 3, 5, 6}));
  EXPECT_EQ(floats({{{3, 2}, {1, 2, 3, 4, 5, 6}}, {{2, 2}, {}, {2, 0, 0, 1}}},
                   [](auto& g, auto& v) { return g.gather(v[0], v[1]); }),
            (std::vector<float>{5, 6, 1, 2, 1, 2, 3, 4}));
  for (std::int32_t bad : {-1, 3}) {
    auto out = evaluate({{{3, 2}, {1, 2, 3, 4, 5, 6}}, {{1}, {}, {bad}}},
                        [](auto& g, auto& v) { return g.gather(v[0], v[1]); });
    ASSERT_FALSE(out);
    EXPECT_NE(out.error().message.find("index " + std::to_string(bad)), std::string::npos) << out.error().message;
  }
}

TEST(Primitives, TopkAndOneHot) {
  const Value a{{2, 4}, {3, 7, 7, 1, 0, -1, 0, 5}};
  EXPECT_EQ(floats({a}, [](auto& g, auto& v) { return g.topk(v[0], 1, 3).first; }),
            (std::vector<float>{7, 7, 3, 5, 0, 0}));
  EXPECT_EQ(ints({a}, [](auto& g, auto& v) { return g.topk(v[0], 1, 3).second; }),
            (std::vector<std::int32_t>{1, 2, 0, 3, 0, 2}));
  EXPECT_EQ(ints({a}, [](auto& g, auto& v) { return g.topk(v[0], 0, 1).second; }),
            (std::vector<std::int32_t>{0, 0, 0, 1}));
  EXPECT_EQ(floats({{{3}, {}, {1, 0, 3}}}, [](auto& g, auto& v) { return g.one_hot(v[0], 3); }),
            (std::vector<float>{0, 1, 0, 1, 0, 0, 0, 0, 0}));
}

TEST(Primitives, RoundingToHalf) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    auto bits = static_cast<std::uint16_t>(h);
    float want = f16_to_f32(bits), got = half_to_float(bits);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got) && std::isnan(round_to_half(got)));
      continue;
    }
    ASSERT_EQ(got, want) << h;
    ASSERT_EQ(float_to_half(got), bits);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(round_to_half(got)), std::bit_cast<std::uint32_t>(got));
  }
  std::mt19937 random(5);
  for (int i = 0; i < 300000; ++i) {
    auto x =
        std::bit_cast<float>(static_cast<std::uint32_t>(i % 2 ? random() : (random() & 0x8fffffffu) | 0x30000000u));
    if (std::isnan(x)) continue;
    ASSERT_EQ(float_to_half(x), f32_to_f16(x)) << x;
    ASSERT_EQ(round_to_half(x), f16_to_f32(f32_to_f16(x))) << x;
  }
  auto y = evaluate(
      {{{2}, {1.0f + 0x1p-12f, 300}}}, [](auto& g, auto& v) { return g.mul(v[0], v[0]); }, true);
  ASSERT_TRUE(y);
  EXPECT_EQ((*y->f)[0], 1.0f);  // the input was rounded
  EXPECT_TRUE(std::isinf((*y->f)[1]));
}

TEST(GraphWriter, WritesEqualThingsOnce) {
  Decomposed made;
  auto y = evaluate(
      {{{2}, {1, 2}}},
      [](auto& g, auto& v) {
        auto one = g.add(g.exp(v[0]), g.scalar(3)), same = g.add(g.exp(v[0]), g.scalar(3));
        EXPECT_EQ(one, same);
        auto other = g.add(g.exp(v[0]), g.scalar(4));
        EXPECT_NE(one, other);
        EXPECT_EQ(g.topk(one, 0, 1).second, g.topk(same, 0, 1).second);
        return g.mul(one, other);
      },
      false, &made);
  ASSERT_TRUE(y);
  EXPECT_EQ(made.graph.nodes.size(), 5u);  // exp, add, add, topk, mul
  EXPECT_EQ(made.graph.constants.size(), 2u);
}

TEST(GraphWriter, NamesBadShapes) {
  const Value a{{2, 3}, noise(6, 1)}, b{{4, 5}, noise(20, 1)}, i{{2}, {}, {0, 1}};
  struct Wrong {
    const char* text;
    Write write;
  };
  for (const Wrong& w : std::vector<Wrong>{
           {"add of f32 [2, 3] and f32 [4, 5]", [](auto&g, auto&v) { return g.add(v[0], v[1]); }},
           {"add of f32 [2, 3] and i32 [2]", [](auto&g, auto&v) { return g.add(v[0], v[2]); }},
           {"less of f32", [](auto&g, auto&v) { return g.less(v[0], v[0]); }},
           {"exp of i32 [2]", [](auto&g, auto&v) { return g.exp(v[2]); }},
           {"matmul of f32 [2, 3] and f32 [4, 5]^T", [](auto&g, auto&v) { return g.matmul(v[0], v[1], false, true); }},
           {"reshape of [2, 3] to [7]", [](auto&g, auto&v) { return g.reshape(v[0], {7}); }},
           {"slice 1..9 of axis 1 of [2, 3]", [](auto&g, auto&v) { return g.slice(v[0], 1, 1, 9); }},
           {"slice 2..2", [](auto&g, auto&v) { return g.slice(v[0], 1, 2, 2); }},
           {"concat of [2, 3] and [4, 5]", [](auto&g, auto&v) { return g.concat({v[0], v[1]}, 0); }},
           {"axis 2 of [2, 3]", [](auto&g, auto&v) { return g.softmax(v[0], 2); }},
           {"transpose of [2, 3]", [](auto&g, auto&v) { return g.transpose(v[0], {0, 0}); }},
           {"k = 4 of 3", [](auto&g, auto&v) { return g.topk(v[0], 1, 4).first; }},
           {"gather by f32", [](auto&g, auto&v) { return g.gather(v[0], v[1]); }},
           {"rank 5", [](auto&g, auto&v) {
              return g.reshape(v[0], {1, 1, 1, 2, 3});
            }}}) {
    auto out = evaluate({a, b, i}, w.write);
    ASSERT_FALSE(out) << w.text;
    EXPECT_NE(out.error().message.find(w.text), std::string::npos) << out.error().message;
  }
}

struct Packed {
  DType type;
  double bits;   // per weight, in the graph, at most
  double error;  // largest |difference| over largest |value|, f32 form
};

class Weights : public testing::TestWithParam<Packed> {};

TEST_P(Weights, StayCompressedAndMeanTheSame) {
  const auto [type, bits, tolerance] = GetParam();
  const std::int64_t slots = 2, rows = 3, columns = block(type).elements == 256 ? 512 : 96, n = slots * rows * columns;
  auto raw = noise(static_cast<std::size_t>(n), 11);
  for (std::int64_t i = 0; i < columns; ++i)
    raw[static_cast<std::size_t>(i)] = -0.25f;  // a k-quant of one value: scale 0, minimum not
  auto data = std::make_shared<std::vector<std::byte>>(row_bytes(type, n));
  ASSERT_TRUE(quantize_row(type, raw.data(), n, data->data()));
  std::vector<double> want(static_cast<std::size_t>(n));
  ASSERT_TRUE(dequantize_row(type, data->data(), n, want.data()));

  SegmentBuilder b;
  auto w = b.constant(type, {slots, rows, columns}, 7, *data, data);
  auto flat = b.constant(type, {slots * rows, columns}, 8, *data, data);
  auto index = b.input(DType::i32, {Dim::fixed(2)});
  auto whole = b.value(DType::f32, fixed({slots, rows, columns})),
       swapped = b.value(DType::f32, fixed({rows, slots, columns}));
  auto picked = b.value(DType::f32, fixed({2, columns}));
  for (auto v : {whole, swapped, picked}) b.output(v);
  Segment source = b.take();
  GraphWriter g(source, Arithmetic::f32);
  g.set(whole, g.weight(w));
  g.set(swapped, g.weight_swapped(w));
  g.set(picked, g.weight_rows(flat, g.of(index)));
  auto made = g.finish();
  ASSERT_TRUE(made) << describe(made.error());
  auto evaluator = Evaluator::make(made->graph, false);
  ASSERT_TRUE(evaluator) << describe(evaluator.error());
  EXPECT_LE(double(evaluator->constant_bytes()) * 8 / double(n), 3 * bits + 1e-9) << "three copies";
  auto out =
      evaluator->run({{{2}, nullptr, std::make_shared<std::vector<std::int32_t>>(std::vector<std::int32_t>{4, 0})}});
  ASSERT_TRUE(out) << describe(out.error());
  double largest = 0, worst = 0;
  for (double x : want) largest = std::max(largest, std::abs(x));
  auto differ = [&](float got, std::int64_t at) {
    worst = std::max(worst, std::abs(double(got) - want[static_cast<std::size_t>(at)]));
  };
  for (std::int64_t s = 0; s < slots; ++s)
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t at = (s * rows + r) * columns + c;
        differ((*(*out)[0].f)[static_cast<std::size_t>(at)], at);
        differ((*(*out)[1].f)[static_cast<std::size_t>((r * slots + s) * columns + c)], at);
      }
  for (std::int64_t c = 0; c < columns; ++c) {
    differ((*(*out)[2].f)[static_cast<std::size_t>(c)], 4 * columns + c);
    differ((*(*out)[2].f)[static_cast<std::size_t>(columns + c)], c);
  }
  EXPECT_LE(worst / largest, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Types, Weights,
                         testing::Values(Packed{DType::f32, 32, 0}, Packed{DType::f16, 16, 0},
                                         Packed{DType::bf16, 16, 0}, Packed{DType::q8_0, 8.5, 1e-7},
                                         Packed{DType::q4_0, 4.5, 1e-7}, Packed{DType::q4_k, 6, 3e-7},
                                         Packed{DType::q5_k, 10, 3e-7}, Packed{DType::q6_k, 10, 1e-7}),
                         [](const auto& each) { return std::string(to_string(each.param.type)); });

TEST(GraphWriter, SaysThatAWeightHasNoData) {
  SegmentBuilder b;
  auto w = b.constant(DType::q8_0, {2, 32}, 1, {}, nullptr);
  Segment source = b.take();
  GraphWriter g(source, Arithmetic::f32);
  g.weight(w);
  auto made = g.finish();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::invalid_argument);
  EXPECT_NE(made.error().message.find("0 bytes of data, needs 68"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace switchyard::test
