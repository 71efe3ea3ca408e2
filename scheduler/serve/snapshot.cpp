// Writing snapshots.
#include "scheduler/serve/snapshot.h"

#include <algorithm>
#include <cstring>

#include "models/formats/text.h"
#include "scheduler/serve/durable_file.h"
#include "scheduler/serve/snapshot_format.h"

namespace switchyard::scheduler {

using hal::Code;
using hal::Error;
using hal::Result;
using hal::Status;
using models::text;
using Format = SnapshotFormat;

Format::TypeName Format::name_of(hal::DType type) {
  TypeName name{};
  const std::string_view plain = hal::to_string(type);
  std::memcpy(name.data(), plain.data(), plain.size());  // the longest is "boolean"
  return name;
}

std::uint64_t SnapshotHead::section_bytes(std::size_t section) const {
  if (section == 0) return tokens * sizeof(std::int32_t);
  if (section == 1) return extra;
  return layers[(section - 2) / Format::parts.size()].bytes[(section - 2) % Format::parts.size()];
}

std::string SnapshotHead::section_name(std::size_t section) const {
  static constexpr std::array names{"conv_window", "ssm_state", "k", "v"};
  if (section < 2) return section == 0 ? "the log" : "extra";
  return text("layer ", layers[(section - 2) / names.size()].layer, "'s ", names[(section - 2) % names.size()]);
}

bool stored_bytes(std::uint64_t section_bytes, std::uint64_t& stored) {
  const std::uint64_t blocks = section_bytes / Format::block_bytes + (section_bytes % Format::block_bytes != 0);
  return !__builtin_add_overflow(section_bytes, blocks * Format::sum_bytes, &stored);
}

namespace {

Result<SnapshotHead> head_of(const Snapshot& s) {
  if (s.model_name.size() > Format::longest_name || s.state.layers.size() > Format::most_layers)
    return Error{Code::invalid_argument,
                 text("snapshot: a model name of ", s.model_name.size(), " bytes and ", s.state.layers.size(),
                      " layers; it holds at most ", Format::longest_name, " and ", Format::most_layers)};
  SnapshotHead h{0, s.state.model_hash, Format::name_of(s.state.kv), s.state.log.size(), s.extra.size(), s.model_name,
                 {}};
  for (const auto& [layer, state] : s.state.layers) {
    h.layers.push_back({layer, {}});
    for (std::size_t p = 0; p < Format::parts.size(); ++p) h.layers.back().bytes[p] = (state.*Format::parts[p]).size();
  }
  h.file_bytes = h.bytes() + Format::sum_bytes;
  for (std::size_t i = 0; i < h.sections(); ++i) {
    std::uint64_t stored = 0;
    stored_bytes(h.section_bytes(i), stored);  // it lies in memory, so it fits
    h.file_bytes += stored;
  }
  return h;
}

std::vector<std::byte> encode(const SnapshotHead& h) {
  std::vector<std::byte> out;
  auto bytes = [&](const void* from, std::size_t n) {
    out.insert(out.end(), static_cast<const std::byte*>(from), static_cast<const std::byte*>(from) + n);
  };
  auto number = [&](auto value) { bytes(&value, sizeof value); };
  bytes(Format::magic.data(), Format::magic.size());
  number(Format::version);
  number(static_cast<std::uint32_t>(h.bytes()));
  number(h.file_bytes);
  number(h.model_hash);
  number(h.kv);
  number(h.tokens);
  number(h.extra);
  number(static_cast<std::uint32_t>(h.layers.size()));
  number(static_cast<std::uint32_t>(h.model_name.size()));
  bytes(h.model_name.data(), h.model_name.size());
  for (const SnapshotHead::Layer& l : h.layers) {
    number(l.layer);
    for (std::uint64_t n : l.bytes) number(n);
  }
  number(checksum(out, 0));
  return out;
}

using Put = std::function<Status(std::span<const std::byte>)>;

class Writer {
 public:
  explicit Writer(const Put& put) : put_(put) {}
  Status head(const SnapshotHead& h) {
    const auto bytes = encode(h);
    at_ = bytes.size();
    std::memcpy(&sums_.emplace_back(), bytes.data() + bytes.size() - Format::sum_bytes, Format::sum_bytes);
    return put_(bytes);
  }
  Status section(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto block = bytes.first(std::min(bytes.size(), Format::block_bytes));
      sums_.push_back(checksum(block, at_));
      HAL_CHECK(put_(block));
      HAL_CHECK(put_(std::as_bytes(std::span(&sums_.back(), 1))));
      at_ += block.size() + Format::sum_bytes;
      bytes = bytes.subspan(block.size());
    }
    return hal::ok();
  }
  Status end() {
    const std::uint64_t sum = checksum(std::as_bytes(std::span(sums_)), 0);
    return put_(std::as_bytes(std::span(&sum, 1)));
  }

 private:
  const Put& put_;
  std::uint64_t at_ = 0;
  std::vector<std::uint64_t> sums_;
};

Status write(const Snapshot& s, const SnapshotHead& head, const Put& put) {
  Writer writer(put);
  HAL_CHECK(writer.head(head));
  HAL_CHECK(writer.section(std::as_bytes(std::span(s.state.log))));
  HAL_CHECK(writer.section(std::as_bytes(std::span(s.extra))));
  for (const auto& [layer, state] : s.state.layers)
    for (auto part : Format::parts) HAL_CHECK(writer.section(state.*part));
  return writer.end();
}

}  // namespace

Status save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot) {
  HAL_TRY(const SnapshotHead head, head_of(snapshot));
  HAL_TRY(NewFile file, NewFile::create(path));
  HAL_CHECK(write(snapshot, head, [&](std::span<const std::byte> bytes) { return file.write(bytes); }));
  return file.commit();
}

Result<std::vector<std::byte>> snapshot_bytes(const Snapshot& snapshot) {
  HAL_TRY(const SnapshotHead head, head_of(snapshot));
  std::vector<std::byte> all;
  try {
    all.reserve(head.file_bytes);
  } catch (const std::exception&) {
    return Error{Code::out_of_memory, text("snapshot: no memory for its ", head.file_bytes, " bytes")};
  }
  HAL_CHECK(write(snapshot, head, [&](std::span<const std::byte> bytes) {
    all.insert(all.end(), bytes.begin(), bytes.end());
    return hal::ok();
  }));
  return all;
}

}  // namespace switchyard::scheduler
