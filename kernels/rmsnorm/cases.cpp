#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::rmsnorm {
namespace {

struct Shape {
  std::int64_t rows, width, gate_width = 0;  // gate_width 0: plain
  std::int32_t groups = 1, gate_offset = 0;
  double scale = 1;
  bool timed = false;
  const char* note = "";
};

Case make(const Shape& p) {
  SegmentBuilder b;
  Dim rows = Dim::open(sym_rows, 1, p.rows);
  auto x = b.input(DType::f32, {rows, Dim::fixed(p.width)});
  auto weight = b.constant(DType::f32, {p.width}, 1, {}, nullptr);
  std::map<std::uint32_t, Fill> fills{{x, {-p.scale, p.scale, {}}}};
  if (p.gate_width == 0) {
    b.output(append(b, x, weight, 1e-5f));
  } else {
    auto gate = b.input(DType::f32, {rows, Dim::fixed(p.gate_width)});
    fills[gate] = {-6, 6, {}};
    b.output(append_gated(b, x, weight, gate, {1e-5f, p.groups, p.gate_offset}));
  }
  std::string name = "t" + std::to_string(p.rows) + "_d" + std::to_string(p.width);
  if (p.gate_width) name += "_gated" + std::to_string(p.gate_width) + "_g" + std::to_string(p.groups);
  return {name + p.note, b.take(), {p.rows}, fills, p.timed, !p.timed};
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Shape& p : std::vector<Shape>{
           {1, 1},
           {1, 7},
           {5, 64},
           {3, 1000},
           {2, 4096},
           {33, 256},
           {4, 130, 0, 1, 0, 1e-4, false, "_small"},  // eps matters
           {4, 130, 0, 1, 0, 1e4, false, "_hot"},
           {3, 96, 96},
           {5, 96, 250, 1, 101},
           {3, 96, 200, 4, 33},
           {2, 3072, 6448, 1, 0},
           {1, 1536, 0, 1, 0, 1, true},
           {512, 1536, 0, 1, 0, 1, true},
           {1, 3072, 6448, 1, 0, 1, true},
           {512, 3072, 6448, 1, 0, 1, true},
       })
    all.push_back(make(p));
  return all;
}

}  // namespace switchyard::kernels::rmsnorm
