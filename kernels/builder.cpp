#include "kernels/builder.h"

namespace switchyard::kernels {

std::uint32_t SegmentBuilder::value(DType dtype, std::vector<Dim> shape) {
  segment_.values.push_back({dtype, std::move(shape)});
  return static_cast<std::uint32_t>(segment_.values.size() - 1);
}

std::uint32_t SegmentBuilder::input(DType dtype, std::vector<Dim> shape) {
  auto v = value(dtype, std::move(shape));
  segment_.inputs.push_back(v);
  return v;
}

std::uint32_t SegmentBuilder::state(DType dtype, std::vector<Dim> shape) {
  auto v = value(dtype, std::move(shape));
  segment_.states.push_back(v);
  return v;
}

std::uint32_t SegmentBuilder::constant(DType dtype, std::vector<std::int64_t> shape, std::uint64_t key,
                                       std::span<const std::byte> data, std::shared_ptr<const void> owner,
                                       bool mapped_file) {
  std::vector<Dim> dims;
  for (auto n : shape) dims.push_back(Dim::fixed(n));
  auto v = value(dtype, std::move(dims));
  segment_.constants.push_back({v, key, data, std::move(owner), std::nullopt, mapped_file});
  return v;
}

void SegmentBuilder::output(std::uint32_t value) { segment_.outputs.push_back(value); }

std::uint32_t SegmentBuilder::node(std::string op, std::vector<std::uint32_t> in, std::vector<std::uint32_t> out) {
  segment_.labels.push_back(label_.empty() ? op : label_ + " " + op);
  Node n;
  n.op = std::move(op);
  n.in = std::move(in);
  n.out = std::move(out);
  segment_.nodes.push_back(std::move(n));
  return static_cast<std::uint32_t>(segment_.nodes.size() - 1);
}

}  // namespace switchyard::kernels
