// The first touch of a vendor's library, in a child that may die or hang without harm.
#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "probes/discover/discover.h"
#include "probes/json.h"

namespace switchyard::probes {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t answer_limit = 16u << 20, errors_limit = 2000;

struct Child {
  pid_t pid = -1;
  int answer_fd = -1, errors_fd = -1;
  std::string answer, errors;
  bool timed_out = false;
  int start_error = 0;
};

// In the child: never returns, runs no exit handlers (they belong to the parent).
[[noreturn]] void run_child(hal::Backend& backend, int answer, int errors) {
  setpgid(0, 0);
#if defined(__linux__)
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT, SIGPIPE}) std::signal(s, SIG_DFL);
  rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  int status = 0;
  try {
    Found found = look(backend);
    Json j{{"doors", Json::array()}, {"absent", Json::array()}};
    for (const Door& d : found.doors) j["doors"].push_back(to_json_value(d));
    for (const hal::Absence& a : found.absent) j["absent"].push_back(to_json_value(a));
    std::string text = text_of(j);
    for (std::size_t at = 0; at < text.size();) {
      ssize_t n = write(answer, text.data() + at, text.size() - at);
      if (n <= 0) _exit(3);
      at += static_cast<std::size_t>(n);
    }
  } catch (const std::exception& e) {
    dprintf(STDERR_FILENO, "exception: %s\n", e.what());
    status = 2;
  } catch (...) {
    status = 2;
  }
  _exit(status);
}

Child start(hal::Backend& backend) {
  Child child;
  int answer[2] = {-1, -1}, errors[2] = {-1, -1};
  if (pipe(answer) != 0) {
    child.start_error = errno;
    return child;
  }
  if (pipe(errors) != 0) {
    child.start_error = errno;
    close(answer[0]);
    close(answer[1]);
    return child;
  }
  for (int fd : {answer[0], answer[1], errors[0], errors[1]}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  child.pid = fork();
  if (child.pid == 0) {
    close(answer[0]);
    close(errors[0]);
    run_child(backend, answer[1], errors[1]);
  }
  if (child.pid < 0) child.start_error = errno;
  close(answer[1]);
  close(errors[1]);
  child.answer_fd = answer[0];
  child.errors_fd = errors[0];
  return child;
}

// Reads what is there; false at the end.
bool drain(int fd, std::string& into, std::size_t limit) {
  char block[4096];
  ssize_t n = read(fd, block, sizeof block);
  if (n <= 0) return n < 0 && errno == EINTR;
  if (into.size() < limit) into.append(block, static_cast<std::size_t>(n));
  return true;
}

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

// Until every child has closed its answer or the time is up.
void collect(std::vector<Child>& children, Clock::time_point deadline) {
  for (;;) {
    std::vector<pollfd> fds;
    std::vector<std::pair<Child*, bool>> owners;
    bool waiting = false;
    for (Child& c : children) {
      waiting = waiting || c.answer_fd >= 0;
      for (bool errors : {false, true})
        if (int fd = errors ? c.errors_fd : c.answer_fd; fd >= 0) {
          fds.push_back({fd, POLLIN, 0});
          owners.emplace_back(&c, errors);
        }
    }
    if (!waiting) return;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return;
    if (poll(fds.data(), static_cast<nfds_t>(fds.size()), static_cast<int>(left)) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (!fds[i].revents) continue;
      auto [child, errors] = owners[i];
      if (!drain(fds[i].fd, errors ? child->errors : child->answer, errors ? errors_limit : answer_limit))
        close_fd(errors ? child->errors_fd : child->answer_fd);
    }
  }
}

// The child's exit status; kills it (and what it started) when it does not end by itself.
int reap(Child& child, Clock::time_point deadline) {
  int status = 0;
  for (;;) {
    pid_t ended = waitpid(child.pid, &status, WNOHANG);
    if (ended == child.pid || (ended < 0 && errno != EINTR)) break;
    if (Clock::now() >= deadline) {
      child.timed_out = child.answer_fd >= 0 || child.answer.empty();
      kill(-child.pid, SIGKILL);
      kill(child.pid, SIGKILL);
      while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
    poll(nullptr, 0, 2);
  }
  if (child.errors_fd >= 0) {
    fcntl(child.errors_fd, F_SETFL, O_NONBLOCK);
    while (child.errors.size() < errors_limit && drain(child.errors_fd, child.errors, errors_limit)) {
    }
  }
  close_fd(child.answer_fd);
  close_fd(child.errors_fd);
  return status;
}

std::string last_words(const std::string& errors) {
  auto end = errors.find_last_not_of(" \n\t");
  if (end == std::string::npos) return "";
  auto begin = errors.rfind('\n', end);
  return "; last words: " + errors.substr(begin == std::string::npos ? 0 : begin + 1,
                                          end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

Found judge(const std::string& api, const Child& child, int status, std::chrono::milliseconds limit) {
  std::string seconds = std::to_string(static_cast<double>(limit.count()) / 1000);
  seconds.erase(seconds.find('.') + 2);
  if (child.start_error)
    return {
        {},
        {{api, "not_looked_at", std::string("no child process could be started: ") + std::strerror(child.start_error),
          "raise the limit on processes (ulimit -u)"}}};
  if (child.timed_out)
    return {{},
            {{api, "timed_out",
              "its driver had not answered after " + seconds + " s and was stopped" + last_words(child.errors),
              "if it is only slow: SWITCHYARD_DISCOVER_SECONDS=30; else repair or remove the driver"}}};
  Json j = Json::parse(child.answer, nullptr, false);
  bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (ended_well && j.is_object()) {
    try {
      Found found;
      for (const Json& d : j.at("doors")) found.doors.push_back(door_from(d));
      for (const Json& a : j.at("absent")) found.absent.push_back(absence_from(a));
      return found;
    } catch (const Json::exception&) {
    }  // an answer of another shape: below
  }
  std::string detail = WIFSIGNALED(status)
                           ? "its driver ended the child process with signal " + std::to_string(WTERMSIG(status)) +
                                 " (" + strsignal(WTERMSIG(status)) + ")"
                           : "its driver ended the child process with status " + std::to_string(WEXITSTATUS(status)) +
                                 " before it had answered";
  return {{},
          {{api, "crashed", detail + last_words(child.errors),
            "update or remove the driver; the other devices work without it"}}};
}

}  // namespace

std::vector<Found> look_in_children(std::span<const hal::BackendRef> backends, std::chrono::milliseconds limit) {
  std::vector<Child> children;
  Clock::time_point deadline = Clock::now() + limit;
  for (const hal::BackendRef& backend : backends) children.push_back(start(*backend));
  collect(children, deadline);
  std::vector<Found> all;
  for (std::size_t i = 0; i < children.size(); ++i) {
    std::string api(backends[i]->name());
    int status = 0;
    if (children[i].pid > 0) {
      // Who has answered need not also shut its driver down in time.
      status = reap(children[i],
                    std::max(deadline, Clock::now() + std::chrono::milliseconds(children[i].answer_fd < 0 ? 200 : 0)));
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !children[i].timed_out && !children[i].answer.empty())
        status = 0;
    }
    all.push_back(judge(api, children[i], status, limit));
  }
  return all;
}

}  // namespace switchyard::probes
#endif
