// Routing as outputs of a model's segments: there when asked for, and no other segment when not.
#include "models/granite_hybrid/segments.h"

#include <gtest/gtest.h>

#include "models/shapes/shapes.h"

namespace switchyard::models {
namespace {

StepShape step() {
  StepShape s;
  s.rows = hal::Dim::open(kernels::sym_rows, 1, 16);
  s.sequences = hal::Dim::open(kernels::sym_sequences, 1, 4);
  s.logits = hal::Dim::open(kernels::sym_logits, 1, 16);
  return s;
}

TEST(Segments, RoutersChoicesAreOutputsWhenAskedFor) {
  LoadOptions options;
  options.no_data = true;
  auto tiny = load_shape("h-tiny", options), dense = load_shape("h-350m", options);
  ASSERT_TRUE(tiny && dense);
  StepShape with = step();
  with.routing = true;
  const ModelSegment plain = build_segment(*tiny, 0, unit_count(*tiny), step()),
                     all = build_segment(*tiny, 0, unit_count(*tiny), with), part = build_segment(*tiny, 5, 8, with);
  ASSERT_EQ(plain.outputs.size(), 1u);
  EXPECT_EQ(plain.outputs[0].role, Binding::Role::logits);
  EXPECT_EQ(all.segment.nodes.size(), plain.segment.nodes.size());
  ASSERT_EQ(all.outputs.size(), 41u);
  EXPECT_EQ(all.outputs[0].role, Binding::Role::logits);  // what follows comes after it
  EXPECT_EQ(part.outputs[0].role, Binding::Role::hidden);
  ASSERT_EQ(part.outputs.size(), 2u);  // unit 6 is the feed-forward part of layer 2
  EXPECT_EQ(part.outputs[1].layer, 2);
  for (std::size_t i = 1; i < all.outputs.size(); ++i) {
    EXPECT_EQ(all.outputs[i].role, Binding::Role::routing);
    EXPECT_EQ(all.outputs[i].layer, static_cast<std::int64_t>(i) - 1);
    const hal::Tensor& t = all.segment.values[all.segment.outputs[i]];
    EXPECT_EQ(t.dtype, hal::DType::i32);
    EXPECT_EQ(t.shape[1].max, 6);
  }
  EXPECT_EQ(hal::hash(build_segment(*dense, 0, unit_count(*dense), with).segment),
            hal::hash(build_segment(*dense, 0, unit_count(*dense), step()).segment));
}

}  // namespace
}  // namespace switchyard::models
