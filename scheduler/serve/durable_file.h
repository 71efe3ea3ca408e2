// What snapshots and the journal have in common: checksums, and files that are replaced whole or not at all.
// Errors are io and name the file and the system's reason.
#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "hal/result.h"

namespace switchyard::scheduler {

// XXH3, 64 bits: finds damage, proves no origin. With the offset as seed, the same bytes at another place differ.
std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed);

class Descriptor {  // of an open file, closed when it dies
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

hal::Error file_error(const std::filesystem::path& path, const std::string& what, int system_error);
hal::Status write_all(const Descriptor& to, std::span<const std::byte> bytes, const std::filesystem::path& path);
// As many bytes as there are room for, from `offset` on.
hal::Status read_all(const Descriptor& from, std::uint64_t offset, std::span<std::byte> bytes,
                     const std::filesystem::path& path);
std::filesystem::path folder_of(const std::filesystem::path& path);
hal::Status sync_folder(const std::filesystem::path& folder);

// A file in the making, beside the one it will replace, with the name PATH.XXXXXX.switchyard-part; only its owner may
// read it, as conversations are private. It is locked (flock) and, unless committed, removed when it dies.
class NewFile {
 public:
  static hal::Result<NewFile> create(const std::filesystem::path& path);
  NewFile(NewFile&& other) noexcept = default;
  ~NewFile();
  hal::Status write(std::span<const std::byte> bytes) { return write_all(file_, bytes, part_); }
  // Its bytes are on the disk, then it has the name `path`, then the folder is on the disk.
  hal::Status commit();
  bool renamed() const { return renamed_; }          // also where commit failed: the folder could not be synced
  Descriptor take() && { return std::move(file_); }  // of the committed file: opened for appending, locked

 private:
  NewFile(std::filesystem::path path, std::string part, int fd)
      : path_(std::move(path)), part_(std::move(part)), file_(fd) {}
  std::filesystem::path path_;
  std::string part_;
  Descriptor file_;
  bool renamed_ = false;
};

// Removes the files in the making that processes left in `folder` as they died; those still written are kept.
void remove_unfinished(const std::filesystem::path& folder);

}  // namespace switchyard::scheduler
