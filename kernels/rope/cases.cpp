#include "kernels/rope/rope.h"

namespace switchyard::kernels::rope {
namespace {

Case make(const char* name, const Attrs& at, const std::vector<double>& positions, bool timed = false) {
  SegmentBuilder b;
  const auto rows = static_cast<std::int64_t>(positions.size());
  Dim t = Dim::open(sym_rows, 1, rows);
  auto x = b.input(DType::f32, {t, Dim::fixed(std::int64_t{at.heads} * at.head_dim)});
  auto p = b.input(DType::i32, {t});
  b.output(append(b, x, p, at));
  return {std::string(name) + (at.interleaved ? "_interleaved" : "_halves"),
          b.take(),
          {rows},
          {{p, {0, 0, positions}}},
          timed,
          !timed};
}

}  // namespace

std::vector<Case> cases() {
  const std::vector<double> far{0, 1, 2, 100, 4095, 4096, 65535, 65536, 131070, 131071};
  std::vector<double> prefill(512);
  for (std::size_t i = 0; i < prefill.size(); ++i) prefill[i] = double(i);
  std::vector<Case> all;
  for (std::int32_t interleaved : {0, 1}) {
    all.push_back(make("one_row", {4, 64, interleaved}, {17}));
    all.push_back(make("start", {2, 32, interleaved}, {0}));
    all.push_back(make("far", {3, 128, interleaved}, far));
    all.push_back(make("far_big_theta", {2, 64, interleaved, 10000000.0f}, far));
    all.push_back(make("narrow", {5, 2, interleaved}, far));
    all.push_back(make("odd_half", {3, 10, interleaved}, far));
    all.push_back(make("granite_h_micro_512", {32, 64, interleaved, 10000000.0f}, prefill, true));
  }
  return all;
}

}  // namespace switchyard::kernels::rope
