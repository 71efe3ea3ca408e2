// Memory and files that both processes see.
#pragma once
#include <memory>
#include <span>

#include "backends/remote/channel.h"

namespace switchyard::backends::remote {

// A file without a name, in memory: zeros, of fixed size, taken from the system page by page as it is touched.
Result<File> memory_file(const char* name, Bytes bytes);
// Takes all of it at once; out_of_memory where there is no room.
Status commit(const File& file, Bytes bytes);

class Mapping {
 public:
  enum class Use : std::uint8_t {
    read,       // of a file
    read_once,  // of a memory_file: its pages are given back to the system with the mapping
    shared,     // read and written on both sides
  };
  // [offset, offset + bytes) of the file; any offset.
  static Result<std::shared_ptr<const Mapping>> of(const File& file, Bytes offset, Bytes bytes, Use use);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::span<std::byte> bytes() const { return bytes_; }  // writable only where shared

 private:
  Mapping() = default;
  void* start_ = nullptr;
  std::size_t length_ = 0;
  Use use_ = Use::read;
  std::span<std::byte> bytes_;
};

// The file behind memory of a file's read-only map, and where in it the memory begins. Nothing where it cannot be told
// for sure, as after the file was replaced.
struct FileRange {
  File file;
  std::uint64_t inode = 0, device = 0;
  Bytes offset = 0;
};
std::optional<FileRange> file_behind(std::span<const std::byte> mapped);

}  // namespace switchyard::backends::remote
