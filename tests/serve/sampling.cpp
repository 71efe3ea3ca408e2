// Sampling against its definition, written out plainly in double precision.
#include "scheduler/serve/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>

#include "kernels/library.h"
#include "kernels/sampling/sampling.h"

namespace switchyard::scheduler {
namespace {

using Log = std::span<const std::int32_t>;
constexpr float inf = std::numeric_limits<float>::infinity(), nan_f = std::numeric_limits<float>::quiet_NaN();
constexpr double huge = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

// The probability of each token, and the tokens in the order in which they are drawn.
struct Exact {
  std::vector<double> p;  // 0: not to be drawn
  std::vector<std::int32_t> order;
};

float finite(double x) {
  constexpr double most = std::numeric_limits<float>::max();
  return static_cast<float>(std::max(-most, std::min(most, x)));
}

Exact exact(std::span<const float> logits, Log log, const Sampling& s, const std::vector<std::uint8_t>& allowed = {}) {
  std::vector<float> l(logits.begin(), logits.end());
  for (auto [token, bias] : s.bias) {
    auto& x = l[static_cast<std::size_t>(token)];
    if (std::isfinite(x)) x = finite(static_cast<double>(x) + static_cast<double>(bias));
    if (bias == -inf) x = -inf;
  }
  const auto window = std::min<std::size_t>(log.size(), static_cast<std::size_t>(s.repetition_window));
  std::set<std::int32_t> seen;
  for (std::size_t i = log.size() - window; i < log.size(); ++i) seen.insert(log[i]);
  for (std::int32_t token : seen) {
    auto& x = l[static_cast<std::size_t>(token)];
    const double by = s.repetition_penalty, d = static_cast<double>(x);
    if (std::isfinite(x)) x = finite(d > 0 ? d / by : d * by);
  }
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (!allowed[i]) l[i] = -inf;

  Exact e{std::vector<double>(l.size()), std::vector<std::int32_t>(l.size())};
  std::iota(e.order.begin(), e.order.end(), 0);
  const auto logit = [&](std::int32_t token) { return static_cast<double>(l[static_cast<std::size_t>(token)]); };
  std::stable_sort(e.order.begin(), e.order.end(), [&](auto a, auto b) { return logit(a) > logit(b); });
  const double top = logit(e.order[0]);
  double total = 0;
  for (std::size_t i = 0; i < l.size(); ++i) {
    const double d = static_cast<double>(l[i]);
    e.p[i] = d == top ? 1 : s.temperature == 0 ? 0 : std::exp((d - top) / s.temperature);
    total += e.p[i];
  }
  double before = 0, kept = 0;  // of p, which is made to sum to 1 at the end: so sums of equal ones are exact
  std::int64_t rank = 0;
  for (std::int32_t token : e.order) {
    double& p = e.p[static_cast<std::size_t>(token)];
    const double mine = p;
    const bool keep = (s.temperature > 0 || rank == 0) && (s.top_k == 0 || rank < s.top_k) &&
                      (s.top_p == 1 || before < s.top_p * total) && mine >= s.min_p;
    if (!keep) p = 0;
    kept += p;
    before += mine;
    ++rank;
  }
  for (double& p : e.p) p /= kept;
  return e;
}

// Where `random` falls.
std::int32_t token_at(const Exact& e, double random) {
  double sum = 0;
  std::int32_t last = e.order[0];
  for (std::int32_t token : e.order) {
    if (e.p[static_cast<std::size_t>(token)] == 0) continue;
    last = token;
    sum += e.p[static_cast<std::size_t>(token)];
    if (sum > random) break;
  }
  return last;
}

std::int32_t chosen(std::span<const float> logits, Log log, const Sampling& s, const TokenMask& mask = {}) {
  const auto token = choose(logits, log, s, mask);
  EXPECT_TRUE(token) << describe(token.error());
  return token ? *token : -1;
}

std::string why(std::span<const float> logits, Log log, const Sampling& s, const TokenMask& mask = {}) {
  const auto token = choose(logits, log, s, mask);
  if (token) return "chose " + std::to_string(*token);
  EXPECT_EQ(token.error().code, hal::Code::invalid_argument);
  return token.error().message;
}

TEST(Sampling, GreedyTakesTheLargestAndTheLowestTokenOnATie) {
  EXPECT_EQ(chosen(std::vector<float>{1, 3, 2, 3}, {}, {}), 1);
  EXPECT_EQ(chosen(std::vector<float>{7}, {}, {}), 0);
  EXPECT_EQ(chosen(std::vector<float>{-inf, -3e38f, -inf}, {}, {}), 1);
  EXPECT_EQ(chosen(std::vector<float>{3e38f, inf, inf}, {}, {}), 1);
  EXPECT_EQ(chosen(std::vector<float>{-0.0f, 0.0f}, {}, {}), 0);
}

// Numbers worked out by hand.
TEST(Sampling, Filters) {
  const std::vector<float> logits{std::log(4.0f), std::log(2.0f), std::log(1.0f), std::log(1.0f)};  // 1/2 1/4 1/8 1/8
  const struct {
    const char* what;
    void (*set)(Sampling& s);
    std::set<std::int32_t> may;
  } rows[] = {
      {"all", [](Sampling&) {}, {0, 1, 2, 3}},
      {"top_k", [](Sampling& s) { s.top_k = 2; }, {0, 1}},
      {"top_k, a tie", [](Sampling& s) { s.top_k = 3; }, {0, 1, 2}},
      {"top_k beyond", [](Sampling& s) { s.top_k = 9; }, {0, 1, 2, 3}},
      {"top_p", [](Sampling& s) { s.top_p = 0.7; }, {0, 1}},
      {"top_p of one", [](Sampling& s) { s.top_p = 0.49; }, {0}},
      {"top_p next to 0", [](Sampling& s) { s.top_p = 1e-300; }, {0}},
      {"top_p is of all, after top_k too", [](Sampling& s) { s.top_k = 2, s.top_p = 0.6; }, {0, 1}},
      {"min_p", [](Sampling& s) { s.min_p = 0.3; }, {0, 1}},
      {"min_p 1", [](Sampling& s) { s.min_p = 1; }, {0}},
      {"bias",
       [](Sampling& s) {
         s.bias = {{1, -inf}, {0, -inf}};
       },
       {2, 3}},
      {"bias then top_k",
       [](Sampling& s) {
         s.top_k = 1, s.bias = {{3, 5.0f}};
       },
       {3}},
  };
  for (const auto& row : rows) {
    std::set<std::int32_t> drawn;
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      Sampling s{.temperature = 1, .seed = seed};
      row.set(s);
      drawn.insert(chosen(logits, {}, s));
    }
    EXPECT_EQ(drawn, row.may) << row.what;
  }
}

TEST(Sampling, MinPCutsWhereItSays) {
  const std::vector<float> logits{0, -1};
  for (double aside : {-1e-9, 1e-9}) {
    bool second = false;
    for (std::uint64_t seed = 0; seed < 100; ++seed)
      second |= chosen(logits, {}, {.temperature = 1, .min_p = std::exp(-1) * (1 + aside), .seed = seed}) == 1;
    EXPECT_EQ(second, aside < 0);
  }
}

TEST(Sampling, PenaltyDividesWhatIsAboveZeroAndMultipliesTheRestOnce) {
  const std::vector<std::int32_t> log{2, 0, 0, 0, 1};
  Sampling s;
  s.repetition_penalty = 2;
  EXPECT_EQ(chosen(std::vector<float>{4, 1, 1, 1.9f}, log, s), 0);  // 4 / 2, not 4 / 8
  EXPECT_EQ(chosen(std::vector<float>{4, 1, 1, 2.1f}, log, s), 3);
  EXPECT_EQ(chosen(std::vector<float>{-2, -9, -9, -3.9f}, log, s), 3);  // -2 * 2
  s.repetition_window = 1;
  EXPECT_EQ(chosen(std::vector<float>{4, 1, 1, 2.1f}, log, s), 0);
  EXPECT_EQ(chosen(std::vector<float>{4, 4.5f, 1, 1}, log, s), 0);
  s.repetition_window = 0;
  EXPECT_EQ(chosen(std::vector<float>{4, 4.5f, 1, 1}, log, s), 1);
  s.repetition_window = 1000;
  s.repetition_penalty = 0.5;  // a reward
  EXPECT_EQ(chosen(std::vector<float>{1, 0, 0, 1.9f}, log, s), 0);
  s.repetition_penalty = 1e308;  // as far as can be, and no further
  EXPECT_EQ(chosen(std::vector<float>{-3, -3, -3, -inf}, log, s), 0);
  EXPECT_EQ(chosen(std::vector<float>{inf, -3, -3, -inf}, log, s), 0);
}

// Random rows of every kind; the token must be the one of the definition.
TEST(Sampling, IsAsDefined) {
  constexpr unsigned seed = 20;
  std::mt19937_64 random(seed);
  const auto any = [&](auto... x) {
    const std::common_type_t<decltype(x)...> list[] = {x...};
    return list[random() % sizeof...(x)];
  };
  const auto real = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
  for (int trial = 0; trial < 3000; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", trial " + std::to_string(trial));
    const auto v = static_cast<std::size_t>(any(1, 2, 7, 65, 300, 3000));
    std::normal_distribution<double> normal(0, any(0.01, 1.0, 4.0, 30.0, 1e30));
    const bool ties = any(0, 1, 1), infinities = any(0, 0, 1);
    std::vector<float> logits(v);
    for (float& l : logits) {
      l = static_cast<float>(normal(random));
      if (ties) l = std::round(l * 2) / 2;
      if (infinities && random() % 3 == 0) l = -inf;
    }
    logits[random() % v] = any(0.5f, 1.0f, 3e38f, -3e38f, 40.0f);
    if (any(0, 0, 0, 1)) logits[random() % v] = logits[random() % v] = inf;
    Sampling s;
    s.temperature = any(0.0, 0.05, 0.7, 1.0, 3.0, 1e-300, 1e300);
    s.top_k = any(0, 0, 1, 40, 700, 5000);
    s.top_p = any(1.0, 1.0, 0.01, 0.5, 0.9, 0.999) * (1 - real() * 1e-3 * any(0, 1));
    s.min_p = any(0.0, 0.0, 0.05, 0.9) * (1 - real() / 10);
    s.seed = random();
    s.repetition_penalty = any(1.0, 1.0, 1.3, 0.8);
    s.repetition_window = any(0, 3, 64, 1000);
    for (int n = any(0, 0, 2, 20); n > 0; --n)
      s.bias.emplace_back(static_cast<std::int32_t>(random() % v), any(1.0f, -2.0f, 100.0f, -inf));
    std::vector<std::int32_t> log(random() % 200);
    for (auto& token : log) token = static_cast<std::int32_t>(random() % v);
    std::vector<std::uint8_t> allowed;
    TokenMask mask;
    if (any(0, 0, 1)) {
      for (std::size_t i = 0; i < v; ++i) allowed.push_back(any(0, 1));
      mask = [&](Log, std::span<std::uint8_t> out) { std::copy(allowed.begin(), allowed.end(), out.begin()); };
    }
    const auto token = choose(logits, log, s, mask);
    bool left = false;  // is there a token to choose?
    for (std::size_t i = 0; i < v; ++i) {
      bool possible = logits[i] > -inf && (allowed.empty() || allowed[i]);
      for (auto [biased, by] : s.bias) possible = possible && !(biased == static_cast<std::int32_t>(i) && by == -inf);
      left = left || possible;
    }
    ASSERT_EQ(left, token.has_value());
    if (!left) continue;
    const double at = uniform(s.seed, log.size());
    ASSERT_EQ(*token, token_at(exact(logits, log, s, allowed), at))
        << "v " << v << ", random " << at << ", " << to_json(s);
  }
}

