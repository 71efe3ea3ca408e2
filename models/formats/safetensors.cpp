#include "models/formats/safetensors.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "models/formats/json.h"
#include "models/formats/text.h"

namespace switchyard::models {
namespace {

using hal::Code;
using hal::DType;
using hal::Error;

constexpr std::size_t max_tensors = 1u << 16, max_dims = 8;
constexpr std::uint64_t max_header = 32 << 20;  // more than so many tensors take; the format itself allows 100 MB

std::optional<DType> dtype_of(std::string_view word) {
  if (word == "F32") return DType::f32;
  if (word == "F16") return DType::f16;
  if (word == "BF16") return DType::bf16;
  if (word == "I64") return DType::i64;
  if (word == "I32") return DType::i32;
  if (word == "I8") return DType::i8;
  if (word == "U8") return DType::u8;
  if (word == "BOOL") return DType::boolean;
  return {};
}

struct Entry {
  std::string name;
  std::optional<DType> dtype;
  std::vector<std::int64_t> shape, offsets;
  bool has_shape = false, has_offsets = false;
};

// Takes the header as events, so that a lying one is refused at its first wrong token and never becomes a tree.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(std::vector<Entry>& entries, Safetensors& out) : entries_(entries), out_(out) {}
  std::string why;

  bool null() override { return wrong("null"); }
  bool boolean(bool) override { return wrong("a boolean"); }
  bool number_integer(number_integer_t v) override { return wrong(std::to_string(v)); }
  bool number_float(number_float_t, const string_t& v) override { return wrong(printable(v)); }
  bool binary(binary_t&) override { return wrong("binary data"); }

  bool number_unsigned(number_unsigned_t v) override {
    if (state_ != State::numbers) return wrong(std::to_string(v));
    if (v > INT64_MAX) return fail(text(field_, " holds ", v, "; expected less than 2^63"));
    if (list().size() >= max_dims) return fail(text(field_, " holds more than ", max_dims, " numbers"));
    list().push_back(static_cast<std::int64_t>(v));
    return true;
  }
  bool string(string_t& v) override {
    if (state_ == State::metadata) {
      out_.metadata[field_] = v;
      return true;
    }
    if (state_ != State::entry || field_ != "dtype") return wrong(printable(v));
    entry_.dtype = dtype_of(v);
    if (!entry_.dtype)
      return fail(text("dtype is ", printable(v), "; expected F32, F16, BF16, I64, I32, I8, U8 or BOOL"));
    return true;
  }
  bool start_object(std::size_t) override {
    if (state_ == State::begin) return go(State::header);
    if (state_ == State::header) return go(metadata_ ? State::metadata : State::entry);
    return wrong("an object");
  }
  bool key(string_t& v) override {
    if (state_ == State::header) {
      metadata_ = v == "__metadata__";
      if (v.empty() || v.size() > 256) return fail(text("a name of ", v.size(), " bytes; expected 1 to 256"));
      entry_ = {};
      entry_.name = v;
      fields_.clear();
      if (!metadata_ && entries_.size() >= max_tensors) return fail(text("more than ", max_tensors, " tensors"));
      return names_.insert(v).second || fail("the name appears twice");
    }
    field_ = v;
    if (state_ == State::entry && v != "dtype" && v != "shape" && v != "data_offsets")
      return fail(text("key ", printable(v), "; expected dtype, shape and data_offsets"));
    return fields_.insert(v).second || fail(text("key ", printable(v), " appears twice"));
  }
  bool end_object() override {
    if (state_ == State::header) return go(State::end);
    if (state_ == State::entry) {
      if (!entry_.dtype || !entry_.has_shape || !entry_.has_offsets)
        return fail("lacks one of dtype, shape and data_offsets");
      entries_.push_back(std::move(entry_));
      entry_ = {};
    }
    return go(State::header);
  }
  bool start_array(std::size_t) override {
    if (state_ != State::entry || field_ == "dtype") return wrong("a list");
    (field_ == "shape" ? entry_.has_shape : entry_.has_offsets) = true;
    return go(State::numbers);
  }
  bool end_array() override {
    if (field_ == "data_offsets" && entry_.offsets.size() != 2)
      return fail(text("data_offsets holds ", entry_.offsets.size(), " numbers; expected 2"));
    return go(State::entry);
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (why.empty()) why = text("the header is not JSON at byte ", position, ": ", printable(error.what()));
    return false;
  }

