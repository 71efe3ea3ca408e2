// Reading snapshots.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "models/formats/text.h"
#include "scheduler/serve/durable_file.h"
#include "scheduler/serve/snapshot_format.h"

namespace switchyard::scheduler {
namespace {

using hal::Bytes;
using hal::Code;
using hal::Error;
using hal::Result;
using hal::Status;
using models::text;
using Format = SnapshotFormat;
using Span = std::span<const std::byte>;

// Where the bytes come from. next(n): the n after those before, valid until it is called again.
struct Source {
  std::string name;
  std::uint64_t size = 0;
  std::function<Result<Span>(std::size_t n)> next;
};

Error refused(const Source& from, const std::string& why) { return Error{Code::io, from.name + ": " + why}; }

// Numbers and text out of a head whose length was checked.
class Fields {
 public:
  explicit Fields(Span bytes) : bytes_(bytes) {}
  template <class T>
  void get(T& value) {
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
  }
  void get(std::string& value, std::size_t n) { value.assign(reinterpret_cast<const char*>(take(n).data()), n); }

 private:
  Span take(std::size_t n) {
    const Span taken = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return taken;
  }
  Span bytes_;
};

// The head's bytes, with a checksum that is right.
Result<std::vector<std::byte>> head_bytes(const Source& from) {
  if (from.size == 0) return refused(from, "is empty, no snapshot");
  HAL_TRY(const Span begin, from.next(std::min<std::uint64_t>(from.size, Format::begin_bytes)));
  if (const std::size_t n = std::min(begin.size(), Format::magic.size());
      std::memcmp(begin.data(), Format::magic.data(), n) != 0)
    return refused(from, text("is no snapshot: it begins with ",
                              models::printable({reinterpret_cast<const char*>(begin.data()), n}), ", not with '",
                              Format::magic, "'"));
  auto cut = [&](std::uint64_t expected) {
    return refused(from, text("is cut: it ends within its head, with ", from.size, " bytes of ", expected));
  };
  if (from.size < Format::begin_bytes) return cut(Format::fixed_bytes);
  std::uint32_t version = 0, length = 0;
  Fields fields(begin.subspan(Format::magic.size()));
  fields.get(version);
  fields.get(length);
  if (version != Format::version)
    return refused(from, text("is a snapshot of format ", version, ", this build reads format ", Format::version));
  constexpr std::size_t shortest = Format::fixed_bytes + Format::sum_bytes;
  if (length < shortest || length > Format::longest_head)
    return refused(from, text("is damaged: its head is said to have ", length, " bytes, between ", shortest, " and ",
                              Format::longest_head, " are possible"));
  if (from.size < length) return cut(length);
  std::vector<std::byte> head(begin.begin(), begin.end());
  HAL_TRY(const Span rest, from.next(length - head.size()));
  head.insert(head.end(), rest.begin(), rest.end());
  std::uint64_t sum = 0;
  const Span summed = Span(head).first(head.size() - Format::sum_bytes);
  std::memcpy(&sum, head.data() + summed.size(), sizeof sum);
  if (sum != checksum(summed, 0))
    return refused(from, text("is damaged: the checksum of its head, bytes 0 to ", length, ", is wrong"));
  return head;
}

// Refuses sizes that cannot be true together, and then a file that has other ones.
Status check_sizes(const Source& from, const SnapshotHead& h) {
  auto nonsense = [&](const std::string& what) {
    return refused(from, "the sizes in its head make no sense: " + what);
  };
  if (h.tokens > INT64_MAX / sizeof(std::int32_t)) return nonsense(text("a log of ", h.tokens, " tokens"));
  std::uint64_t end = h.bytes() + Format::sum_bytes;
  for (std::size_t i = 0; i < h.sections(); ++i) {
    std::uint64_t stored = 0;
    if (!stored_bytes(h.section_bytes(i), stored) || __builtin_add_overflow(end, stored, &end))
      return nonsense(text(h.section_name(i), " of ", h.section_bytes(i), " bytes"));
  }
  if (end != h.file_bytes) return nonsense(text("all parts have ", end, " bytes, the whole has ", h.file_bytes));
  if (from.size > end)
    return refused(from, text("goes on for ", from.size - end, " bytes after its end at byte ", end));
  if (from.size == end) return hal::ok();
  std::uint64_t at = h.bytes(), stored = 0;
  std::size_t i = 0;
  for (; i < h.sections(); ++i, at += stored) {
    stored_bytes(h.section_bytes(i), stored);
    if (from.size < at + stored) break;
  }
  return refused(from, text("is cut: it has ", from.size, " of ", end, " bytes and ends within ",
                            i < h.sections() ? h.section_name(i) : "its last checksum"));
}

Result<SnapshotHead> parse(const Source& from, Span bytes) {
  SnapshotHead h;
  std::uint32_t layers = 0, name = 0;
  Fields fields(bytes.subspan(Format::begin_bytes));
  fields.get(h.file_bytes);
  fields.get(h.model_hash);
  fields.get(h.kv);
  fields.get(h.tokens);
  fields.get(h.extra);
  fields.get(layers);
  fields.get(name);
  if (layers > Format::most_layers || name > Format::longest_name ||
      Format::fixed_bytes + name + layers * Format::layer_bytes + Format::sum_bytes != bytes.size())
    return refused(from, text("the sizes in its head make no sense: a model name of ", name, " bytes and ", layers,
                              " layers in a head of ", bytes.size()));
  fields.get(h.model_name, name);
  h.layers.resize(layers);
  for (std::size_t i = 0; i < h.layers.size(); ++i) {
    fields.get(h.layers[i].layer);
    for (std::uint64_t& n : h.layers[i].bytes) fields.get(n);
    if (i > 0 && h.layers[i].layer <= h.layers[i - 1].layer)
      return refused(from, text("its layers are out of order: ", h.layers[i].layer, " after ", h.layers[i - 1].layer));
  }
  HAL_CHECK(check_sizes(from, h));
  return h;
}

Result<hal::DType> kv_type(const Source& from, const SnapshotHead& h) {
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(hal::DType::q6_k); ++i)
    if (Format::name_of(static_cast<hal::DType>(i)) == h.kv) return static_cast<hal::DType>(i);
  return refused(from, text("its KV cache is of type ", models::printable({h.kv.data(), h.kv.size()}),
                            ", which this build does not know"));
}

std::string hash_text(std::uint64_t hash) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

Status check_layers(const Source& from, const SnapshotHead& h, const SnapshotExpectation& e) {
  auto other = [&](const std::string& what) { return Error{Code::invalid_argument, from.name + ": " + what}; };
  if (h.layers.size() != e.layers.size())
    return other(text("has the state of ", h.layers.size(), " layers, the model has ", e.layers.size()));
  auto expected = e.layers.begin();
  for (std::size_t i = 0; i < h.layers.size(); ++i, ++expected) {
    const auto& [layer, sizes] = *expected;
    if (h.layers[i].layer != layer)
      return other(text("has the state of layer ", h.layers[i].layer, " where layer ", layer, " is expected"));
    Bytes kv = 0;
    if (__builtin_mul_overflow(sizes.kv_row, h.tokens, &kv)) kv = ~Bytes{0};
    const std::array<Bytes, Format::parts.size()> bytes{sizes.conv_window, sizes.ssm_state, kv, kv};
    for (std::size_t p = 0; p < bytes.size(); ++p)
      if (h.layers[i].bytes[p] != bytes[p])
        return other(text(h.section_name(2 + i * bytes.size() + p), " has ", h.layers[i].bytes[p],
                          " bytes, the model's has ", bytes[p], " after ", h.tokens, " tokens"));
  }
  return hal::ok();
}

Status check(const Source& from, const SnapshotHead& h, hal::DType kv, const SnapshotExpectation& e) {
  auto other = [&](const std::string& what) { return Error{Code::invalid_argument, from.name + ": " + what}; };
  if (h.model_hash != e.model_hash)
    return other(text("is of model ", models::printable(h.model_name), " (", hash_text(h.model_hash), "), expected ",
                      models::printable(e.model_name), " (", hash_text(e.model_hash), ")",
                      h.model_name == e.model_name ? ": other weights or another quantisation of it" : ""));
  if (kv != e.kv) return other(text("its KV cache is ", hal::to_string(kv), ", expected ", hal::to_string(e.kv)));
  if (h.tokens > static_cast<std::uint64_t>(e.context))
    return other(text("has ", h.tokens, " tokens, the context is ", e.context));
  return h.tokens == 0 && h.layers.empty() ? hal::ok() : check_layers(from, h, e);
}

// Sections, one after the other, into vectors.
class Reader {
 public:
  Reader(const Source& from, const SnapshotHead& head, Span head_bytes) : from_(from), head_(head) {
    at_ = head_bytes.size();
    std::memcpy(&sums_.emplace_back(), head_bytes.data() + head_bytes.size() - Format::sum_bytes, Format::sum_bytes);
  }
  template <class Container>
  Status section(Container& to) {
    constexpr std::size_t element = sizeof(typename Container::value_type);
    const std::uint64_t bytes = head_.section_bytes(section_);
    to.reserve(bytes / element);  // takes no memory from the system before it is written to
    for (std::uint64_t done = 0; done < bytes;) {
      const std::size_t n = std::min<std::uint64_t>(bytes - done, Format::block_bytes);
      HAL_TRY(const Span block, from_.next(n + Format::sum_bytes));
      std::memcpy(&sums_.emplace_back(), block.data() + n, Format::sum_bytes);
      if (checksum(block.first(n), at_) != sums_.back())
        return refused(from_, text("is damaged: the checksum of ", head_.section_name(section_), ", bytes ", at_,
                                   " to ", at_ + n, " of the file, is wrong"));
      const std::size_t old = to.size();
      to.resize(old + n / element);
      std::memcpy(to.data() + old, block.data(), n);
      at_ += n + Format::sum_bytes;
      done += n;
    }
    ++section_;
    return hal::ok();
  }
  Status end() {
    HAL_TRY(const Span last, from_.next(Format::sum_bytes));
    std::uint64_t sum = 0;
    std::memcpy(&sum, last.data(), sizeof sum);
    if (sum == checksum(std::as_bytes(std::span(sums_)), 0)) return hal::ok();
    return refused(from_, text("is damaged: its last checksum, at byte ", at_, ", is wrong"));
  }

