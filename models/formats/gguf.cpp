#include "models/formats/gguf.h"

#include <algorithm>

#include "models/formats/text.h"

namespace switchyard::models {
namespace {

using hal::Code;
using hal::DType;
using hal::Error;
using Type = GgufValue::Type;

constexpr std::uint64_t max_tensors = 1u << 16, max_keys = 1u << 16, max_key = 1u << 16, max_name = 63;
// Bytes of the least key/value pair and the least tensor info: what a count of them must fit into.
constexpr std::uint64_t least_pair = 8 + 1 + 4 + 1, least_info = 8 + 1 + 4 + 8 + 4 + 8;

constexpr const char* type_names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                      "bool", "string", "array", "u64", "i64", "f64"};
constexpr std::uint64_t type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct TensorType {
  std::uint32_t id;
  const char* name;
  std::optional<DType> dtype = {};
};
constexpr TensorType tensor_types[] = {
    {0, "F32", DType::f32},
    {1, "F16", DType::f16},
    {2, "Q4_0", DType::q4_0},
    {3, "Q4_1"},
    {4, "Q4_2 (removed)"},
    {5, "Q4_3 (removed)"},
    {6, "Q5_0"},
    {7, "Q5_1"},
    {8, "Q8_0", DType::q8_0},
    {9, "Q8_1"},
    {10, "Q2_K"},
    {11, "Q3_K"},
    {12, "Q4_K", DType::q4_k},
    {13, "Q5_K", DType::q5_k},
    {14, "Q6_K", DType::q6_k},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {20, "IQ4_NL"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {23, "IQ4_XS"},
    {24, "I8"},
    {25, "I16"},
    {26, "I32"},
    {27, "I64"},
    {28, "F64"},
    {29, "IQ1_M"},
    {30, "BF16", DType::bf16},
    {31, "Q4_0_4_4 (removed)"},
    {32, "Q4_0_4_8 (removed)"},
    {33, "Q4_0_8_8 (removed)"},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {36, "IQ4_NL_4_4 (removed)"},
    {37, "IQ4_NL_4_8 (removed)"},
    {38, "IQ4_NL_8_8 (removed)"},
    {39, "MXFP4"},
};

template <class T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

std::optional<std::int64_t> integer_of(Type type, const std::byte* p) {
  switch (type) {
    case Type::u8: return load<std::uint8_t>(p);
    case Type::i8: return load<std::int8_t>(p);
    case Type::u16: return load<std::uint16_t>(p);
    case Type::i16: return load<std::int16_t>(p);
    case Type::u32: return load<std::uint32_t>(p);
    case Type::i32: return load<std::int32_t>(p);
    case Type::i64: return load<std::int64_t>(p);
    case Type::u64: {
      auto v = load<std::uint64_t>(p);
      if (v > INT64_MAX) return {};
      return static_cast<std::int64_t>(v);
    }
    default: return {};
  }
}

// Walks the file. Each read checks what is left; after the first failure the reader's error stands and nothing is read.
class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {}

  std::uint64_t left() const { return file_.size() - at_; }
  std::uint64_t at() const { return at_; }
  Error error(const std::string& what) const { return Error{Code::io, text(name_, ": ", what)}; }

  hal::Result<std::span<const std::byte>> take(std::uint64_t bytes, const std::string& what) {
    if (bytes > left())
      return error(text(what, " needs ", bytes, " bytes at offset ", at_, "; the file ends after ", left()));
    auto span = file_.subspan(at_, bytes);
    at_ += bytes;
    return span;
  }
  template <class T>
  hal::Result<T> number(const std::string& what) {
    HAL_TRY(auto bytes, take(sizeof(T), what));
    return load<T>(bytes.data());
  }
  hal::Result<std::span<const std::byte>> string(const std::string& what) {
    HAL_TRY(auto length, number<std::uint64_t>(what));
    return take(length, what);
  }
  hal::Result<std::string> name(const std::string& what, std::uint64_t longest) {
    HAL_TRY(auto bytes, string(what));
    if (bytes.empty() || bytes.size() > longest)
      return error(text(what, " has ", bytes.size(), " bytes; expected 1 to ", longest));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  hal::Result<Type> type(const std::string& what) {
    HAL_TRY(auto number, number<std::uint32_t>(what));
    if (number >= std::size(type_names)) return error(text(what, " has type ", number, "; expected 0 to 12"));
    return static_cast<Type>(number);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& name_;
  std::uint64_t at_ = 0;
};

hal::Status check_booleans(const Reader& r, std::span<const std::byte> bytes, const std::string& what) {
  for (std::byte b : bytes)
    if (b > std::byte{1}) return r.error(text(what, " holds a bool of ", static_cast<int>(b), "; expected 0 or 1"));
  return hal::ok();
}

hal::Result<GgufValue> read_value(Reader& r, const std::string& what) {
  GgufValue v;
  HAL_TRY(v.type, r.type(what));
  if (v.type == Type::string) {
    HAL_TRY(v.bytes, r.string(what));
    return v;
  }
  if (v.type != Type::array) {
    HAL_TRY(v.bytes, r.take(type_bytes[static_cast<int>(v.type)], what));
    if (v.type == Type::boolean) HAL_CHECK(check_booleans(r, v.bytes, what));
    return v;
  }
  HAL_TRY(v.element, r.type(what));
  HAL_TRY(v.count, r.number<std::uint64_t>(what));
  if (v.element == Type::array) return r.error(text(what, " is an array of arrays; expected numbers or strings"));
  std::uint64_t least = v.element == Type::string ? 8 : type_bytes[static_cast<int>(v.element)], bytes = 0;
  if (!multiply(v.count, least, bytes) || bytes > r.left())
    return r.error(text(what, " is an array of ", v.count, " ", type_names[static_cast<int>(v.element)],
                        "; the file ends after ", r.left(), " bytes"));
  if (v.element != Type::string) {
    HAL_TRY(v.bytes, r.take(bytes, what));
    if (v.element == Type::boolean) HAL_CHECK(check_booleans(r, v.bytes, what));
    return v;
  }
  Reader elements = r;
  for (std::uint64_t i = 0; i < v.count; ++i)
    HAL_CHECK([&]() -> hal::Status {
      HAL_TRY([[maybe_unused]] auto skipped, elements.string(what));
      return hal::ok();
    }());
  HAL_TRY(v.bytes, r.take(elements.at() - r.at(), what));
  return v;
}

struct Info {
  FileTensor tensor;
  std::uint64_t offset = 0, bytes = 0;
};

hal::Result<Info> read_info(Reader& r, std::uint64_t index) {
  Info info;
  FileTensor& t = info.tensor;
  HAL_TRY(t.name, r.name(text("the name of tensor ", index), max_name));
  std::string what = "tensor " + printable(t.name);
  HAL_TRY(auto dims, r.number<std::uint32_t>(what));
  if (dims < 1 || dims > 4) return r.error(text(what, " has ", dims, " dimensions; expected 1 to 4"));
  for (std::uint32_t i = 0; i < dims; ++i) {
    HAL_TRY(auto n, r.number<std::uint64_t>(what));
    if (n < 1 || n > INT64_MAX) return r.error(text(what, ": dimension ", i, " is ", n, "; expected 1 to 2^63 - 1"));
    t.shape.insert(t.shape.begin(), static_cast<std::int64_t>(n));
  }
  HAL_TRY(auto id, r.number<std::uint32_t>(what));
  HAL_TRY(info.offset, r.number<std::uint64_t>(what));
  const TensorType* type = std::find_if(std::begin(tensor_types), std::end(tensor_types),
                                        [id = id](const TensorType& candidate) { return candidate.id == id; });
  if (type == std::end(tensor_types) || !type->dtype)
    return r.error(text(what, " has type ", type == std::end(tensor_types) ? std::to_string(id) : type->name,
                        "; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K"));
  t.dtype = *type->dtype;
  hal::Block block = hal::block(t.dtype);
  if (t.shape.back() % block.elements != 0)
    return r.error(
        text(what, ": rows of ", t.shape.back(), " elements; ", type->name, " needs a multiple of ", block.elements));
  std::uint64_t bytes = static_cast<std::uint64_t>(t.shape.back()) / block.elements;
  bool fits = multiply(bytes, block.bytes, bytes);
  for (std::size_t i = 0; i + 1 < t.shape.size(); ++i)
    fits = fits && multiply(bytes, static_cast<std::uint64_t>(t.shape[i]), bytes);
  if (!fits) return r.error(text(what, ": shape ", shape_text(t.shape), " is more than 2^63 bytes"));
  info.bytes = bytes;
  return info;
}

// The tensors must tile the data: each begins where the one before it ends, rounded up to the alignment.
hal::Status place(const Reader& r, std::vector<Info>& infos, std::span<const std::byte> data, std::uint64_t alignment) {
  std::sort(infos.begin(), infos.end(), [](const Info& a, const Info& b) { return a.offset < b.offset; });
  std::uint64_t expected = 0;
  for (Info& i : infos) {
    std::string what = "tensor " + printable(i.tensor.name);
    if (i.offset % alignment != 0)
      return r.error(text(what, ": offset ", i.offset, "; expected a multiple of the alignment ", alignment));
    if (i.offset != expected)
      return r.error(text(what, ": offset ", i.offset, "; expected ", expected,
                          ", where the tensor before it ends (no holes, no overlap)"));
    if (i.bytes > data.size() || i.offset > data.size() - i.bytes)
      return r.error(
          text(what, ": ", i.bytes, " bytes at offset ", i.offset, "; the data has ", data.size(), " bytes"));
    i.tensor.data = data.subspan(i.offset, i.bytes);
    expected = (i.offset + i.bytes + alignment - 1) / alignment * alignment;
  }
  return hal::ok();
}

}  // namespace

std::optional<std::int64_t> GgufValue::integer() const {
  return type == Type::array || type == Type::string ? std::nullopt : integer_of(type, bytes.data());
}
std::optional<double> GgufValue::number() const {
  if (type == Type::f32) return load<float>(bytes.data());
  if (type == Type::f64) return load<double>(bytes.data());
  if (auto n = integer()) return static_cast<double>(*n);
  return {};
}
std::optional<bool> GgufValue::boolean() const {
  if (type != Type::boolean) return {};
  return bytes[0] != std::byte{0};
}
std::optional<std::string_view> GgufValue::string() const {
  if (type != Type::string) return {};
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
std::optional<std::int64_t> GgufValue::integer_at(std::uint64_t index) const {
  if (type != Type::array || index >= count || element == Type::string) return {};
  return integer_of(element, bytes.data() + index * type_bytes[static_cast<int>(element)]);
}
std::string GgufValue::describe() const {
  const char* word = type_names[static_cast<int>(type)];
  if (type == Type::array) return text("array of ", count, " ", type_names[static_cast<int>(element)]);
  if (auto s = string()) return text(word, " ", printable(*s));
  if (auto b = boolean()) return text(word, *b ? " true" : " false");
  if (auto i = integer()) return text(word, " ", *i);
  if (auto n = number()) return text(word, " ", *n);
  return text(word, " beyond 2^63");
}

const GgufValue* Gguf::find(std::string_view key) const {
  auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

hal::Result<Gguf> parse_gguf(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::uint64_t identity,
                             const std::string& name) {
  Reader r(file, name);
  HAL_TRY(auto magic, r.take(4, "the header"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    return r.error(
        text("begins with ", printable({reinterpret_cast<const char*>(magic.data()), 4}), "; expected 'GGUF'"));
  Gguf out;
  HAL_TRY(out.version, r.number<std::uint32_t>("the header"));
  if (out.version != 2 && out.version != 3)
    return r.error(
        text("version ", out.version, (out.version & 0xffff) == 0 ? " (a big-endian file?)" : "", "; expected 2 or 3"));
  HAL_TRY(auto tensors, r.number<std::uint64_t>("the header"));
  HAL_TRY(auto keys, r.number<std::uint64_t>("the header"));
  if (keys > max_keys || keys > r.left() / least_pair)
    return r.error(
        text("key count ", keys, "; expected at most ", max_keys, " and what fits into ", r.left(), " bytes"));
  if (tensors > max_tensors || tensors > r.left() / least_info)
    return r.error(
        text("tensor count ", tensors, "; expected at most ", max_tensors, " and what fits into ", r.left(), " bytes"));

  for (std::uint64_t i = 0; i < keys; ++i) {
    HAL_TRY(std::string key, r.name(text("the name of key ", i), max_key));
    HAL_TRY(GgufValue value, read_value(r, "key " + printable(key)));
    if (!out.metadata.emplace(key, value).second) return r.error(text("key ", printable(key), " appears twice"));
  }
  std::uint64_t alignment = 32;
  if (const GgufValue* value = out.find("general.alignment")) {
    auto n = value->integer().value_or(0);
    if (n < 8 || n > (1 << 20) || (n & (n - 1)) != 0)
      return r.error(text("general.alignment is ", value->describe(), "; expected a power of two from 8 to 1048576"));
    alignment = static_cast<std::uint64_t>(n);
  }
  std::vector<Info> infos;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    HAL_TRY(Info info, read_info(r, i));
    infos.push_back(std::move(info));
  }
  std::uint64_t begin = (r.at() + alignment - 1) / alignment * alignment;
  HAL_CHECK(place(r, infos, begin < file.size() ? file.subspan(begin) : file.subspan(file.size()), alignment));
  for (Info& i : infos) {
    i.tensor.owner = owner;
    i.tensor.file = identity;
    std::string key = i.tensor.name;
    if (!out.tensors.emplace(key, std::move(i.tensor)).second)
      return r.error(text("tensor ", printable(key), " appears twice"));
  }
  return out;
}

namespace {

std::string digits(std::int64_t n) {
  std::string s = std::to_string(n);
  return std::string(s.size() < 5 ? 5 - s.size() : 0, '0') + s;
}

// Adds part `no` of `count` to `out`.
hal::Status add_part(Gguf& out, Gguf part, const std::string& path, std::int64_t no, std::int64_t count) {
  for (auto [key, expected] : {std::pair{"split.no", no}, std::pair{"split.count", count}}) {
    const GgufValue* value = part.find(key);
    if (!value || value->integer() != expected)
      return Error{Code::io,
                   text(path, ": ", key, " is ", value ? value->describe() : "missing", "; expected ", expected)};
  }
  if (no == 0) {
    out.version = part.version;
    out.metadata = std::move(part.metadata);
  }
  for (auto& [name, tensor] : part.tensors)
    if (out.tensors.contains(name))
      return Error{Code::io, text(path, ": tensor ", printable(name), " is in an earlier part too")};
  out.tensors.merge(part.tensors);
  out.files.insert(out.files.end(), part.files.begin(), part.files.end());
  return hal::ok();
}

hal::Result<Gguf> open_one(const std::string& path) {
  HAL_TRY(FileRef file, File::open(path));
  HAL_TRY(Gguf gguf, parse_gguf(file->bytes(), file, file->identity(), path));
  for (auto& [name, tensor] : gguf.tensors) tensor.mapped = true;
  gguf.files.push_back(file);
  return gguf;
}

}  // namespace

hal::Result<Gguf> open_gguf(const std::string& path) {
  HAL_TRY(Gguf named, open_one(path));
  const GgufValue* value = named.find("split.count");
  if (!value || value->integer() == 1 || value->integer() == 0) return named;
  std::int64_t count = value->integer().value_or(-1);
  if (count < 0 || count > 1000)
    return Error{Code::io, text(path, ": split.count is ", value->describe(), "; expected 0 to 1000")};
  // NAME-00001-of-00003.gguf
  std::string tail = "-of-" + digits(count) + ".gguf";
  bool ends = path.size() > tail.size() + 6 && path.ends_with(tail) && path[path.size() - tail.size() - 6] == '-';
  if (!ends)
    return Error{Code::io, text(path, ": split.count is ", count, "; expected a file name that ends in -NNNNN", tail)};
  std::string base = path.substr(0, path.size() - tail.size() - 5);
  Gguf out;
  for (std::int64_t no = 0; no < count; ++no) {
    std::string part_path = base + digits(no + 1) + tail;
    HAL_TRY(Gguf part, open_one(part_path));
    HAL_CHECK(add_part(out, std::move(part), part_path, no, count));
  }
  const GgufValue* total = out.find("split.tensors.count");
  if (!total || total->integer() != static_cast<std::int64_t>(out.tensors.size()))
    return Error{Code::io, text(path, ": split.tensors.count is ", total ? total->describe() : "missing", "; the ",
                                count, " parts hold ", out.tensors.size(), " tensors")};
  return out;
}

}  // namespace switchyard::models
