// The product that rates are measured with.
#pragma once
#include "kernels/gemm/gemm.h"

namespace switchyard::probes {

// `rows` of k numbers through a matrix of n x k. Rounded activations are allowed where the products are not f32.
inline hal::Segment matrix(hal::DType type, std::int64_t rows, std::int64_t k, std::int64_t n,
                           kernels::Products products = kernels::Products::f32) {
  kernels::SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, rows, rows), hal::Dim::fixed(k)});
  kernels::gemm::Options options;
  if (products != kernels::Products::f32) options.activations = kernels::Activations::rounded;
  b.output(kernels::gemm::append(b, x, b.constant(type, {n, k}, 0, {}, nullptr), options));
  return b.take();
}

}  // namespace switchyard::probes
