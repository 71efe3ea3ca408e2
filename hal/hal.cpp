// The few functions of the contract's own types.
#include <algorithm>

#include "hal/backend.h"

namespace switchyard::hal {

const char* to_string(Code code) {
  switch (code) {
    case Code::invalid_argument: return "invalid_argument";
    case Code::unsupported: return "unsupported";
    case Code::not_found: return "not_found";
    case Code::out_of_memory: return "out_of_memory";
    case Code::unavailable: return "unavailable";
    case Code::timed_out: return "timed_out";
    case Code::device_lost: return "device_lost";
    case Code::io: return "io";
    case Code::internal: return "internal";
  }
  return "unknown";
}

std::string describe(const Error& error) { return std::string(to_string(error.code)) + ": " + error.message; }

const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::cpu: return "cpu";
    case Kind::igpu: return "igpu";
    case Kind::dgpu: return "dgpu";
    case Kind::npu: return "npu";
    case Kind::other: return "other";
  }
  return "other";
}

const char* to_string(Format format) {
  switch (format) {
    case Format::call: return "call";
    case Format::fatbin: return "fatbin";
    case Format::spirv_vulkan: return "spirv_vulkan";
    case Format::spirv_opencl: return "spirv_opencl";
    case Format::opencl_c: return "opencl_c";
    case Format::graph: return "graph";
  }
  return "unknown";
}

const char* to_string(Path path) {
  switch (path) {
    case Path::staged: return "staged";
    case Path::peer: return "peer";
    case Path::shared: return "shared";
  }
  return "unknown";
}

bool Info::has_feature(std::string_view word) const {
  return std::find(features.begin(), features.end(), word) != features.end();
}
bool Info::accepts(Format format) const { return std::find(formats.begin(), formats.end(), format) != formats.end(); }

const char* to_string(DType dtype) {
  static constexpr const char* names[] = {"f32", "f16", "bf16", "i32",  "i8",   "u8",   "i64", "boolean",
                                          "u4",  "i4",  "q8_0", "q4_0", "q4_k", "q5_k", "q6_k"};
  auto i = static_cast<std::size_t>(dtype);
  return i < std::size(names) ? names[i] : "unknown";
}

Block block(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return {1, 4};
    case DType::f16:
    case DType::bf16: return {1, 2};
    case DType::i8:
    case DType::u8:
    case DType::boolean: return {1, 1};
    case DType::i64: return {1, 8};
    case DType::u4:
    case DType::i4: return {2, 1};
    case DType::q8_0: return {32, 34};
    case DType::q4_0: return {32, 18};
    case DType::q4_k: return {256, 144};
    case DType::q5_k: return {256, 176};
    case DType::q6_k: return {256, 210};
  }
  return {1, 1};
}

Bytes row_bytes(DType dtype, std::int64_t elements) {
  Block b = block(dtype);
  if (elements <= 0 || elements % b.elements != 0) return 0;
  return static_cast<Bytes>(elements / b.elements) * b.bytes;
}

std::int64_t resolve(const Dim& dim, Dims dims) {
  if (dim.symbol >= 0 && static_cast<std::size_t>(dim.symbol) < dims.size())
    return dims[static_cast<std::size_t>(dim.symbol)];
  return dim.max;
}

std::int64_t elements(const Tensor& tensor, Dims dims) {
  std::int64_t n = 1;
  for (const Dim& d : tensor.shape) n *= resolve(d, dims);
  return n;
}
std::int64_t max_elements(const Tensor& tensor) { return elements(tensor, {}); }

Bytes tensor_bytes(const Tensor& tensor, Dims dims) {
  Block b = block(tensor.dtype);
  return static_cast<Bytes>(elements(tensor, dims)) / b.elements * b.bytes;
}
Bytes max_bytes(const Tensor& tensor) { return tensor_bytes(tensor, {}); }

const Constant* Segment::constant(std::uint32_t value) const {
  for (const Constant& c : constants)
    if (c.value == value) return &c;
  return nullptr;
}

namespace {
// FNV-1a over the structure.
struct Hasher {
  std::uint64_t h = 1469598103934665603ull;
  void bytes(const void* p, std::size_t n) {
    auto* c = static_cast<const unsigned char*>(p);
    for (std::size_t i = 0; i < n; ++i) h = (h ^ c[i]) * 1099511628211ull;
  }
  template <class T>
  void put(const T& v) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes(&v, sizeof v);
  }
  void list(const std::vector<std::uint32_t>& v) {
    put(v.size());
    bytes(v.data(), v.size() * sizeof(std::uint32_t));
  }
};
}  // namespace

std::uint64_t hash(const Segment& segment) {
  Hasher h;
  for (const Tensor& t : segment.values) {
    h.put(t.dtype);
    h.put(t.shape.size());
    for (const Dim& d : t.shape) {
      h.put(d.min);
      h.put(d.max);
      h.put(d.symbol);
    }
  }
  for (const Node& n : segment.nodes) {
    h.bytes(n.op.data(), n.op.size());
    h.bytes(n.variant.data(), n.variant.size());
    h.list(n.in);
    h.list(n.out);
    h.bytes(n.attrs.data(), n.attrs.size());
  }
  h.list(segment.inputs);
  h.list(segment.states);
  h.list(segment.outputs);
  for (const Constant& c : segment.constants) h.put(c.value);
  return h.h;
}

}  // namespace switchyard::hal
