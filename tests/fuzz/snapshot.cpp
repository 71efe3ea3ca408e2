// Input: a snapshot; read as it is, and once more with its sizes and checksums made right, so that more of them are
// found good.
#include <algorithm>
#include <cstring>

#include "scheduler/serve/durable_file.h"
#include "scheduler/serve/snapshot_format.h"

namespace switchyard::scheduler {
namespace {

using Bytes = std::vector<std::byte>;
using Format = SnapshotFormat;

template <class T>
T number_at(const Bytes& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
void put_at(Bytes& bytes, std::size_t at, std::uint64_t value) { std::memcpy(bytes.data() + at, &value, sizeof value); }

// False: no head that could be read.
bool seal(Bytes& b) {
  constexpr std::size_t longest = 1 << 16;
  if (b.size() < Format::fixed_bytes) return false;
  const std::uint32_t layers = number_at<std::uint32_t>(b, 56) % 16, name = number_at<std::uint32_t>(b, 60) % 64;
  const std::uint32_t head = Format::fixed_bytes + name + layers * Format::layer_bytes + Format::sum_bytes;
  std::memcpy(b.data(), Format::magic.data(), Format::magic.size());
  std::memcpy(b.data() + 8, &Format::version, 4);
  std::memcpy(b.data() + 12, &head, 4);
  std::memcpy(b.data() + 56, &layers, 4);
  std::memcpy(b.data() + 60, &name, 4);
  if (b.size() < head) b.resize(head);
  std::vector<std::uint64_t> sections{number_at<std::uint64_t>(b, 40) * 4, number_at<std::uint64_t>(b, 48)};
  for (std::uint32_t l = 0; l < layers; ++l)
    for (std::size_t p = 0; p < 4; ++p)
      sections.push_back(number_at<std::uint64_t>(b, Format::fixed_bytes + name + l * Format::layer_bytes + 8 + 8 * p));
  std::uint64_t end = head;
  for (std::uint64_t bytes : sections) {
    if (bytes > longest) return false;
    end += bytes + (bytes ? Format::sum_bytes : 0);  // one block each
  }
  b.resize(end + Format::sum_bytes);
  put_at(b, 16, b.size());
  std::vector<std::uint64_t> sums{checksum(std::span(b).first(head - Format::sum_bytes), 0)};
  put_at(b, head - Format::sum_bytes, sums[0]);
  std::uint64_t at = head;
  for (std::uint64_t bytes : sections) {
    if (bytes == 0) continue;
    sums.push_back(checksum(std::span(b).subspan(at, bytes), at));
    put_at(b, at + bytes, sums.back());
    at += bytes + Format::sum_bytes;
  }
  put_at(b, at, checksum(std::as_bytes(std::span(sums)), 0));
  return true;
}

void read(const Bytes& bytes) {
  static const SnapshotExpectation expected{0x0123456789abcdefull,
                                            "granite-small",
                                            hal::DType::f16,
                                            {{0, {96, 256, 0}}, {1, {0, 0, 16}}, {2, {96, 256, 0}}},
                                            49152,
                                            5};
  auto plain = snapshot_from(bytes), checked = snapshot_from(bytes, &expected);
  auto refused = [](const hal::Error& e, bool other) {
    return (e.code == hal::Code::io || (other && e.code == hal::Code::invalid_argument)) && !e.message.empty();
  };
  if (checked && !plain) __builtin_trap();
  if (!checked && !refused(checked.error(), true)) __builtin_trap();
  if (!plain && !refused(plain.error(), false)) __builtin_trap();
  if (plain && *snapshot_bytes(*plain) != bytes) __builtin_trap();
}

}  // namespace
}  // namespace switchyard::scheduler

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace switchyard::scheduler;
  const auto* first = reinterpret_cast<const std::byte*>(data);
  Bytes bytes(first, first + size);
  read(bytes);
  if (seal(bytes)) read(bytes);
  return 0;
}
