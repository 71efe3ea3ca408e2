// Machines, profiles and models for planning tests: text files of tests/data/machines, units of one gemm each.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "kernels/gemm/gemm.h"
#include "scheduler/plan/plan.h"

namespace switchyard::test {

inline std::string read_text(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path << " (tests run in the source folder)";
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Place {
  probes::Machine machine;
  probes::Profile profile;
};
inline Place place(const std::string& name) {
  auto machine = probes::machine_from_json(read_text("tests/data/machines/" + name + ".machine.json"));
  auto profile = probes::profile_from_json(read_text("tests/data/machines/" + name + ".profile.json"));
  EXPECT_TRUE(machine && profile) << name << (machine ? "" : hal::describe(machine.error()))
                                  << (profile ? "" : hal::describe(profile.error()));
  return {*machine, *profile};
}

// hidden -> hidden, with `rows` as the open dim; about `megabytes` of q8_0 weights, which units of one name share.
inline scheduler::Unit unit(const std::string& name, std::int64_t layer, double megabytes, hal::Bytes state = 0) {
  constexpr std::int64_t hidden = 1024;
  auto width = static_cast<std::int64_t>(megabytes * 1e6 / 1088 / 2 / 32 + 1) * 32;
  const std::uint64_t key = 2 * (std::hash<std::string>{}(name) + 1);
  kernels::SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 256), hal::Dim::fixed(hidden)});
  auto up = b.constant(hal::DType::q8_0, {width, hidden}, key, {}, nullptr),
       down = b.constant(hal::DType::q8_0, {hidden, width}, key + 1, {}, nullptr);
  b.output(kernels::gemm::append(b, kernels::gemm::append(b, x, up), down));
  return {name, name, layer, b.take(), state};
}

inline scheduler::PlanRequest model(int layers, double megabytes) {
  scheduler::PlanRequest r;
  r.model = "sample";
  r.model_hash = 0xabcdef0123456789ull;
  r.units.push_back(unit("embed", -1, megabytes / 2));
  for (int i = 0; i < layers; ++i)
    r.units.push_back(unit("layer " + std::to_string(i) + (i % 4 ? " (mamba)" : " (attention)"), i,
                           i % 4 ? megabytes : megabytes * 2, 1'000'000));
  for (auto& u : r.units)
    if (u.layer >= 0) u.kind = u.layer % 4 ? "mamba" : "attention";
  r.units.push_back(unit("head", -1, megabytes / 2));
  return r;
}

// Takes everything, as one group per unit.
inline hal::Claim take_all(const hal::Info&, const hal::Segment& s) {
  hal::Group g;
  for (std::uint32_t n = 0; n < s.nodes.size(); ++n) g.nodes.push_back(n);
  hal::Claim claim{{g}, {}, {}, 10'000'000};
  for (const hal::Constant& c : s.constants) claim.holds.push_back({c.key, "", hal::max_bytes(s.values[c.value])});
  return claim;
}

}  // namespace switchyard::test
