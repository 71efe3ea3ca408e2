#include "kernels/op.h"

#include <algorithm>

namespace switchyard::kernels {

std::vector<double>& ReferenceArgs::out(std::size_t i) {
  auto& v = values[node.out[i]];
  v.assign(static_cast<std::size_t>(elements(segment.values[node.out[i]], dims)), 0.0);
  return v;
}

std::string to_string(const Tensor& tensor) {
  std::string text = std::string(hal::to_string(tensor.dtype)) + " [";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const Dim& d = tensor.shape[i];
    text +=
        (i ? ", " : "") + (d.is_fixed() ? std::to_string(d.max) : std::to_string(d.min) + ".." + std::to_string(d.max));
  }
  return text + "]";
}

std::optional<std::string> refuse_symbol(const Segment& segment, std::uint32_t value, const char* name) {
  if (segment.values[value].shape[0].symbol >= 0) return std::nullopt;
  return std::string(name) + " has no symbol on its first dimension, from which the kernel would read the count";
}

std::int64_t shape_of(const Segment& segment, std::uint32_t value, std::size_t axis) {
  return segment.values[value].shape[axis].max;
}

const std::vector<DType>& weight_types() {
  static const std::vector<DType> types{DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                        DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k};
  return types;
}

Status expect(const Segment& segment, const Node& node, std::size_t in, const char* name,
              std::initializer_list<DType> dtypes, std::initializer_list<std::int64_t> shape) {
  std::string what = node.op + ": input " + std::to_string(in) + " (" + name + ")";
  if (in >= node.in.size() || node.in[in] == no_value) return Error{Code::invalid_argument, what + " is missing"};
  if (node.in[in] >= segment.values.size())
    return Error{Code::invalid_argument, what + " names value " + std::to_string(node.in[in])};
  const Tensor& t = segment.values[node.in[in]];
  bool fits = t.shape.size() == shape.size() && std::find(dtypes.begin(), dtypes.end(), t.dtype) != dtypes.end();
  std::size_t axis = 0;
  for (auto n : shape) fits = fits && (n < 0 || t.shape[axis].max == n), ++axis;
  if (fits) return ok();
  what += " is " + to_string(t) + ", expected ";
  for (auto d : dtypes) what += std::string(hal::to_string(d)) + (d == *(dtypes.end() - 1) ? " [" : "|");
  axis = 0;
  for (auto n : shape) what += (axis++ ? ", " : "") + (n < 0 ? std::string("*") : std::to_string(n));
  return Error{Code::invalid_argument, what + "]"};
}

const char* to_string(Products products) {
  switch (products) {
    case Products::f32: return "f32";
    case Products::int8: return "int8";
    case Products::bf16: return "bf16";
  }
  return "unknown";
}

}  // namespace switchyard::kernels
