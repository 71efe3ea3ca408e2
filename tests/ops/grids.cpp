// Launches as data: what can be held without the device they are for. For CPU kernels, whole runs tile by tile.
#include <gtest/gtest.h>

#include "backends/all.h"
#include "tests/support/direct_runner.h"

namespace switchyard::kernels {
namespace {

// A machine that has what the kernel asks for, with the least limits the GPU APIs promise.
Info imagined(const Kernel& kernel) {
  Info info;
  info.id = std::string("imagined:") + kernel.variant;
  info.formats = {kernel.format};
  info.limits = {1ull << 30, 1ull << 27, 64, 16384, 128, 32, 1, 64, 1, 1};
  for (const char* f : kernel.features) info.features.emplace_back(f);
  return info;
}

void check_launch(const Segment& s, const Lowered& lowered, const Launch& l, const Info& info, Dims dims,
                  const std::string& what) {
  SCOPED_TRACE(what + " " + l.entry);
  ASSERT_NE(l.grid, nullptr);
  EXPECT_LE(l.args.size(), 112u);
  EXPECT_EQ(l.args.size() % 4, 0u);
  auto grid = l.grid(l, dims);
  EXPECT_EQ(l.format == Format::call ? grid[1] * grid[2] : 1u, 1u) << "call kernels have one dimension of tiles";
  if (l.format != Format::call) {
    EXPECT_FALSE(l.code.empty());
    EXPECT_LE(grid[1], 65535u);
    EXPECT_LE(grid[2], 65535u);
    EXPECT_LE(std::uint64_t{l.group[0]} * l.group[1] * l.group[2],
              static_cast<std::uint64_t>(info.limits.group_threads));
    EXPECT_LE(l.group_memory, info.limits.group_memory);
  } else {
    EXPECT_NE(l.call, nullptr);
  }
  for (const Launch::Guard& g : l.when) EXPECT_LT(static_cast<std::size_t>(g.symbol), max_symbols);
  for (std::size_t i = 0; i < l.arguments.size(); ++i) {
    const Arg& a = l.arguments[i];
    if (a.value == no_value) continue;
    ASSERT_LT(a.value, s.values.size() + lowered.temporaries.size()) << "argument " << i;
    Bytes bytes = a.value < s.values.size() ? max_bytes(s.values[a.value])
                                            : max_bytes(lowered.temporaries[a.value - s.values.size()]);
    for (const Packing& p : lowered.packings)
      if (p.constants.front() == a.value) bytes = p.bytes;
    EXPECT_LE(a.offset + a.bytes, bytes) << "argument " << i;
    EXPECT_EQ(a.offset % info.limits.align, 0u) << "argument " << i;
    if (a.write) {
      EXPECT_EQ(s.constant(a.value), nullptr) << "argument " << i << " writes a constant";
      EXPECT_EQ(std::count(s.inputs.begin(), s.inputs.end(), a.value), 0) << "argument " << i << " writes an input";
    }
  }
}

// Every kernel of every op on every case it takes: arguments in bounds, sizes within what every device has.
TEST(Grids, LaunchesAreInBounds) {
  std::size_t launches = 0;
  Library library;
  for (const OpInfo* op : ops())
    for (const Case& c : op->cases())
      for (const Kernel& kernel : op->kernels()) {
        Info info = imagined(kernel);
        Segment s = c.segment;
        for (Node& n : s.nodes)
          if (find_op(n.op) == op) n.variant = kernel.variant;
        if (!library.claim(s, info).whole())
          continue;  // refused: too small a device, or the chain needs another kernel
        auto lowered = library.lower(s, info);
        ASSERT_TRUE(lowered) << op->name << " " << c.name << " " << kernel.variant << ": " << lowered.error().message;
        auto dims = padded(c.dims);
        for (const Launch& l : lowered->launches)
          check_launch(s, *lowered, l, info, dims, std::string(op->name) + " " + c.name + " " + kernel.variant);
        bool work = std::any_of(lowered->launches.begin(), lowered->launches.end(),
                                [&](const Launch& l) { return runs(l, dims); });
        EXPECT_TRUE(work) << op->name << " " << c.name << " " << kernel.variant << ": no launch has anything to do";
        auto plan = LaunchPlan::make(s, std::move(*lowered), info.limits.align);
        ASSERT_TRUE(plan) << op->name << " " << c.name << ": " << plan.error().message;
        launches += plan->launches.size();
      }
  EXPECT_GT(launches, 0u);
}

// A step without rows has nothing to do.
TEST(Grids, NoRowsNoTiles) {
  Library library;
  for (const OpInfo* op : ops())
    for (const Case& c : op->cases())
      for (const Kernel& kernel : op->kernels()) {
        if (c.dims.empty()) continue;
        Segment s = c.segment;
        Info info = imagined(kernel);
        for (Node& n : s.nodes)
          if (find_op(n.op) == op) n.variant = kernel.variant;
        if (!library.claim(s, info).whole()) continue;
        auto lowered = library.lower(s, info);
        ASSERT_TRUE(lowered);
        for (const Launch& l : lowered->launches)
          EXPECT_FALSE(runs(l, padded({}))) << op->name << " " << c.name << " " << kernel.variant << " " << l.entry;
      }
}

// CPU kernels by tile and whole: nothing outside the arguments is touched, every output element is written, no two
// tiles of a launch write the same element, and the order of tiles does not matter.
TEST(Grids, CpuTilesAreDisjointCompleteAndStayInside) {
  std::size_t ran = 0;
  for (auto& backend : backends::all({})) {
    for (const Info& info : backend->discover().devices) {
      if (!info.accepts(Format::call)) continue;
      for (const OpInfo* op : ops())
        for (const Case& c : op->cases()) {
          if (!c.tested) continue;
          CaseData data = make_data(c, 5);
          for (const std::string& variant : Library().variants(c.segment, 0, info)) {
            SCOPED_TRACE(std::string(op->name) + " " + c.name + " " + variant);
            for (Node& n : data.c.segment.nodes) n.variant = variant;
            auto by_tile = test::DirectRunner(data, info).run(true);
            auto whole = test::DirectRunner(data, info).run(false);
            for (const auto& fault : by_tile.faults) ADD_FAILURE() << "by tile: " << fault;
            for (const auto& fault : whole.faults) ADD_FAILURE() << "whole: " << fault;
            EXPECT_TRUE(by_tile.values == whole.values) << "the result depends on how tiles are run";
            ++ran;
          }
        }
    }
  }
  EXPECT_GT(ran, 0u) << "no CPU device, or it takes no case";
}

}  // namespace
}  // namespace switchyard::kernels
