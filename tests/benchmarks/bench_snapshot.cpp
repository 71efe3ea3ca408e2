// What a snapshot and the journal cost beside the disk. `bench_snapshot FOLDER [MB...]`: saves and loads states of so
// many MB, in turn with a plain write + fsync and a plain read of as many bytes, and appends to a journal without
// fsync.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tests/serve/snapshot_samples.h"

namespace {

using namespace switchyard;
using scheduler::Descriptor;

double seconds(const std::function<bool()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  if (!work()) {
    std::fprintf(stderr, "failed\n");
    std::exit(1);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
// Out of the system's memory, so that the next read comes from the disk.
void forget(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

// Medians of five runs, in turn, as a disk may slow down under what was done just before.
void compare(const char* what, std::size_t bytes, const std::function<void()>& before,
             const std::function<bool()>& ours, const std::function<bool()>& plain) {
  std::array<std::vector<double>, 2> ms;
  for (int run = 0; run < 10; ++run) {
    const bool second = (run + run / 2) % 2;  // a b b a a b b a a b
    before();
    ms[second].push_back(1e3 * seconds(second ? plain : ours));
  }
  for (auto& values : ms) std::sort(values.begin(), values.end());
  std::printf("%6zu MB  %-18s %7.0f ms (%.0f .. %.0f), plain %7.0f ms (%.0f .. %.0f): x %.2f\n", bytes / 1'000'000,
              what, ms[0][2], ms[0][0], ms[0][4], ms[1][2], ms[1][0], ms[1][4], ms[0][2] / ms[1][2]);
}

void snapshots(const std::filesystem::path& folder, std::size_t bytes) {
  const std::filesystem::path path = folder / "bench.snapshot", plain = folder / "bench.plain";
  const scheduler::Snapshot s = test::large_snapshot(bytes, 1);
  const scheduler::LayerState& l = s.state.layers.at(0);
  auto save = [&] { return bool(scheduler::save_snapshot(path, s)); };
  auto plain_write = [&] {
    std::filesystem::remove(plain);
    const Descriptor file(::open(plain.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return scheduler::write_all(file, l.k, plain) && scheduler::write_all(file, l.v, plain) && ::fsync(file.get()) == 0;
  };
  auto load = [&] { return bool(scheduler::load_snapshot(path)); };
  auto plain_read = [&] {
    const Descriptor file(::open(plain.c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<std::byte> all(bytes);
    return bool(scheduler::read_all(file, 0, all, plain));
  };
  auto none = [] {};
  compare("save + fsync", bytes, none, save, plain_write);
  compare(
      "load from disk", bytes, [&] { forget(path), forget(plain); }, load, plain_read);
  compare("load from memory", bytes, none, load, plain_read);
  std::filesystem::remove(path);
  std::filesystem::remove(plain);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "bench_snapshot FOLDER [MB...]\n");
    return 2;
  }
  std::vector<std::size_t> sizes;
  for (int i = 2; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {60, 1000};
  for (std::size_t mb : sizes) snapshots(argv[1], mb * 1'000'000);
}
