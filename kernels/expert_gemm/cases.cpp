#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/common/fills.h"
#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::kernels::expert_gemm {
namespace {

struct Shape {
  std::string name;
  DType type = DType::f32;
  std::int64_t t = 1, d = 64, inner = 32, experts = 8, k = 2;
  bool fused = false, residual = false;
  DType down = type;
  std::vector<double> local = {};  // local_index; empty: all experts are here
  std::int64_t only_first = 0;     // rows choose among the first so many experts (the others stay empty); 0: among all
  bool timed = false, rounded = false;
};

// Distinct experts per row, as the router gives them.
std::vector<double> choose(const Shape& s) {
  std::mt19937 random(static_cast<std::uint32_t>(s.t * 131 + s.experts));
  std::vector<double> index, pool(static_cast<std::size_t>(s.only_first ? s.only_first : s.experts));
  std::iota(pool.begin(), pool.end(), 0);
  for (std::int64_t t = 0; t < s.t; ++t) {
    std::shuffle(pool.begin(), pool.end(), random);
    index.insert(index.end(), pool.begin(), pool.begin() + static_cast<std::ptrdiff_t>(s.k));
  }
  return index;
}

Case make(const Shape& s) {
  SegmentBuilder b;
  Dim rows = Dim::open(sym_rows, 1, s.t);
  std::int64_t slots = s.experts;
  if (!s.local.empty()) slots = static_cast<std::int64_t>(*std::max_element(s.local.begin(), s.local.end())) + 1;
  Inputs in{};
  in.x = b.input(DType::f32, {rows, Dim::fixed(s.d)});
  in.index = b.input(DType::i32, {rows, Dim::fixed(s.k)});
  in.gate = b.input(DType::f32, {rows, Dim::fixed(s.k)});
  in.w_gate = b.constant(s.type, {slots, s.fused ? 2 * s.inner : s.inner, s.d}, 1, {}, nullptr);
  in.w_up = s.fused ? no_value : b.constant(s.type, {slots, s.inner, s.d}, 2, {}, nullptr);
  in.w_down = b.constant(s.down, {slots, s.d, s.inner}, 3, {}, nullptr);
  in.local_index = s.local.empty() ? no_value : b.input(DType::i32, {Dim::fixed(s.experts)});
  in.residual = s.residual ? b.input(DType::f32, {rows, Dim::fixed(s.d)}) : no_value;
  b.output(append(b, in,
                  {static_cast<std::int32_t>(s.experts), s.residual ? 0.22f : 1.0f,
                   s.rounded ? Activations::rounded : Activations::exact}));
  Case c{s.name + "_" + hal::to_string(s.type) + "_t" + std::to_string(s.t) + "_e" + std::to_string(s.experts) + "_k" +
             std::to_string(s.k) + (s.fused ? "_fused" : "") + (s.local.empty() ? "" : "_local") +
             (s.residual ? "_residual" : "") + (s.rounded ? "_rounded" : ""),
         b.take(),
         {s.t},
         {},
         s.timed,
         !s.timed};
  c.fills[in.index].values = choose(s);
  c.fills[in.gate] = Fill{0, 1, {}};
  if (s.rounded && !s.timed) c.fills[in.x] = lossless_rows(s.t, s.d);
  if (s.rounded) c.tolerance = 1e-2;  // the hidden rows are rounded, to 1/127 of a block's largest
  if (!s.local.empty()) c.fills[in.local_index].values = s.local;
  return c;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (DType type : weight_types()) {
    std::int64_t unit = block(type).elements == 256 ? 256 : 32;
    all.push_back(make({"step", type, 1, 2 * unit, unit, 5, 2}));
    all.push_back(make({"rows", type, 9, 2 * unit, unit, 4, 3, true, true}));
  }
  all.push_back(make({"odd", DType::f32, 7, 37, 19, 5, 2}));
  all.push_back(make({"odd", DType::f32, 7, 37, 19, 5, 2, true}));
  all.push_back(make({"one_expert", DType::f32, 6, 48, 20, 1, 1}));
  all.push_back(make({"all_experts", DType::f32, 5, 64, 32, 3, 3}));
  all.push_back(make({"empty_experts", DType::q8_0, 37, 64, 32, 8, 2, false, false, DType::q8_0, {}, 2}));
  all.push_back(make({"many", DType::f32, 70, 64, 16, 62, 6, true}));
  all.push_back(make({"mixed_types", DType::q4_k, 4, 256, 256, 3, 2, false, true, DType::q6_k}));
  all.push_back(make({"some_elsewhere", DType::f32, 11, 64, 32, 6, 3, false, true, DType::f32, {1, -1, 0, -1, 2, -1}}));
  all.push_back(make({"some_elsewhere", DType::q8_0, 1, 64, 32, 4, 2, true, true, DType::q8_0, {-1, 0, -1, 1}}));
  all.push_back(
      make({"none_here_for_any_row", DType::f32, 3, 64, 32, 4, 2, false, true, DType::f32, {-1, -1, -1, 0}, 3}));
  auto rounded = [&](Shape s) {
    s.rounded = true;
    all.push_back(make(s));
  };
  for (DType type : weight_types()) {
    if (type == DType::f32 || type == DType::f16) continue;  // those have no rounded form
    const std::int64_t unit = block(type).elements == 256 ? 256 : 32;
    rounded({"step", type, 1, 2 * unit, unit, 5, 2});
    rounded({"rows", type, 9, 2 * unit, unit, 4, 3, true, true});
  }
  rounded({"odd_width", DType::q4_0, 60, 96, 64, 3, 2, false, true, DType::q4_0});
  rounded({"mixed_types", DType::q4_k, 4, 256, 256, 3, 2, false, true, DType::q6_k});
  rounded({"some_elsewhere", DType::q8_0, 7, 64, 32, 6, 3, true, true, DType::q8_0, {1, -1, 0, -1, 2, -1}});
  Shape tiny{"granite_4_tiny", DType::q4_k, 1, 1536, 512, 64, 6, true, true};
  tiny.timed = true;
  for (DType type : {DType::q4_k, DType::q8_0, DType::bf16})
    for (std::int64_t t : {1, 128}) {
      tiny.type = tiny.down = type;
      tiny.t = t;
      all.push_back(make(tiny));
    }
  tiny.rounded = true;
  Shape small{"granite_4_small", DType::q4_k, 1, 4096, 768, 72, 10, true, true};
  small.timed = small.rounded = true;
  for (Shape* shape : {&tiny, &small})
    for (DType type : {DType::q4_k, DType::q8_0, DType::q4_0, DType::bf16})
      for (std::int64_t t : {1, 32, 512}) {
        shape->type = shape->down = type;
        shape->t = t;
        all.push_back(make(*shape));
      }
  return all;
}

}  // namespace switchyard::kernels::expert_gemm
