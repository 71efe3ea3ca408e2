// Segment: what to compute. An op is a name with attributes; the hal knows no op (kernels/ does).
#pragma once
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "hal/buffer.h"
#include "hal/call.h"

namespace switchyard::hal {

const char* to_string(DType dtype);

// Elements of one block and its bytes: {1, 4} for f32, {32, 34} for q8_0, {256, 144} for q4_k.
struct Block {
  std::uint32_t elements, bytes;
};
Block block(DType dtype);

// Bytes of a row of `elements`; 0 when the row is no whole number of blocks.
Bytes row_bytes(DType dtype, std::int64_t elements);

// min == max: fixed. Equal symbols are equal numbers at run time; Run::dims holds one number per symbol, by index.
struct Dim {
  std::int64_t min = 0, max = 0;
  std::int16_t symbol = -1;
  static Dim fixed(std::int64_t n) { return {n, n, -1}; }
  static Dim open(std::int16_t symbol, std::int64_t min, std::int64_t max) { return {min, max, symbol}; }
  bool is_fixed() const { return min == max; }
};
using Dims = std::span<const std::int64_t>;
std::int64_t resolve(const Dim& dim, Dims dims);  // the number at run time
constexpr std::size_t max_symbols = 4;

// Row-major and contiguous at a segment's border. The last dimension is the row of a quantised type.
struct Tensor {
  DType dtype = DType::f32;
  std::vector<Dim> shape;
};
std::int64_t elements(const Tensor& tensor, Dims dims);  // at these dims
std::int64_t max_elements(const Tensor& tensor);
Bytes tensor_bytes(const Tensor& tensor, Dims dims);
Bytes max_bytes(const Tensor& tensor);

constexpr std::uint32_t no_value = 0xffffffffu;  // an optional input that is absent

// in: inputs, then states, in the order the op's header gives; out: outputs. attrs: the op's plain struct, byte for
// byte.
struct Node {
  std::string op;  // "ssm_scan@1"
  std::vector<std::uint32_t> in, out;
  std::vector<std::byte> attrs;
  std::string variant;  // empty: the library chooses; set by a profile or a gate

  template <class T>
  void set_attrs(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    attrs.resize(sizeof(T));
    std::memcpy(attrs.data(), &value, sizeof(T));
  }
  template <class T>
  T attrs_as() const {
    T value{};
    if (attrs.size() == sizeof(T)) std::memcpy(&value, attrs.data(), sizeof(T));
    return value;
  }
};

// Data known at compile time. Programs of one device with the same key (not 0) and packing share one packed copy.
struct Constant {
  std::uint32_t value = 0;
  std::uint64_t key = 0;
  std::span<const std::byte> data;
  std::shared_ptr<const void> owner;  // keeps `data` alive (a file mapping, a vector)
  std::optional<External> source;     // the same bytes as a descriptor, for zero copy
  bool mapped_file = false;           // `data` is a file's read-only map: a device with a copy of its own may let its
                                      // pages go (they are read again if they are touched)
};

struct Segment {
  std::vector<Tensor> values;
  std::vector<Node> nodes;  // in execution order
  std::vector<std::uint32_t> inputs, states,
      outputs;  // bound at run time: Run::slices is inputs, then states, then outputs
  std::vector<Constant> constants;
  std::vector<std::string> labels;  // one per node or empty: "layer 3 ssm_scan", for traces and errors

  const Constant* constant(std::uint32_t value) const;
};

// Of the structure and shapes, not of the constants' data: the key under which a claim or a measurement is kept.
std::uint64_t hash(const Segment& segment);

// A group is the least a device takes at once: one op on a kernel device, a fused pair, a whole graph on an NPU.
// fixed_shapes: it compiles only segments whose dims are all fixed, and runs one sequence at a time.
struct Group {
  std::vector<std::uint32_t> nodes;
  bool fixed_shapes = false;
};
// A constant as a device keeps it. Programs of one device share a copy of equal key and layout; key 0: never shared.
struct Holding {
  std::uint64_t key = 0;
  std::string layout;
  Bytes bytes = 0;
};
struct Declined {
  std::uint32_t node;
  std::string why;
};
struct Claim {
  std::vector<Group> groups;
  std::vector<Declined> declined;
  // Of a program of the whole segment, where whole(): device bytes it holds, and needs per run at the largest dims.
  std::vector<Holding> holds;
  Bytes scratch = 0;
  bool whole() const { return declined.empty() && !groups.empty(); }
};

}  // namespace switchyard::hal
