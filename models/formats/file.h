// File: a read-only memory map of a whole file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hal/result.h"

namespace switchyard::models {

// Any thread. bytes() starts on a page border and stays valid while the object lives. Its size is the one the file had
// when it was opened; a file that is cut while it is mapped ends the process on the next touch, as with every map.
class File {
 public:
  // not_found when it does not exist; io when it cannot be read or is no regular file.
  static hal::Result<std::shared_ptr<const File>> open(const std::string& path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Of this file as it is on this machine now (device, inode, size, time of change); not of its content.
  std::uint64_t identity() const { return identity_; }

 private:
  File() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t identity_ = 0;
};
using FileRef = std::shared_ptr<const File>;

}  // namespace switchyard::models
