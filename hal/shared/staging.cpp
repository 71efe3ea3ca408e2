#include "hal/shared/staging.h"

#include <algorithm>
#include <vector>

namespace switchyard::hal {
namespace {

// Large enough to hide a transfer's fixed cost, small enough to stay in a cache on the way through.
constexpr Bytes chunk_bytes = 4 << 20;

Status inside(const Slice& s, const char* side) {
  if (!s.buffer) return Error{Code::invalid_argument, std::string("copy: ") + side + " has no buffer"};
  const Bytes all = s.buffer->bytes();
  if (s.offset > all || s.size() > all - s.offset)
    return Error{Code::invalid_argument, std::string("copy: ") + side + " is [" + std::to_string(s.offset) + ", +" +
                                             std::to_string(s.bytes) + ") of a buffer of " + std::to_string(all) +
                                             " bytes"};
  return ok();
}

}  // namespace

Status staged_copy(const Slice& src, const Slice& dst) {
  HAL_CHECK(inside(src, "src"));
  HAL_CHECK(inside(dst, "dst"));
  const Bytes bytes = src.size();
  if (bytes != dst.size())
    return Error{Code::invalid_argument,
                 "copy: src has " + std::to_string(bytes) + " bytes, dst has " + std::to_string(dst.size())};
  std::vector<std::byte> chunk(static_cast<std::size_t>(std::min(bytes, chunk_bytes)));
  for (Bytes done = 0; done < bytes; done += chunk.size()) {
    auto part = std::span(chunk).first(static_cast<std::size_t>(std::min<Bytes>(chunk.size(), bytes - done)));
    HAL_CHECK(src.buffer->read(src.offset + done, part));
    HAL_CHECK(dst.buffer->write(dst.offset + done, part));
  }
  return ok();
}

}  // namespace switchyard::hal
