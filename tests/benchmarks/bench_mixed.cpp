// Two devices on a core each, and both together: prompts of several sessions, predicted and measured.
//
//   bench_mixed [DEVICE=opencl:0] [MODEL=h-350m] [WEIGHTS=q8_0]
//
// cpu:0 stays on core 0, the other device (a driver that runs on the CPU) on core 1. Both are measured, then three
// plans are made: each alone, and both. The plans are run in turn, some rounds; one JSON object on stdout.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "backends/all.h"
#include "kernels/library.h"
#include "probes/discover/discover.h"
#include "probes/measure/measure.h"
#include "scheduler/run/pipeline.h"
#include "scheduler/run/place.h"

using namespace switchyard;

namespace {

constexpr std::int64_t sessions = 4, rows = 64, steps = 16;
constexpr int rounds = 3;

template <class T>
T check(hal::Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "%s\n", hal::describe(result.error()).c_str());
  std::exit(1);
}

void run_on(std::initializer_list<int> cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) == 0) return;
  std::fprintf(stderr, "this needs cores 0 and 1\n");
  std::exit(1);
}

// Tokens per second while every session reads `steps` pieces of `rows` tokens: from the end of the first group's first
// step to that of its last, so that all devices are at work.
double measure(scheduler::Executor& executor, std::int64_t groups) {
  std::vector<std::unique_ptr<scheduler::Sequence>> all;
  for (std::int64_t s = 0; s < sessions; ++s) all.push_back(check(executor.create_sequence()));
  const std::vector<std::int32_t> piece(rows, 7);
  const auto each = static_cast<std::size_t>(sessions / groups);
  const auto step_of = [&](std::size_t group) {
    scheduler::GroupStep items;
    for (std::size_t s = group * each; s < (group + 1) * each; ++s)
      items.push_back({all[s].get(), piece, scheduler::WantLogits::last});
    return items;
  };
  std::chrono::steady_clock::time_point first_end, last_end;
  std::vector<scheduler::GroupStep> first;
  for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) first.push_back(step_of(g));
  const auto done = check(scheduler::Pipeline::run(
      executor, std::move(first), [&](std::size_t group, std::int64_t round, const scheduler::StepResult&) {
        if (group == 0) (round ? last_end : first_end) = std::chrono::steady_clock::now();
        return round + 1 < steps ? step_of(group) : scheduler::GroupStep{};
      }));
  const double seconds = std::chrono::duration<double>(last_end - first_end).count();
  for (const auto& group : done.groups)
    if (group.error) check(hal::Result<int>(*group.error));
  return static_cast<double>(sessions * rows * (steps - 1)) / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string other = argc > 1 ? argv[1] : "opencl:0", name = argc > 2 ? argv[2] : "h-350m",
                    weights = argc > 3 ? argv[3] : "q8_0";
  setenv("SWITCHYARD_CPU_CORES", "0", 1);
  setenv("POCL_MAX_PTHREAD_COUNT", "1", 0);
  run_on({1});  // the driver's threads begin with its discovery and stay here
  static const kernels::Library library;
  std::vector<hal::BackendRef> backends = backends::all({});
  probes::DiscoverOptions in_process;
  in_process.in_process = true;
  probes::Machine machine = check(probes::discover(backends, in_process));
  probes::Devices devices(std::move(machine), backends, hal::Host{&library, nullptr});
  check(devices.open(other));
  run_on({0, 1});

  models::LoadOptions load;
  for (auto type : {hal::DType::f32, hal::DType::f16, hal::DType::bf16, hal::DType::q8_0, hal::DType::q4_k})
    if (weights == hal::to_string(type)) load.weights = type;
  scheduler::ExecutorOptions options;
  options.context = rows * steps;
  models::Model model = check(models::load(name, load));
  scheduler::PlanRequest request = scheduler::request_for(model, options);
  request.mode = scheduler::Mode::throughput;
  request.context = rows * (steps / 2 + 1);  // in the middle of the prompts
  request.sessions = sessions;
  request.rows = rows;
  request.effort = 10;

  probes::MeasureOptions what;
  what.quick = true;
  what.device_seconds = 60;
  what.devices = {"cpu:0", other};
  what.steps.clear();
  for (std::int64_t together : {1, 2, 4})
    what.steps.push_back({together * rows, together, request.context - rows, together});
  for (const scheduler::Unit& u : request.units) what.units.push_back({u.name, u.segment});
  std::vector<hal::Absence> failed;
  const probes::Profile profile = check(probes::measure_machine(devices, what, failed));

  struct Way {
    std::string device;
    scheduler::Plan plan;
    std::unique_ptr<scheduler::Executor> executor;
    std::vector<double> measured;
  };
  std::vector<Way> ways;
  for (const std::string& device : {std::string("cpu:0"), other, std::string()}) {
    request.device = device;
    scheduler::Plan plan = check(scheduler::make_plan(devices.machine(), profile, request));
    auto executor = check(scheduler::run(check(models::load(name, load)), plan, devices, options));
    std::fprintf(stderr, "%s", scheduler::explain(plan).c_str());
    ways.push_back({device.empty() ? "both" : device, std::move(plan), std::move(executor), {}});
  }
  for (int round = -1; round < rounds; ++round)  // the first warms up
    for (Way& way : ways) {
      const double rate = measure(*way.executor, way.plan.groups);
      if (round >= 0) way.measured.push_back(rate);
    }
  nlohmann::json out{{"schema", "switchyard.bench_mixed/1"},
                     {"model", model.name},
                     {"weights", weights},
                     {"sessions", sessions},
                     {"rows", rows},
                     {"ways", nlohmann::json::array()}};
  double single = 0;
  for (Way& way : ways) {
    std::sort(way.measured.begin(), way.measured.end());
    const double median = way.measured[rounds / 2];
    if (way.device != "both") single = std::max(single, median);
    out["ways"].push_back({{"device", way.device},
                           {"groups", way.plan.groups},
                           {"predicted", way.plan.tokens_per_second},
                           {"tokens_per_second", way.measured},
                           {"off", way.plan.tokens_per_second / median - 1}});
    if (way.device == "both") out["over_better_single"] = median / single;
  }
  for (const probes::Contention& c : profile.contention)
    out["contention"].push_back(
        {{"device", c.device}, {"beside", c.beside}, {"reads", c.reads}, {"arithmetic", c.arithmetic}});
  std::printf("%s\n", out.dump(2).c_str());
}