 private:
  enum class State { begin, header, entry, metadata, numbers, end };
  bool go(State next) {
    state_ = next;
    return true;
  }
  bool fail(std::string what) {
    why = (entry_.name.empty() ? "" : text("tensor ", printable(entry_.name), ": ")) + std::move(what);
    return false;
  }
  bool wrong(const std::string& what) {
    static constexpr const char* places[] = {"the header",   "an entry",        "a field",
                                             "__metadata__", "a list of sizes", "the end"};
    return fail(text(what, " stands where ", places[static_cast<int>(state_)], " is expected",
                     state_ == State::numbers || state_ == State::entry ? " (field " + printable(field_) + ")" : ""));
  }
  std::vector<std::int64_t>& list() { return field_ == "shape" ? entry_.shape : entry_.offsets; }

  std::vector<Entry>& entries_;
  Safetensors& out_;
  State state_ = State::begin;
  bool metadata_ = false;
  Entry entry_;
  std::string field_;
  std::set<std::string> names_, fields_;
};

// Bytes of the tensor, or an Error.
hal::Result<std::uint64_t> bytes_of(const Entry& entry, const std::string& name) {
  std::uint64_t bytes = hal::block(*entry.dtype).bytes;
  for (std::int64_t n : entry.shape)
    if (!multiply(bytes, static_cast<std::uint64_t>(n), bytes))
      return Error{Code::io, text(name, ": tensor ", printable(entry.name), ": shape ", shape_text(entry.shape),
                                  " is more than 2^63 bytes")};
  return bytes;
}

}  // namespace

hal::Result<Safetensors> parse_safetensors(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                           std::uint64_t identity, const std::string& name) {
  std::uint64_t header = 0;
  if (file.size() < 8)
    return Error{Code::io, text(name, ": ", file.size(), " bytes; a safetensors file has at least 8")};
  std::memcpy(&header, file.data(), 8);
  if (header > max_header || header > file.size() - 8)
    return Error{Code::io, text(name, ": header length ", header, "; expected at most ", max_header,
                                " and at most the ", file.size() - 8, " bytes behind it")};
  auto* characters = reinterpret_cast<const char*>(file.data()) + 8;
  if (auto* nul = std::memchr(characters, 0, header))  // the JSON reader would take it for the end
    return Error{Code::io,
                 text(name, ": the header is not JSON: a zero byte at ", static_cast<const char*>(nul) - characters)};
  auto data = file.subspan(8 + header);
  Safetensors out;
  std::vector<Entry> entries;
  HeaderReader reader(entries, out);
  if (!Json::sax_parse(characters, characters + header, &reader))
    return Error{Code::io, text(name, ": ", reader.why.empty() ? "the header is not JSON" : reader.why)};

  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
  std::uint64_t at = 0;
  for (Entry& e : entries) {
    HAL_TRY(std::uint64_t bytes, bytes_of(e, name));
    auto begin = static_cast<std::uint64_t>(e.offsets[0]), end = static_cast<std::uint64_t>(e.offsets[1]);
    auto refuse = [&](const std::string& expected) {
      return Error{Code::io, text(name, ": tensor ", printable(e.name), ": data_offsets [", begin, ", ", end,
                                  "]; expected ", expected)};
    };
    if (begin != at) return refuse(text("a begin of ", at, ", where the tensor before it ends (no holes, no overlap)"));
    if (end < begin || end - begin != bytes)
      return refuse(text(bytes, " bytes for ", hal::to_string(*e.dtype), " ", shape_text(e.shape)));
    if (end > data.size()) return refuse(text("an end within the ", data.size(), " bytes of data"));
    at = end;
    FileTensor tensor{e.name, *e.dtype, std::move(e.shape), data.subspan(begin, bytes), owner, identity};
    out.tensors.emplace(std::move(e.name), std::move(tensor));
  }
  if (at != data.size()) return Error{Code::io, text(name, ": ", data.size(), " bytes of data; the tensors take ", at)};
  return out;
}

