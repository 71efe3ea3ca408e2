// What the journal costs. `bench_journal FOLDER`: tokens per second appended, one by one and by steps of 32 sessions.
#include <chrono>
#include <cstdio>
#include <ctime>

#include "scheduler/serve/journal.h"

namespace {

using namespace switchyard::scheduler;

void measure(const std::filesystem::path& folder, const char* what, Durability durability, std::uint64_t sessions,
             std::uint64_t steps) {
  const std::filesystem::path path = folder / "bench.journal";
  std::filesystem::remove(path);
  JournalOptions options;
  options.durability = durability;
  auto opened = Journal::open(path, options);
  bool done = bool(opened);
  for (std::uint64_t s = 0; done && s < sessions; ++s) done = bool(opened->journal->open_session(s, "{}"));
  const std::int32_t token = 7;
  std::vector<JournalAppend> step(sessions);
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  for (std::uint64_t i = 0; done && i < steps; ++i) {
    for (std::uint64_t s = 0; s < sessions; ++s) step[s] = {s, i, {&token, 1}};
    done = bool(opened->journal->append(step));
  }
  const double cpu_seconds = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!done) std::exit(1);
  const double tokens = static_cast<double>(sessions * steps);
  std::printf("%-10s %2lu sessions: %9.0f tokens/s, %7.2f us of CPU time per step\n", what,
              static_cast<unsigned long>(sessions), tokens / seconds, 1e6 * cpu_seconds / static_cast<double>(steps));
  opened->journal.reset();
  std::filesystem::remove(path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "bench_journal FOLDER\n");
    return 2;
  }
  for (std::uint64_t sessions : {1, 32}) {
    measure(argv[1], "process", Durability::process, sessions, 1'000'000 / sessions);
    measure(argv[1], "interval", Durability::interval, sessions, 1'000'000 / sessions);
    measure(argv[1], "record", Durability::record, sessions, 100);
  }
}
