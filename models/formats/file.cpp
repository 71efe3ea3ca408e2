#include "models/formats/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "models/formats/text.h"

namespace switchyard::models {

using hal::Code;
using hal::Error;

hal::Result<FileRef> File::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    int why = errno;
    return Error{why == ENOENT || why == ENOTDIR ? Code::not_found : Code::io, text(path, ": ", std::strerror(why))};
  }
  struct Close {
    int fd;
    ~Close() { ::close(fd); }
  } close{fd};
  struct stat info {};
  if (::fstat(fd, &info) != 0) return Error{Code::io, text(path, ": ", std::strerror(errno))};
  if (!S_ISREG(info.st_mode)) return Error{Code::io, text(path, ": not a regular file")};
  std::shared_ptr<File> file(new File);
  file->path_ = path;
  file->size_ = static_cast<std::size_t>(info.st_size);
  if (file->size_ != 0) {
    void* data = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      file->size_ = 0;
      return Error{Code::io, text(path, ": cannot be mapped (", info.st_size, " bytes): ", std::strerror(errno))};
    }
    file->data_ = static_cast<const std::byte*>(data);
  }
  Hash hash;
  hash.put(info.st_dev);
  hash.put(info.st_ino);
  hash.put(info.st_size);
  hash.put(info.st_mtim.tv_sec);
  hash.put(info.st_mtim.tv_nsec);
  file->identity_ = hash.value();
  return FileRef(std::move(file));
}

File::~File() {
  if (size_ != 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace switchyard::models