// The same formulas as the op that runs on devices.
TEST(Sampling, IsAsTheOp) {
  constexpr unsigned seed = 21;
  std::mt19937 random(seed);
  const auto* op = kernels::find_op("sampling@1");
  ASSERT_NE(op, nullptr);
  for (int trial = 0; trial < 300; ++trial) {
    const std::int64_t v = 1 + static_cast<std::int64_t>(random() % 400);
    const kernels::sampling::Attrs attrs{static_cast<float>(random() % 3) * 0.7f,
                                         static_cast<std::int32_t>(random() % 3 * 30),
                                         random() % 2 ? 1.0f : 0.9f - static_cast<float>(random() % 100) / 200};
    kernels::SegmentBuilder b;
    const auto one = hal::Dim::open(kernels::sym_logits, 1, 1);
    const auto l = b.input(hal::DType::f32, {one, hal::Dim::fixed(v)}), u = b.input(hal::DType::f32, {one});
    const auto out = kernels::sampling::append(b, l, u, attrs);
    b.output(out);
    const hal::Segment segment = b.take();
    std::vector<float> logits;
    for (std::int64_t i = 0; i < v; ++i) logits.push_back(static_cast<float>(random() % 200) / 20);
    const Sampling s{.temperature = static_cast<double>(attrs.temperature),
                     .top_k = attrs.top_k,
                     .top_p = static_cast<double>(attrs.top_p),
                     .seed = random()};
    const std::vector<std::int32_t> log(random() % 9);
    std::vector<std::vector<double>> values(segment.values.size());
    values[l].assign(logits.begin(), logits.end());
    values[u] = {uniform(s.seed, log.size())};
    const std::vector<std::int64_t> dims{1, 1, 1};
    kernels::ReferenceArgs args{segment, segment.nodes[0], dims, values};
    ASSERT_TRUE(op->reference(args));
    ASSERT_EQ(chosen(logits, log, s), static_cast<std::int32_t>(values[out][0]))
        << "seed " << seed << ", trial " << trial << ", " << to_json(s);
  }
}

