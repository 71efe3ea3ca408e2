// Builds a Segment value by value. Each op's header adds an append() on top of it.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

class SegmentBuilder {
 public:
  std::uint32_t value(DType dtype, std::vector<Dim> shape);  // an intermediate, unless marked as an output
  std::uint32_t input(DType dtype, std::vector<Dim> shape);
  std::uint32_t state(DType dtype, std::vector<Dim> shape);
  // data may be empty while planning (then the segment can be claimed, not compiled).
  std::uint32_t constant(DType dtype, std::vector<std::int64_t> shape, std::uint64_t key,
                         std::span<const std::byte> data, std::shared_ptr<const void> owner, bool mapped_file = false);
  void output(std::uint32_t value);
  std::uint32_t node(std::string op, std::vector<std::uint32_t> in, std::vector<std::uint32_t> out);  // its index
  template <class Attrs>
  std::uint32_t node(std::string op, std::vector<std::uint32_t> in, std::vector<std::uint32_t> out,
                     const Attrs& attrs) {
    auto index = node(std::move(op), std::move(in), std::move(out));
    segment_.nodes[index].set_attrs(attrs);
    return index;
  }
  void label(std::string prefix) { label_ = std::move(prefix); }  // of the nodes that follow
  const std::vector<Dim>& shape(std::uint32_t value) const { return segment_.values[value].shape; }
  const Segment& segment() const { return segment_; }
  Segment take() { return std::move(segment_); }

 private:
  Segment segment_;
  std::string label_;
};

}  // namespace switchyard::kernels
