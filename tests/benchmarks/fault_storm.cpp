// Sessions under a storm of faults: every token of every conversation is compared with a run on a device that is well.
// scripts/fault_storm runs it.

#include <CLI/CLI.hpp>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/support/faults.h"
#include "tests/support/process.h"
#include "tests/support/serving.h"

using namespace switchyard;
using scheduler::Session;
using test::Fault;
using test::need;
using Tokens = std::vector<std::int32_t>;

namespace {

struct Arguments {
  std::string model = test::oracle_path("models/moe-hybrid-f32"), json;
  std::vector<std::string> devices{"sim:kernel", "sim:graph"};
  std::int64_t faults = 1000, sessions = 6;
  std::uint64_t seed = 1;
};

// When faults come: about one in `rare` submissions, in turn of each sort, at random.
struct Storm {
  explicit Storm(std::uint64_t seed) : random(seed) {}
  Fault next(const std::string& device, test::Moment moment) {
    if (device == "cpu:0" || calm) return Fault::none;
    std::lock_guard lock(mutex);
    const bool memory = moment == test::Moment::allocation;
    if (std::uniform_int_distribution<int>(1, memory ? 40 : rare)(random) > 1) return Fault::none;
    const Fault fault = memory                                                   ? Fault::no_memory
                        : std::uniform_int_distribution<int>(1, 50)(random) == 1 ? Fault::hang
                        : std::uniform_int_distribution<int>(0, 1)(random)       ? Fault::lost
                                                                                 : Fault::lost_late;
    ++counts[test::to_string(fault)];
    ++all;
    return fault;
  }
  static constexpr int rare = 12;
  std::mutex mutex;
  std::mt19937_64 random;
  std::map<std::string, std::int64_t> counts;
  std::atomic<std::int64_t> all{0};
  std::atomic<bool> calm{false};
};

std::unique_ptr<scheduler::Engine> engine_of(const Arguments& a, probes::Devices& devices,
                                             const scheduler::EngineOptions& options) {
  return need(scheduler::Engine::open(need(models::load(a.model)), devices, std::nullopt, options));
}

int run(const Arguments& a) {
  std::mt19937_64 random(a.seed);
  const auto whole = [&](std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random);
  };
  // What every conversation should say: prompts and answers in turns, on a device that is well.
  constexpr int kinds = 24, turns = 3;
  struct Turn {
    Tokens prompt, answer;
  };
  std::vector<std::vector<Turn>> want(kinds);
  auto well = test::fleet(test::serving_sims);
  scheduler::EngineOptions options;
  options.context = 512;
  options.max_rows = 64;
  {
    auto engine = engine_of(a, *well, options);
    for (auto& talk : want) {
      scheduler::SessionOptions on;
      on.pin = "cpu:0";
      auto s = need(engine->create(on));
      for (int t = 0; t < turns; ++t) {
        Turn turn;
        for (std::int64_t i = whole(1, 60); i > 0; --i)
          turn.prompt.push_back(static_cast<std::int32_t>(whole(0, engine->model().config.vocab - 1)));
        need(s->submit(turn.prompt, {whole(1, 40), {}}));
        turn.answer = need(s->wait()).tokens;
        talk.push_back(std::move(turn));
      }
    }
  }

  Storm storm(a.seed);
  auto devices = test::fleet(test::faulty(backends::all({test::serving_sims}),
                                          [&](const std::string& d, test::Moment m) { return storm.next(d, m); }));
  options.first_rest = 0.001;
  options.longest_rest = 0.01;
  options.late_factor = 1;
  options.late_seconds = 0.25;
  options.checkpoint_every = 16;
  std::atomic<std::int64_t> resumed{0}, moved{0};
  options.on_event = [&](const scheduler::Event& e) {
    resumed += e.what == scheduler::Event::What::resumed;
    moved += e.what == scheduler::Event::What::moved;
  };
  std::atomic<std::int64_t> tokens{0}, wrong{0}, talks{0}, errors{0};
  double memory_before = 0;
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t files_before = 0;
  {
    auto engine = engine_of(a, *devices, options);
    std::atomic<bool> done{false};
    std::jthread resets([&] {
      while (!done) {
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        test::release_hung();
      }
    });
    std::mutex said;
    std::vector<std::jthread> users;
    for (std::int64_t u = 0; u < a.sessions; ++u)
      users.emplace_back([&, u] {
        std::mt19937_64 mine(a.seed * 1000 + static_cast<std::uint64_t>(u));
        while (storm.all < a.faults) {
          const auto& talk = want[mine() % want.size()];
          scheduler::SessionOptions on;
          on.pin = a.devices[mine() % a.devices.size()];
          auto session = engine->create(on);
          if (!session) {
            ++errors;
            continue;
          }
          for (const Turn& turn : talk) {
            Tokens got;
            auto began = (*session)->submit(
                turn.prompt, {static_cast<std::int64_t>(turn.answer.size()), {}},
                [&](const scheduler::Piece& p) { got.insert(got.end(), p.tokens.begin(), p.tokens.end()); });
            if (began && mine() % 4 == 0) (void)(*session)->move(a.devices[mine() % a.devices.size()]);
            auto ended = began ? (*session)->wait() : hal::Result<scheduler::Piece>(began.error());
            if (!ended) {
              std::lock_guard lock(said);
              std::fprintf(stderr, "a submission ended with %s\n", hal::describe(ended.error()).c_str());
              ++errors;
              break;
            }
            tokens += static_cast<std::int64_t>(turn.answer.size());
            wrong += got != turn.answer;
          }
          if (++talks == 20) {
            memory_before = test::resident_mb();
            files_before = test::open_files();
          }
        }
      });
    for (auto& u : users) u.join();
    done = true;
  }
  test::release_hung();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double memory = test::resident_mb();
  nlohmann::json result{{"schema", "switchyard.fault_storm/1"},
                        {"seed", a.seed},
                        {"faults", storm.all.load()},
                        {"by_sort", storm.counts},
                        {"conversations", talks.load()},
                        {"tokens", tokens.load()},
                        {"answers_that_differ", wrong.load()},
                        {"errors", errors.load()},
                        {"resumed", resumed.load()},
                        {"moved", moved.load()},
                        {"seconds", seconds},
                        {"resident_mb", {{"after_20_conversations", memory_before}, {"at_the_end", memory}}},
                        {"open_files", {{"after_20_conversations", files_before}, {"at_the_end", test::open_files()}}}};
  if (!a.json.empty()) std::ofstream(a.json) << result.dump(1) << "\n";
  std::printf("%s\n", result.dump(1).c_str());
  return wrong == 0 && errors == 0 && tokens > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  CLI::App app{"sessions under a storm of faults"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--faults", a.faults, "how many to inject, at least")->capture_default_str();
  app.add_option("--sessions", a.sessions, "at once")->capture_default_str();
  app.add_option("--devices", a.devices, "that fail; cpu:0 never does")->delimiter(',')->capture_default_str();
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
