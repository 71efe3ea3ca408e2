#include "kernels/common/fills.h"
#include "kernels/gemm/gemm.h"

namespace switchyard::kernels::gemm {
namespace {

Case make(DType type, std::int64_t t, std::int64_t k, std::int64_t n, bool swiglu, bool bias, bool residual,
          bool timed = false, bool rounded = false) {
  SegmentBuilder b;
  Dim rows = Dim::open(sym_rows, 1, t);
  auto x = b.input(DType::f32, {rows, Dim::fixed(k)});
  Options o;
  o.scale = residual ? 0.22f : 1.0f;
  if (rounded) o.activations = Activations::rounded;
  auto w = b.constant(type, {n, k}, 1, {}, nullptr);
  if (swiglu) o.w_up = b.constant(type, {n, k}, 2, {}, nullptr);
  if (bias) o.bias = b.input(DType::f32, {Dim::fixed(n)});
  if (residual) o.residual = b.input(DType::f32, {rows, Dim::fixed(n)});
  b.output(append(b, x, w, o));
  Case c{std::string(hal::to_string(type)) + "_t" + std::to_string(t) + "_k" + std::to_string(k) + "_n" +
             std::to_string(n) + (swiglu ? "_swiglu" : "") + (bias ? "_bias" : "") + (residual ? "_residual" : "") +
             (rounded ? "_rounded" : ""),
         b.take(),
         {t},
         {},
         timed,
         !timed};
  if (rounded && !timed) c.fills[x] = lossless_rows(t, k);
  return c;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (DType type : weight_types()) {
    std::int64_t k = block(type).elements == 256 ? 512 : 96;
    all.push_back(make(type, 1, k, 33, false, false, false));
    all.push_back(make(type, 7, k, 70, false, false, true));
    all.push_back(make(type, 3, k, 40, true, false, false));
    all.push_back(make(type, 37, k, 64, false, false, false));
    if (type != DType::f32 && type != DType::f16) {  // those have no rounded form
      for (std::int64_t t : {1, 2, 7, 12, 37})
        all.push_back(make(type, t, k, t == 7 ? 70 : 33, false, false, t == 7, false, true));
      all.push_back(make(type, 5, k, 40, true, false, true, false, true));
      all.push_back(make(type, 3, k, 48, false, true, false, false, true));
      for (std::int64_t t : {1, 8, 512}) all.push_back(make(type, t, 2048, 8512, false, false, false, true, true));
    }
    all.push_back(make(type, 1, 2048, 8192, false, false, false, true));
    all.push_back(make(type, 128, 2048, 2048, false, false, false, true));
  }
  all.push_back(make(DType::f32, 5, 64, 19, false, true, false));
  all.push_back(make(DType::f32, 2, 64, 1, false, false, false));
  return all;
}

}  // namespace switchyard::kernels::gemm
