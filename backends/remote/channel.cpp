#include "backends/remote/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace switchyard::backends::remote {
namespace {

constexpr std::uint32_t most_bytes = 256 << 20;  // of one message; a segment of a whole model is below one MiB

}  // namespace

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::pair<File, File>> make_sockets() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return Error{Code::unavailable, std::string("socketpair: ") + std::strerror(errno)};
  return std::pair(File(pair[0]), File(pair[1]));
}

Result<std::unique_ptr<Channel>> Channel::open(File socket) {
  File wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return Error{Code::unavailable, std::string("eventfd: ") + std::strerror(errno)};
  return std::unique_ptr<Channel>(new Channel(std::move(socket), std::move(wake)));
}

void Channel::send(Say say, std::uint64_t number, std::string_view bytes, std::vector<File> files) {
  const Header header{static_cast<std::uint32_t>(bytes.size()), say, static_cast<std::uint16_t>(files.size()), number};
  std::string all(reinterpret_cast<const char*>(&header), sizeof header);
  all += bytes;
  std::lock_guard lock(mutex_);
  if (closing_) return;
  kept_.push_back({std::move(all), std::move(files), 0});
  if (kept_.size() > 1) return;  // the reading thread is at it
  flush();
  if (!kept_.empty()) wake();
}

void Channel::wake() const {
  const std::uint64_t one = 1;
  if (::write(woken_.get(), &one, sizeof one) < 0) return;  // it has been woken very often, and not looked yet
}

void Channel::close() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  flush();
  wake();
}

void Channel::flush() {
  while (!kept_.empty()) {
    Outgoing& out = kept_.front();
    iovec part{out.bytes.data() + out.sent, out.bytes.size() - out.sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(most_files * sizeof(int))] = {};
    if (!out.files.empty()) {  // they go with the first byte
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(out.files.size() * sizeof(int));
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(out.files.size() * sizeof(int));
      for (std::size_t i = 0; i < out.files.size(); ++i) {
        const int fd = out.files[i].get();
        std::memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
      }
    }
    const ssize_t n = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) {  // the other side is gone; the reading thread sees that too
      kept_.clear();
      break;
    }
    out.files.clear();
    out.sent += static_cast<std::size_t>(n);
    if (out.sent == out.bytes.size()) kept_.pop_front();
  }
  if (closing_ && !shut_) {
    shut_ = true;
    shutdown(socket_.get(), SHUT_WR);
  }
}

Channel::State Channel::pump(std::chrono::milliseconds patience, int end, const std::function<bool(Message)>& take) {
  pollfd watched[3] = {{socket_.get(), POLLIN, 0}, {woken_.get(), POLLIN, 0}, {end, POLLIN, 0}};
  {
    std::lock_guard lock(mutex_);
    if (!kept_.empty()) watched[0].events |= POLLOUT;
  }
  poll(watched, 3, static_cast<int>(patience.count()));
  if (watched[1].revents) {
    std::uint64_t count;
    if (::read(woken_.get(), &count, sizeof count) < 0) count = 0;
  }
  if (watched[0].revents & POLLOUT) {
    std::lock_guard lock(mutex_);
    flush();
  }
  const bool end_seen = watched[2].revents != 0;
  if (!end_seen && !(watched[0].revents & (POLLIN | POLLHUP | POLLERR))) return State::open;
  const State state = drain(take);
  return state == State::open && end_seen ? State::ended : state;
}

Channel::State Channel::drain(const std::function<bool(Message)>& take) {
  for (;;) {
    constexpr std::size_t room = 64 << 10;
    const std::size_t had = arrived_.size();
    arrived_.resize(had + room);
    iovec part{arrived_.data() + had, room};
    alignas(cmsghdr) char control[CMSG_SPACE(most_files * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    arrived_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::open;
    if (n <= 0) return State::ended;  // also a reset: what came before it has been read
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        arrived_files_.emplace_back(fd);
      }
    }
    if (message.msg_flags & MSG_CTRUNC) return State::broken;

    std::size_t at = 0;
    while (arrived_.size() - at >= sizeof(Header)) {
      Message whole;
      std::memcpy(&whole.header, arrived_.data() + at, sizeof(Header));
      if (whole.header.bytes > most_bytes || whole.header.files > most_files) return State::broken;
      if (arrived_.size() - at - sizeof(Header) < whole.header.bytes) break;
      whole.bytes.assign(arrived_, at + sizeof(Header), whole.header.bytes);
      at += sizeof(Header) + whole.header.bytes;
      for (std::uint16_t i = 0; i < whole.header.files; ++i) {
        if (arrived_files_.empty()) return State::broken;
        whole.files.push_back(std::move(arrived_files_.front()));
        arrived_files_.pop_front();
      }
      if (!take(std::move(whole))) return State::broken;
    }
    arrived_.erase(0, at);
  }
}

}  // namespace switchyard::backends::remote