// Of n draws with the probabilities p: the sum that Pearson's test compares with a chi-square distribution.
double chi_square(const std::map<std::int32_t, int>& counts, const Exact& e, int n) {
  double sum = 0;
  for (std::size_t i = 0; i < e.p.size(); ++i) {
    const auto found = counts.find(static_cast<std::int32_t>(i));
    const double count = found == counts.end() ? 0 : found->second;
    if (e.p[i] == 0 && count > 0) ADD_FAILURE() << "token " << i << " may not be drawn";
    if (e.p[i] > 0) sum += (count - n * e.p[i]) * (count - n * e.p[i]) / (n * e.p[i]);
  }
  return sum;
}

TEST(Sampling, DrawsByProbability) {
  const std::vector<float> logits{0.5f, 2, 1, 1, -1, 1.5f, 0, -inf, 0.25f};
  constexpr int n = 30000;
  const std::vector<std::int32_t> zeros(n);  // only its size matters
  const Sampling rows[] = {{.temperature = 1},
                           {.temperature = 0.6, .top_k = 4},
                           {.temperature = 1.5, .top_p = 0.8},
                           {.temperature = 1, .min_p = 0.3},
                           {.temperature = 2, .top_k = 6, .top_p = 0.9, .min_p = 0.2, .bias = {{4, 2.0f}}}};
  for (std::uint64_t seed : {0ull, 1ull, 0xFFFFFFFFFFFFFFFFull})
    for (Sampling s : rows) {
      std::map<std::int32_t, int> by_position, by_seed;
      for (int i = 0; i < n; ++i) {
        s.seed = seed;
        ++by_position[chosen(logits, Log(zeros).first(static_cast<std::size_t>(i)), s)];
        s.seed = seed + static_cast<std::uint64_t>(i);
        ++by_seed[chosen(logits, {}, s)];
      }
      const Exact e = exact(logits, {}, s);
      // 8 tokens at most, so 7 degrees of freedom: above 40 once in a million.
      EXPECT_LT(chi_square(by_position, e, n), 40) << "seed " << seed << ", " << to_json(s);
      EXPECT_LT(chi_square(by_seed, e, n), 40) << "seed " << seed << ", " << to_json(s);
    }
}

