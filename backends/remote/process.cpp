#include "backends/remote/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace switchyard::backends::remote {

Process::Process(pid_t id) : id_(id), watch_(static_cast<int>(syscall(SYS_pidfd_open, id, 0))) {}

Result<std::unique_ptr<Process>> Process::start(std::vector<std::string> command, File socket) {
  constexpr int there = 3;
  command.insert(command.end(), {"--fd", std::to_string(there)});
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, socket.get(), there);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  sigemptyset(&none);
  sigfillset(&usual);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t id = -1;
  const int failed = posix_spawnp(&id, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed)
    return Error{Code::unavailable, "starting " + command[0] + " as a host process: " + std::strerror(failed)};
  return std::unique_ptr<Process>(new Process(id));
}

Process::~Process() {
  end(std::chrono::milliseconds(0));
  if (!ended_) std::thread([id = id_] { waitpid(id, nullptr, 0); }).detach();
}

void Process::kill() {
  std::lock_guard lock(mutex_);
  if (!ended_) ::kill(id_, SIGKILL);
}

std::string Process::end(std::chrono::milliseconds patience) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (bool killed = false;;) {
    {
      std::lock_guard lock(mutex_);
      if (ended_) return how_;
      int status = 0;
      const pid_t waited = waitpid(id_, &status, WNOHANG);
      if (waited < 0 && errno != EINTR) how_ = "ended unseen";  // the application waits for all its children
      if (waited == id_ && WIFEXITED(status)) how_ = "exited with code " + std::to_string(WEXITSTATUS(status));
      if (waited == id_ && WIFSIGNALED(status))
        how_ = "was ended by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
      ended_ = !how_.empty();
      if (ended_) return how_;
      const auto now = std::chrono::steady_clock::now();
      if (!killed && now >= limit) {
        ::kill(id_, SIGKILL);
        killed = true;
      }
      if (now >= limit + std::chrono::seconds(2)) return "does not end, though killed";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace switchyard::backends::remote
