#include "backends/remote/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <fstream>

namespace switchyard::backends::remote {

Result<File> memory_file(const char* name, Bytes bytes) {
  File file(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return Error{Code::unavailable, std::string("memfd_create: ") + std::strerror(errno)};
  if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
    return Error{Code::out_of_memory, std::string(name) + ": asked " + std::to_string(bytes) +
                                          " bytes of shared memory, the system says: " + std::strerror(errno)};
  // Nobody can take memory away from under the other side.
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return file;
}

Status commit(const File& file, Bytes bytes) {
  int done;
  do done = fallocate(file.get(), 0, 0, static_cast<off_t>(bytes));
  while (done != 0 && errno == EINTR);
  if (done == 0 || errno == EOPNOTSUPP) return ok();
  return Error{Code::out_of_memory,
               std::to_string(bytes) + " bytes of shared memory, the system says: " + std::strerror(errno)};
}

Result<std::shared_ptr<const Mapping>> Mapping::of(const File& file, Bytes offset, Bytes bytes, Use use) {
  const auto page = static_cast<Bytes>(sysconf(_SC_PAGESIZE));
  const Bytes before = offset % page;
  const auto length = static_cast<std::size_t>(std::max<Bytes>(before + bytes, 1));
  const bool write = use != Use::read;  // giving pages back counts as writing
  void* start = mmap(nullptr, length, write ? PROT_READ | PROT_WRITE : PROT_READ,
                     use == Use::read ? MAP_PRIVATE : MAP_SHARED, file.get(), static_cast<off_t>(offset - before));
  if (start == MAP_FAILED)
    return Error{Code::out_of_memory, "mapping " + std::to_string(bytes) + " bytes: " + std::strerror(errno)};
  auto mapping = std::shared_ptr<Mapping>(new Mapping);
  mapping->start_ = start;
  mapping->length_ = length;
  mapping->use_ = use;
  mapping->bytes_ = {static_cast<std::byte*>(start) + before, static_cast<std::size_t>(bytes)};
  return std::shared_ptr<const Mapping>(mapping);
}

Mapping::~Mapping() {
  if (use_ == Use::read_once) madvise(start_, length_, MADV_REMOVE);
  munmap(start_, length_);
}

std::optional<FileRange> file_behind(std::span<const std::byte> mapped) {
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped.data()), end = begin + mapped.size();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t from = 0, to = 0, offset = 0, inode = 0;
    unsigned major = 0, minor = 0;
    int path = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64 " %n", &from, &to, &offset,
                    &major, &minor, &inode, &path) < 6 ||
        from > begin || begin >= to)
      continue;
    if (end > to || inode == 0 || path == 0) return std::nullopt;
    FileRange range{File(::open(line.c_str() + path, O_RDONLY | O_CLOEXEC)), inode, 0, offset + (begin - from)};
    struct stat status {};
    if (!range.file || fstat(range.file.get(), &status) != 0 || status.st_ino != inode ||
        static_cast<Bytes>(status.st_size) < range.offset + mapped.size())
      return std::nullopt;
    range.device = status.st_dev;
    // Another file system's file of the same number at the same path has other bytes.
    std::byte sample[4096];
    const std::size_t n = std::min(sizeof sample, mapped.size());
    for (const std::size_t at : {std::size_t{0}, mapped.size() - n})
      if (pread(range.file.get(), sample, n, static_cast<off_t>(range.offset + at)) != static_cast<ssize_t>(n) ||
          std::memcmp(sample, mapped.data() + at, n) != 0)
        return std::nullopt;
    return range;
  }
  return std::nullopt;
}

}  // namespace switchyard::backends::remote
