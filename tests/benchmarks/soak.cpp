// Sessions opened, forked, moved, rolled back, cancelled and closed at random on all devices, for as long as asked;
// what they say is compared, and the process's memory is watched. scripts/soak runs it.
#include <CLI/CLI.hpp>
#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/support/process.h"
#include "tests/support/serving.h"

using namespace switchyard;
using scheduler::Session;
using test::need;
using Tokens = std::vector<std::int32_t>;

namespace {

struct Arguments {
  std::string model = test::oracle_path("models/moe-hybrid-f32"), json;
  std::vector<std::string> devices;
  double seconds = 60;
  std::int64_t sessions = 200, users = 4;
  std::uint64_t seed = 1;
};

// One conversation kept by a user: its log so far is a prefix of what the model says to `prompt`.
struct Talk {
  std::unique_ptr<Session> session;
  std::size_t kind = 0;
};

int run(const Arguments& a) {
  constexpr int kinds = 16;
  constexpr std::int64_t longest = 48;
  auto devices = test::fleet(test::serving_sims);
  std::vector<std::string> places = a.devices;
  if (places.empty())
    for (const auto* d : devices->machine().doors()) places.push_back(d->info.id);
  scheduler::EngineOptions options;
  options.context = 256;
  options.max_rows = 64;
  auto engine = need(scheduler::Engine::open(need(models::load(a.model)), *devices, std::nullopt, options));

  std::mt19937_64 random(a.seed);
  std::vector<Tokens> prompts, whole;  // whole: prompt and answer
  for (int k = 0; k < kinds; ++k) {
    Tokens prompt;
    for (std::uint64_t n = 1 + random() % 40; n > 0; --n)
      prompt.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(engine->model().config.vocab)));
    scheduler::SessionOptions on;
    on.pin = "cpu:0";
    auto s = need(engine->create(on));
    need(s->submit(prompt, {longest, {}}));
    need(s->wait());
    whole.push_back(need(s->log()));
    prompts.push_back(std::move(prompt));
  }

  std::mutex mutex;  // guards what follows
  std::map<std::string, std::int64_t> did;
  std::int64_t wrong = 0, errors = 0, tokens = 0;
  std::atomic<bool> done{false};
  const auto user = [&](std::uint64_t number) {
    std::mt19937_64 mine(a.seed * 7919 + number);
    std::vector<Talk> talks;
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(a.sessions / a.users, 1));
    const auto note = [&](const char* what, const hal::Status& status) {
      std::lock_guard lock(mutex);
      ++did[what];
      if (status) return;
      ++errors;
      std::fprintf(stderr, "%s: %s\n", what, hal::describe(status.error()).c_str());
    };
    const auto judge = [&](Session& s, std::size_t kind) {
      auto log = s.log();
      const Tokens& all = whole[kind];
      const bool same = log && log->size() <= all.size() && std::equal(log->begin(), log->end(), all.begin());
      std::lock_guard lock(mutex);
      wrong += !same;
    };
    while (!done) {
      const auto any = mine() % 100;
      if (talks.size() < most && (talks.empty() || any < 30)) {
        scheduler::SessionOptions on;
        on.pin = places[mine() % places.size()];
        on.priority = static_cast<int>(mine() % 2);
        auto made = engine->create(on);
        note("open", made ? hal::ok() : hal::Status(made.error()));
        if (made) talks.push_back({std::move(*made), mine() % kinds});
        continue;
      }
      const std::size_t i = mine() % talks.size();
      Session& s = *talks[i].session;
      const std::size_t kind = talks[i].kind;
      const Tokens log = need(s.log());
      if (any < 60) {  // say something more, and wait for it, cancel it, or move meanwhile
        const std::int64_t left = static_cast<std::int64_t>(whole[kind].size()) -
                                  static_cast<std::int64_t>(std::max(log.size(), prompts[kind].size()));
        if (left > 0) {
          const std::int64_t some = 1 + static_cast<std::int64_t>(mine() % static_cast<std::uint64_t>(left));
          auto began = s.submit(
              log.empty() ? std::span<const std::int32_t>(prompts[kind]) : std::span<const std::int32_t>(), {some, {}});
          note("submit", began);
          if (mine() % 4 == 0) {
            auto moved = s.move(places[mine() % places.size()]);
            note("move while it runs", moved ? hal::ok() : hal::Status(moved.error()));
          }
          if (mine() % 5 == 0) note("cancel", s.cancel());
          if (auto ended = s.wait(); !ended) note("wait", hal::Status(ended.error()));
          judge(s, kind);
          std::lock_guard lock(mutex);
          tokens += some;
        }
      } else if (any < 70) {
        auto other = s.fork();
        note("fork", other ? hal::ok() : hal::Status(other.error()));
        if (other && talks.size() < most) talks.push_back({std::move(*other), kind});
      } else if (any < 80) {
        auto moved = s.move(places[mine() % places.size()]);
        note("move", moved ? hal::ok() : hal::Status(moved.error()));
      } else if (any < 88 && log.size() > prompts[kind].size()) {
        note("rollback", s.rollback(static_cast<std::int64_t>(mine() % (log.size() - prompts[kind].size() + 1))));
        judge(s, kind);
      } else if (any >= 88) {
        note("close", s.close());
        talks.erase(talks.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  };

  struct Sample {
    double seconds, memory;
    std::int64_t files;
  };
  std::vector<Sample> samples;
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  {
    std::vector<std::jthread> users;
    for (std::int64_t u = 0; u < a.users; ++u) users.emplace_back(user, static_cast<std::uint64_t>(u));
    const double every = std::clamp(a.seconds / 60, 1.0, 60.0);
    for (double next = every; next <= a.seconds; next += every) {
      std::this_thread::sleep_for(std::chrono::duration<double>(next - elapsed()));
      samples.push_back({elapsed(), test::resident_mb(), test::open_files()});
      std::fprintf(stderr, "%6.0f of %.0f s  %.1f MB\n", elapsed(), a.seconds, samples.back().memory);
    }
    done = true;
  }
  // Of the run's second quarter and its last one: the first opens placements and fills caches.
  const auto median = [&](std::size_t from, std::size_t to) {
    std::vector<double> all;
    for (std::size_t i = from; i < to; ++i) all.push_back(samples[i].memory);
    std::sort(all.begin(), all.end());
    return all.empty() ? 0.0 : all[all.size() / 2];
  };
  const std::size_t n = samples.size();
  const double early = median(n / 4, n / 2), late = median(3 * n / 4, n);
  nlohmann::json result{{"schema", "switchyard.soak/1"},
                        {"seed", a.seed},
                        {"seconds", elapsed()},
                        {"devices", places},
                        {"did", did},
                        {"tokens", tokens},
                        {"logs_that_differ", wrong},
                        {"errors", errors},
                        {"resident_mb", {{"second_quarter", early}, {"last_quarter", late}}},
                        {"open_files", {{"first", n ? samples[0].files : 0}, {"last", n ? samples.back().files : 0}}}};
  if (!a.json.empty()) std::ofstream(a.json) << result.dump(1) << "\n";
  std::printf("%s\n", result.dump(1).c_str());
  return wrong == 0 && errors == 0 && tokens > 0 && late <= early * 1.01 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  CLI::App app{"sessions opened, forked, moved, cancelled and closed at random"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--seconds", a.seconds)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--sessions", a.sessions, "open at once, at most")->capture_default_str();
  app.add_option("--users", a.users, "threads that use them")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--devices", a.devices, "default: all of this machine, and two simulated ones")->delimiter(',');
  app.add_option("--model", a.model)->capture_default_str();
  app.add_option("--seed", a.seed)->capture_default_str();
  app.add_option("--json", a.json, "also write the result here");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(a);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
