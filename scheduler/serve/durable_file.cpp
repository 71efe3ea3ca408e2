#include "scheduler/serve/durable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace switchyard::scheduler {
namespace {

using hal::Code;
using hal::Error;
using hal::Status;

static_assert(std::endian::native == std::endian::little, "snapshots and journals are written as they lie in memory");

constexpr std::string_view suffix = ".switchyard-part";

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error file_error(const std::filesystem::path& path, const std::string& what, int system_error) {
  return Error{system_error == ENOENT ? Code::not_found : Code::io,
               path.string() + ": " + what + ": " + std::strerror(system_error)};
}

Status write_all(const Descriptor& to, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  const std::size_t all = bytes.size();
  while (!bytes.empty()) {
    const ssize_t n = ::write(to.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return file_error(
          path, "cannot be written (" + std::to_string(bytes.size()) + " of " + std::to_string(all) + " bytes left)",
          errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return hal::ok();
}

Status read_all(const Descriptor& from, std::uint64_t offset, std::span<std::byte> bytes,
                const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(from.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error(path, "cannot be read at byte " + std::to_string(offset), errno);
    if (n == 0)
      return Error{Code::io, path.string() + ": was cut at byte " + std::to_string(offset) + " while it was read, " +
                                 std::to_string(bytes.size()) + " bytes before the end of what was asked for"};
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return hal::ok();
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

Status sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that cannot do it, and so has nothing to be waited for.
  if (opened.get() < 0 || (::fsync(opened.get()) != 0 && errno != EINVAL))
    return file_error(folder, "the folder cannot be brought to the disk", errno);
  return hal::ok();
}

hal::Result<NewFile> NewFile::create(const std::filesystem::path& path) {
  std::string part = path.string() + ".XXXXXX" + std::string(suffix);
  const int fd = ::mkostemps(part.data(), static_cast<int>(suffix.size()), O_APPEND | O_CLOEXEC);
  if (fd < 0) return file_error(path, "no file can be made beside it", errno);
  NewFile file(path, std::move(part), fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return file_error(file.part_, "cannot be locked", errno);
  return file;
}

NewFile::~NewFile() {
  if (file_.get() >= 0 && !renamed_) ::unlink(part_.c_str());
}

Status NewFile::commit() {
  if (::fsync(file_.get()) != 0) return file_error(part_, "cannot be brought to the disk", errno);
  if (::rename(part_.c_str(), path_.c_str()) != 0)
    return file_error(path_, "cannot be put in place of what is there", errno);
  renamed_ = true;
  return sync_folder(folder_of(path_));
}

void remove_unfinished(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().native().ends_with(suffix)) found.push_back(it->path());
  for (const auto& path : found) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() >= 0 && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  }
}

}  // namespace switchyard::scheduler
