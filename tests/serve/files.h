// What tests of files need: a folder of their own, disks that are full, processes that are killed.
#pragma once
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace switchyard::test {

// A sanitizer takes memory of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool sanitized = false;
#endif

class FileTest : public testing::Test {
 protected:
  explicit FileTest(std::filesystem::path in = std::filesystem::temp_directory_path()) {
    std::string name = (in / "switchyard-serve-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
    folder_ = name;
  }
  ~FileTest() override {
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
    std::filesystem::remove_all(folder_);
  }
  // "a b ": what lies in the folder.
  std::string names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) found.insert(entry.path().filename());
    std::string all;
    for (const std::string& name : found) all += name + " ";
    return all;
  }
  static std::string content(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put(const std::filesystem::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }

  // In memory where that can be, so that a process spends its time anywhere but in fsync.
  static std::filesystem::path quick() {
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
  }

  std::filesystem::path folder_;
};

// While it lives, no file of this process grows beyond `bytes`: a write fails there, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit now{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*old_handler_)(int);
  rlimit old_{};
};

// While it lives, a process of the superuser has nobody's rights. False: it could not give them up.
class AsNobody {
 public:
  AsNobody() : root_(geteuid() == 0), done_(!root_ || seteuid(65534) == 0) {}
  ~AsNobody() {
    if (root_ && done_) done_ = seteuid(0) == 0;
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  explicit operator bool() const { return done_; }

 private:
  bool root_, done_;
};

// What `work` returns in a process of its own.
template <class Work>
int in_child(const Work& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

// Starts `work` in a process of its own and kills it, at any instruction, `time` after ready() is true.
template <class Work, class Ready>
void killed_after(std::chrono::microseconds time, const Work& work, const Ready& ready) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  ASSERT_GT(child, 0);
  const auto given_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!ready() && std::chrono::steady_clock::now() < given_up) std::this_thread::yield();
  std::this_thread::sleep_for(time);
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "ended by itself";
}

// In a child: mounts an empty disk on `folder`, for this process alone; `options` as "size=1m".
inline bool small_disk(const std::filesystem::path& folder, const char* options) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", folder.c_str(), "tmpfs", 0, options) == 0;
}

}  // namespace switchyard::test