 private:
  const Source& from_;
  const SnapshotHead& head_;
  std::uint64_t at_ = 0;
  std::size_t section_ = 0;
  std::vector<std::uint64_t> sums_;
};

Result<Snapshot> read(const Source& from, const SnapshotExpectation* expected) try {
  HAL_TRY(const auto bytes, head_bytes(from));
  HAL_TRY(const SnapshotHead head, parse(from, bytes));
  HAL_TRY(const hal::DType kv, kv_type(from, head));
  if (expected) HAL_CHECK(check(from, head, kv, *expected));
  Snapshot s{{head.model_hash, kv, {}, {}}, head.model_name, {}};
  Reader reader(from, head, bytes);
  HAL_CHECK(reader.section(s.state.log));
  if (expected)
    if (auto tokens = check_tokens(s.state.log, expected->vocab); !tokens)
      return Error{tokens.error().code, from.name + ": " + tokens.error().message};
  HAL_CHECK(reader.section(s.extra));
  for (const SnapshotHead::Layer& l : head.layers)
    for (auto part : Format::parts) HAL_CHECK(reader.section(s.state.layers[l.layer].*part));
  HAL_CHECK(reader.end());
  return s;
} catch (const std::exception&) {  // of reserve
  return Error{Code::out_of_memory, text(from.name, ": no memory for its ", from.size, " bytes")};
}

}  // namespace

