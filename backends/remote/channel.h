// Messages with files over a Unix socket, the same on both sides.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "backends/remote/messages.h"

namespace switchyard::backends::remote {

// A file descriptor that is closed with its owner.
class File {
 public:
  explicit File(int fd = -1) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Two connected sockets; no program that is started inherits them.
Result<std::pair<File, File>> make_sockets();

struct Message {
  Header header;
  std::string bytes;
  std::vector<File> files;
};

constexpr std::size_t most_files = 250;  // of one message; the system takes 253

class Channel {
 public:
  static Result<std::unique_ptr<Channel>> open(File socket);

  // Any thread; never blocks: what the socket does not take at once is kept, and sent by pump(). A channel that has
  // ended swallows it.
  void send(Say say, std::uint64_t number, std::string_view bytes, std::vector<File> files = {});
  // No more is sent; the other side sees the end once it has read the rest.
  void close();

  enum class State : std::uint8_t { open, ended, broken };
  // One thread. Waits up to `patience`; sends what was kept, reads what is there and hands it over, message by message.
  // ended: nothing more will come, or `end` (a descriptor, or -1) can be read and all that came before has been.
  // broken: what came is no message, or `take` says false.
  State pump(std::chrono::milliseconds patience, int end, const std::function<bool(Message)>& take);

 private:
  struct Outgoing {
    std::string bytes;  // header and all
    std::vector<File> files;
    std::size_t sent = 0;
  };
  Channel(File socket, File woken) : socket_(std::move(socket)), woken_(std::move(woken)) {}
  void flush();       // under mutex_
  void wake() const;  // the thread in pump()
  State drain(const std::function<bool(Message)>& take);

  File socket_, woken_;
  std::mutex mutex_;
  std::deque<Outgoing> kept_;
  bool closing_ = false, shut_ = false;

  std::string arrived_;  // of the reading thread: bytes of messages that are not whole
  std::deque<File> arrived_files_;
};

}  // namespace switchyard::backends::remote