// A session with made-up logits that depend on its log, continued to `size` tokens.
void generate(std::vector<std::int32_t>& log, std::size_t size, const Sampling& s) {
  while (log.size() < size) {
    std::mt19937 random(static_cast<std::uint32_t>(std::accumulate(log.begin(), log.end(), std::int64_t{1})));
    std::vector<float> logits(50);
    for (float& l : logits) l = static_cast<float>(random() % 100) / 20;
    log.push_back(chosen(logits, log, s));
  }
}

TEST(Sampling, ASessionRolledBackOrResumedDrawsTheSame) {
  const Sampling s{.temperature = 1, .top_k = 20, .repetition_penalty = 1.2, .seed = 99};
  std::vector<std::int32_t> whole{1, 2, 3}, back{1, 2, 3}, other{1, 2, 3};
  generate(whole, 200, s);
  generate(back, 150, s);
  back.resize(40);
  const auto read = sampling_from_json(to_json(s));
  ASSERT_TRUE(read) << describe(read.error());
  generate(back, 200, *read);
  EXPECT_EQ(back, whole);
  Sampling seeded = s;
  seeded.seed = 100;
  generate(other, 200, seeded);
  EXPECT_NE(other, whole);
}

// The known answers of the authors' library (Random123, kat_vectors).
TEST(Sampling, Philox) {
  using Four = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t all = 0xFFFFFFFF;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({all, all, all, all}, {all, all}), (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  EXPECT_EQ(uniform(0, 0), static_cast<double>(0x6627e8d5e169c58dull >> 11) * 0x1p-53);
  EXPECT_NE(uniform(0, 1ull << 32), uniform(0, 0));  // all 64 bits of both count
  EXPECT_NE(uniform(1ull << 32, 0), uniform(0, 0));
}

TEST(Sampling, AMaskDecidesLast) {
  const std::vector<std::int32_t> log{3, 1, 4};
  const TokenMask only_two = [&](Log seen, std::span<std::uint8_t> allowed) {
    EXPECT_TRUE(std::equal(seen.begin(), seen.end(), log.begin(), log.end()));
    EXPECT_EQ(std::count(allowed.begin(), allowed.end(), 1), 6);
    std::fill(allowed.begin(), allowed.end(), std::uint8_t{0});
    allowed[2] = 1;
  };
  const std::vector<float> logits{5, 5, -50, inf, 5, 5};
  EXPECT_EQ(chosen(logits, log, {}, only_two), 2);
  EXPECT_EQ(chosen(logits, log, {.temperature = 1, .top_k = 1, .bias = {{0, 9.0f}}}, only_two), 2);
}

TEST(Sampling, WhatCannotBeChosenFromIsNamed) {
  const std::vector<float> row{1, 2, 3};
  const std::vector<std::int32_t> log{0, 7}, below{-1};
  for (double temperature : {0.0, 1.0}) {
    const Sampling s{.temperature = temperature};
    EXPECT_EQ(why({}, {}, s), "sampling: vocabulary of 0 tokens, expected 1 to 2^31 - 1");
    EXPECT_EQ(why(std::vector<float>{1, nan_f, nan_f}, {}, s), "sampling: the logit of token 1 is NaN, as are 2 of 3");
    EXPECT_EQ(why(std::vector<float>{-inf, -inf}, {}, s), "sampling: no token left: the logits of all 2 are -inf");
    const auto clear = [](Log, std::span<std::uint8_t> allowed) { std::fill(allowed.begin(), allowed.end(), 0); };
    EXPECT_EQ(why(row, {}, s, clear), "sampling: no token left: the mask allows none of 3");
    const auto first = [](Log, std::span<std::uint8_t> allowed) { allowed[1] = allowed[2] = 0; };
    EXPECT_EQ(why(std::vector<float>{-inf, 1, 1}, {}, s, first),
              "sampling: no token left: the logits of all 3 are -inf, by themselves, the mask or a bias");
    const auto throws = [](Log, std::span<std::uint8_t>) { throw std::runtime_error("no such rule"); };
    EXPECT_EQ(why(row, {}, s, throws), "sampling: the mask's callback threw: no such rule");
    const auto odd = [](Log, std::span<std::uint8_t>) { throw 5; };
    EXPECT_EQ(why(row, {}, s, odd), "sampling: the mask's callback threw what is no std::exception");
    EXPECT_EQ(why(row, log, {.temperature = temperature, .repetition_penalty = 1.1}),
              "sampling: token 7 is in the log, the vocabulary has 3");
    EXPECT_EQ(why(row, below, {.temperature = temperature, .repetition_penalty = 1.1}),
              "sampling: token -1 is in the log, the vocabulary has 3");
    EXPECT_EQ(chosen(row, log, {.temperature = 0, .repetition_penalty = 1.1, .repetition_window = 0}), 2);
  }
}

TEST(Sampling, ValuesOutOfRangeAreNamed) {
  const struct {
    void (*set)(Sampling& s);
    std::string named;  // the beginning of the message
  } rows[] = {
      {[](Sampling& s) { s.temperature = -0.5; }, "temperature is -0.500000, expected 0"},
      {[](Sampling& s) { s.temperature = nan; }, "temperature is nan"},
      {[](Sampling& s) { s.temperature = huge; }, "temperature is inf"},
      {[](Sampling& s) { s.top_k = -1; }, "top_k is -1, expected 0"},
      {[](Sampling& s) { s.top_p = 0; }, "top_p is 0.000000, expected more than 0"},
      {[](Sampling& s) { s.top_p = 1.5; }, "top_p is 1.5"},
      {[](Sampling& s) { s.top_p = nan; }, "top_p is nan"},
      {[](Sampling& s) { s.min_p = -0.1; }, "min_p is -0.1"},
      {[](Sampling& s) { s.min_p = 1.1; }, "min_p is 1.1"},
      {[](Sampling& s) { s.min_p = nan; }, "min_p is nan"},
      {[](Sampling& s) { s.repetition_penalty = 0; }, "repetition_penalty is 0.0"},
      {[](Sampling& s) { s.repetition_penalty = huge; }, "repetition_penalty is inf"},
      {[](Sampling& s) { s.repetition_penalty = nan; }, "repetition_penalty is nan"},
      {[](Sampling& s) { s.repetition_window = -1; }, "repetition_window is -1"},
      {[](Sampling& s) {
         s.bias = {{0, 1.0f}, {3, 1.0f}};
       },
       "bias of token 3, the vocabulary has 3"},
      {[](Sampling& s) {
         s.bias = {{-1, 1.0f}};
       },
       "bias of token -1"},
      {[](Sampling& s) {
         s.bias = {{2, inf}};
       },
       "bias of token 2 is inf, expected a number or -inf"},
      {[](Sampling& s) {
         s.bias = {{2, nan_f}};
       },
       "bias of token 2 is nan"},
  };
  const std::vector<float> logits{1, 2, 3};
  for (const auto& row : rows) {
    Sampling s;
    row.set(s);
    const auto refused = check(s, 3);
    ASSERT_FALSE(refused) << row.named;
    EXPECT_EQ(refused.error().code, hal::Code::invalid_argument);
    EXPECT_EQ(refused.error().message.rfind("sampling: " + row.named, 0), 0u) << refused.error().message;
    EXPECT_EQ(why(logits, {}, s), refused.error().message);
  }
  EXPECT_FALSE(check({}, 0));
  EXPECT_FALSE(check({}, std::int64_t{1} << 31));
  EXPECT_TRUE(check({.temperature = 1, .min_p = 1, .bias = {{2, -inf}}}, 3));
}

}  // namespace
}  // namespace switchyard::scheduler
