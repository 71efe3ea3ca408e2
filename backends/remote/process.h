// A program started with one end of a socket.
#pragma once
#include <sys/types.h>

#include "backends/remote/channel.h"

namespace switchyard::backends::remote {

class Process {
 public:
  // `--fd 3` is put behind the arguments; what the program prints goes to our stderr, and it reads nothing. Ctrl-C in a
  // terminal does not reach it. unavailable: with the program and the system's words.
  static Result<std::unique_ptr<Process>> start(std::vector<std::string> command, File socket);
  ~Process();  // ends it
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  int watch() const { return watch_.get(); }  // can be read once it has ended; -1 where the system has no such thing
  void kill();                                // any thread
  // Waits up to `patience` for the end, then ends it; says how it ended: "was ended by signal 11 (Segmentation fault)".
  // One that hangs inside the system cannot be ended; it is left to itself after two seconds more.
  std::string end(std::chrono::milliseconds patience);

 private:
  explicit Process(pid_t id);

  const pid_t id_;
  File watch_;
  std::mutex mutex_;  // its number is free for another process once it has been waited for
  bool ended_ = false;
  std::string how_;
};

}  // namespace switchyard::backends::remote