SnapshotExpectation snapshot_expectation(const models::Model& model, hal::DType kv, std::int64_t context) {
  const models::Config& c = model.config;
  SnapshotExpectation e{model.content_hash, model.name, kv, {}, c.vocab, context};
  for (std::int64_t i = 0; i < c.layers; ++i) {
    SnapshotExpectation::Layer& l = e.layers[i];
    if (c.kinds[static_cast<std::size_t>(i)] == models::LayerKind::mamba) {
      l.conv_window = static_cast<Bytes>((c.conv_kernel - 1) * c.conv_channels()) * sizeof(float);
      l.ssm_state = static_cast<Bytes>(c.ssm_heads * c.ssm_head_dim * c.state) * sizeof(float);
    } else {
      l.kv_row = hal::row_bytes(kv, c.kv_heads * c.head_dim);
    }
  }
  return e;
}

// Not by a memory map: a disk that fails while it is read would end the process, and a read says so.
Result<Snapshot> load_snapshot(const std::filesystem::path& path, const SnapshotExpectation* expected) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) return file_error(path, "cannot be opened", errno);
  if (!S_ISREG(info.st_mode))
    return Error{Code::io,
                 path.string() + (S_ISDIR(info.st_mode) ? ": is a folder" : ": is no regular file") + ", no snapshot"};
  constexpr std::uint64_t ahead = 16 << 20;  // so much is fetched from the disk while blocks are checked
  std::vector<std::byte> buffer;
  std::uint64_t at = 0, asked = 0;
  const Source from{path.string(), static_cast<std::uint64_t>(info.st_size), [&](std::size_t n) -> Result<Span> {
                      for (; asked < at + ahead; asked += ahead)
                        (void)::posix_fadvise(file.get(), static_cast<off_t>(asked), ahead, POSIX_FADV_WILLNEED);
                      if (buffer.size() < n) buffer.resize(n);
                      HAL_CHECK(read_all(file, at, std::span(buffer).first(n), path));
                      at += n;
                      return Span(buffer).first(n);
                    }};
  return read(from, expected);
}

Result<Snapshot> snapshot_from(Span bytes, const SnapshotExpectation* expected) {
  const Source from{"snapshot", bytes.size(), [&](std::size_t n) -> Result<Span> {
                      const Span taken = bytes.first(n);
                      bytes = bytes.subspan(n);
                      return taken;
                    }};
  return read(from, expected);
}

}  // namespace switchyard::scheduler