hal::Result<Safetensors> open_safetensors(const std::string& path) {
  HAL_TRY(FileRef file, File::open(path));
  return parse_safetensors(file->bytes(), file, file->identity(), path);
}

namespace {

// file name -> the tensors that the index promises there
using Shards = std::map<std::string, std::set<std::string>>;

hal::Result<Shards> read_index(const File& file) {
  auto bytes = file.bytes();
  HAL_TRY(Json json, parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.path()));
  auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object() || map->empty())
    return Error{Code::io, text(file.path(), ": expected an object with weight_map: {tensor: file}")};
  Shards shards;
  for (auto& [tensor, value] : map->items()) {
    std::string shard = value.is_string() ? value.get<std::string>() : "";
    if (shard.empty() || shard.size() > 200 || shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
      return Error{Code::io, text(file.path(), ": weight_map holds ", json_text(value), " for tensor ",
                                  printable(tensor), "; expected the name of a file beside the index")};
    shards[shard].insert(tensor);
  }
  if (shards.size() > 1000)
    return Error{Code::io, text(file.path(), ": ", shards.size(), " files; expected at most 1000")};
  return shards;
}

}  // namespace

hal::Result<Checkpoint> open_checkpoint(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path folder = path, single;
  if (!fs::is_directory(folder, ignored)) {
    single = folder;
    folder = folder.parent_path();
  } else if (fs::exists(folder / "model.safetensors", ignored)) {
    single = folder / "model.safetensors";
  }
  Checkpoint out;
  HAL_TRY(out.config, File::open((folder / "config.json").string()));
  if (!single.empty()) {
    HAL_TRY(FileRef file, File::open(single.string()));
    HAL_TRY(Safetensors one, parse_safetensors(file->bytes(), file, file->identity(), file->path()));
    for (auto& [name, tensor] : one.tensors) tensor.mapped = true;
    out.tensors = std::move(one.tensors);
    out.files.push_back(file);
    return out;
  }
  HAL_TRY(FileRef index, File::open((folder / "model.safetensors.index.json").string()));
  HAL_TRY(Shards shards, read_index(*index));
  for (auto& [shard, promised] : shards) {
    HAL_TRY(FileRef file, File::open((folder / shard).string()));
    HAL_TRY(Safetensors part, parse_safetensors(file->bytes(), file, file->identity(), file->path()));
    for (const std::string& tensor : promised)
      if (!part.tensors.contains(tensor))
        return Error{Code::io,
                     text(file->path(), ": lacks tensor ", printable(tensor), ", which the index says is here")};
    for (auto& [tensor, value] : part.tensors)
      if (!promised.contains(tensor))
        return Error{Code::io, text(file->path(), ": tensor ", printable(tensor), " is not where the index has it")};
    for (auto& [name, tensor] : part.tensors) tensor.mapped = true;
    out.tensors.merge(part.tensors);
    out.files.push_back(file);
  }
  return out;
}

FileTensor aligned(FileTensor tensor) {
  hal::Block block = hal::block(tensor.dtype);
  std::size_t align = block.elements == 1 ? block.bytes : 2;  // quantised blocks hold halves
  if (reinterpret_cast<std::uintptr_t>(tensor.data.data()) % align == 0) return tensor;
  auto copy = std::make_shared<std::vector<std::byte>>(tensor.data.begin(), tensor.data.end());
  tensor.data = *copy;
  tensor.owner = std::move(copy);
  tensor.mapped = false;
  return tensor;
}

}  // namespace switchyard::models
