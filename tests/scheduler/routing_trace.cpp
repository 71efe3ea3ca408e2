// Routing traces: what is written is read back; what is broken is refused with its place.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "models/shapes/shapes.h"
#include "scheduler/experts/choose.h"
#include "tests/support/folder.h"

namespace switchyard::scheduler {
namespace {

class Trace : public testing::Test {
 protected:
  std::string path() const { return folder_.file("t.trace"); }
  std::string bytes() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  hal::Result<RoutingTrace> reading(const std::string& content) const {
    std::ofstream(path(), std::ios::binary) << content;
    return load_trace(path());
  }
  std::string refusal(const std::string& content) const {
    auto read = reading(content);
    if (read) return "was read";
    EXPECT_EQ(read.error().code, hal::Code::io) << read.error().message;
    return read.error().message;
  }

  test::Folder folder_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

// Two steps, of two tokens and of one; 2 layers, 3 of `experts`.
RoutingTrace small(std::int64_t experts = 8) {
  const auto top = static_cast<std::int32_t>(experts - 1);
  RoutingTrace t{"a \"model\"", 0x0123456789abcdefull, {2, experts, 3}, {1000, 2000}, {}, {}};
  EXPECT_TRUE(t.add({t.shape, 2, {0, 1, 2, 3, 4, top, 5, 0, 1, 2, 3, 4}}));
  EXPECT_TRUE(t.add({t.shape, 1, {top, 6, 5, 4, 3, 2}}));
  return t;
}

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST_F(Trace, ReadsBackWhatWasWritten) {
  for (std::int64_t experts : {8, 256, 257, 65536}) {
    const RoutingTrace t = small(experts);
    ASSERT_TRUE(save(t, path()));
    auto read = load_trace(path());
    ASSERT_TRUE(read) << hal::describe(read.error());
    EXPECT_EQ(read->model, t.model);
    EXPECT_EQ(read->model_hash, t.model_hash);
    EXPECT_EQ(read->shape, t.shape);
    EXPECT_EQ(read->expert_bytes, t.expert_bytes);
    EXPECT_EQ(read->step_rows, t.step_rows);
    EXPECT_EQ(read->chosen, t.chosen);
    const std::string content = bytes();
    EXPECT_EQ(content.size() - content.find('\n') - 1, 2u * 4 + 18 * (experts > 256 ? 2 : 1));
  }
  RoutingTrace named = small();
  named.model = "m \xff";  // as a folder may be called
  ASSERT_TRUE(save(named, path()));
  EXPECT_EQ(load_trace(path())->model, "m \ufffd");
  EXPECT_FALSE(save(small(), folder_.file("none/t")));
  EXPECT_EQ(load_trace(folder_.file("none")).error().code, hal::Code::not_found);
}

TEST_F(Trace, CountsAreThoseOfItsSteps) {
  const RoutingTrace t = small();
  EXPECT_EQ(t.tokens(), 3);
  const UsageHistogram all = usage_of(whole(t));
  EXPECT_EQ(all.count(0, 0), 2u);
  EXPECT_EQ(all.count(0, 5), 2u);
  EXPECT_EQ(all.count(1, 4), 3u);
  EXPECT_EQ(all.count(1, 0), 0u);
  UsageHistogram summed(t.shape);
  ASSERT_TRUE(summed.add({t.shape, 2, {0, 1, 2, 3, 4, 7, 5, 0, 1, 2, 3, 4}}));
  ASSERT_TRUE(summed.add({t.shape, 1, {7, 6, 5, 4, 3, 2}}));
  EXPECT_EQ(summed.counts, all.counts);
  EXPECT_EQ(summed.tokens, 3u);
  EXPECT_EQ(usage_of(half(t, false)).tokens + usage_of(half(t, true)).tokens, 3u);
}

TEST_F(Trace, EveryCutIsRefused) {
  ASSERT_TRUE(save(small(), path()));
  const std::string content = bytes();
  for (std::size_t n = 0; n < content.size(); ++n) EXPECT_NE(refusal(content.substr(0, n)), "was read") << n;
  EXPECT_HAS(refusal(content.substr(0, content.size() - 1)), "it was cut");
  EXPECT_HAS(refusal(content + "x"), "written to after its end");
}

TEST_F(Trace, WhatContradictsItselfIsRefusedWithItsPlace) {
  ASSERT_TRUE(save(small(), path()));
  const std::string content = bytes();
  std::string wrong = content;
  wrong.back() = 8;
  EXPECT_HAS(refusal(wrong), "token 2, layer 1 chose expert 8 of 8");
  wrong.back() = wrong[wrong.size() - 2];
  EXPECT_HAS(refusal(wrong), "token 2, layer 1 chose expert 3 twice");
  wrong = content;
  wrong[content.find('\n') + 1] = 3;
  EXPECT_HAS(refusal(wrong), "its steps have 4 rows, its header says 3 tokens");
  EXPECT_HAS(refusal(changed(content, "routing/1", "routing/2")), "is no routing trace of switchyard.routing/1");
  EXPECT_HAS(refusal("{}\n"), "schema is absent");
  EXPECT_HAS(refusal("[1]\n"), "schema is absent");
  EXPECT_HAS(refusal("GGUF\n"), path());
  EXPECT_HAS(refusal(changed(content, "\"top_k\":3", "\"top_k\":9")), "top_k is 9, expected 1 .. 8");
  EXPECT_HAS(refusal(changed(content, "\"layers\":2", "\"layers\":-2")), "layers is -2");
  EXPECT_HAS(refusal(changed(content, "\"layers\":2", "\"layers\":2.5")), "layers is 2.5");
  EXPECT_HAS(refusal(changed(content, "\"layers\":2", "\"layers\":3")), "expert_bytes must be 3 positive numbers");
  EXPECT_HAS(refusal(changed(content, "1000", "0")), "expert_bytes must be 2 positive numbers");
  EXPECT_HAS(refusal(changed(content, "1000", "1099511627777")), "expert_bytes must be 2 positive numbers of at most");
  EXPECT_HAS(refusal(changed(content, "0123456789abcdef", "0123456789ABCDEF")), "16 hexadecimal digits");
  EXPECT_HAS(refusal(changed(content, "\"tokens\":3", "\"tokens\":1099511627776")), "it was cut");
  EXPECT_HAS(refusal(changed(content, "\"experts\":8", "\"experts\":300")), "id_bytes is 1");
}

// A small file must not ask for tens of gigabytes of counts, nor for more bytes of experts than can be counted.
TEST_F(Trace, LayersAndExpertsAreBoundedTogether) {
  RoutingTrace t{"m", 1, {64, 65536, 1}, std::vector<hal::Bytes>(64, hal::Bytes{1} << 40), {}, {}};
  ASSERT_TRUE(save(t, path()));
  auto read = load_trace(path());
  ASSERT_TRUE(read) << hal::describe(read.error());
  const ExpertBudget budget{0, read->expert_bytes};
  ExpertChoice all(read->shape);
  std::fill(all.fast.begin(), all.fast.end(), std::uint8_t{1});
  EXPECT_EQ(bytes_of(all, budget), hal::Bytes{1} << 62);
  t.shape.layers = 65;
  t.expert_bytes.push_back(1);
  ASSERT_TRUE(save(t, path()));
  EXPECT_HAS(refusal(bytes()), "65 layers of 65536 experts, expected at most 4194304 in all");
}

TEST_F(Trace, AnyBytesAreReadOrRefused) {
  ASSERT_TRUE(save(small(), path()));
  const std::string content = bytes();
  int read_back = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    std::mt19937_64 random(seed);
    std::string damaged = content;
    for (std::uint64_t n = random() % 3 + 1; n > 0; --n)
      damaged[random() % damaged.size()] = static_cast<char>(random());
    auto read = reading(damaged);
    if (!read) continue;
    ++read_back;
    ASSERT_EQ(read->chosen.size(), static_cast<std::size_t>(read->tokens() * read->shape.layers * read->shape.top_k))
        << "seed " << seed;
    for (std::uint16_t id : read->chosen) ASSERT_LT(id, read->shape.experts) << "seed " << seed;
    EXPECT_EQ(usage_of(whole(*read)).tokens, static_cast<std::uint64_t>(read->tokens()));
  }
  EXPECT_GT(read_back, 0);  // another id or name is as good as the one it was
}

TEST_F(Trace, StepsThatCannotBeAreRefused) {
  RoutingTrace t = small();
  UsageHistogram usage(t.shape);
  const StepRouting wrong[] = {{{2, 8, 2}, 1, {0, 1, 2, 3}},
                               {t.shape, 2, {0, 1, 2, 3, 4, 5}},
                               {t.shape, 1, {0, 1, 2, 3, 4, 8}},
                               {t.shape, 1, {0, 1, 2, 3, -1, 5}},
                               {t.shape, 1, {0, 1, 2, 3, 4, 3}}};
  for (const StepRouting& step : wrong) {
    EXPECT_EQ(t.add(step).error().code, hal::Code::invalid_argument);
    EXPECT_EQ(usage.add(step).error().code, hal::Code::invalid_argument);
  }
  EXPECT_EQ(t.tokens(), 3);
  EXPECT_EQ(usage.tokens, 0u);
  EXPECT_TRUE(t.add({t.shape, 1, {0, 1, 2, 2, 1, 0}}));  // the same expert in two layers is none twice
}

TEST_F(Trace, BelongsToOneModel) {
  models::LoadOptions options;
  options.no_data = true;
  auto tiny = models::load_shape("h-tiny", options), dense = models::load_shape("h-350m", options);
  options.seed = 5;
  auto other = models::load_shape("h-tiny", options);
  ASSERT_TRUE(tiny && dense && other);
  auto t = trace_for(*tiny);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->shape, (ExpertShape{40, 64, 6}));
  // q4_k: 144 bytes for 256 weights; gate, up and down of 512 x 1536.
  EXPECT_EQ(t->expert_bytes, std::vector<hal::Bytes>(40, 3 * 512 * 1536 / 256 * 144));
  EXPECT_TRUE(belongs_to(*t, *tiny));
  EXPECT_EQ(belongs_to(*t, *other).error().code, hal::Code::invalid_argument);
  EXPECT_EQ(trace_for(*dense).error().code, hal::Code::unsupported);
}

}  // namespace
}  // namespace switchyard::scheduler
