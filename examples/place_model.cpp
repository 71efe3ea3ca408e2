// Four verbs: discover what is here, measure it, plan a model on it, run it.
#include <cstdio>

#include "backends/all.h"
#include "kernels/library.h"
#include "probes/discover/discover.h"
#include "probes/measure/measure.h"
#include "scheduler/run/place.h"

using namespace switchyard;

template <class T>
T need(hal::Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "%s\n", hal::describe(result.error()).c_str());
  std::exit(1);
}

int main(int argc, char** argv) {
  models::Model model = need(models::load(argc > 1 ? argv[1] : "granite-4.0-h-350m"));
  scheduler::ExecutorOptions options;
  options.kv = hal::DType::f16;
  scheduler::PlanRequest request = scheduler::request_for(model, options);

  static const kernels::Library kernels;
  std::vector<hal::BackendRef> backends = backends::all({});
  probes::Devices devices(need(probes::discover(backends)), backends, {&kernels, nullptr});

  probes::MeasureOptions measure;
  measure.quick = true;
  for (const scheduler::Unit& unit : request.units) measure.units.push_back({unit.name, unit.segment});
  std::vector<hal::Absence> failed;
  probes::Profile profile = need(probes::measure_machine(devices, measure, failed));

  scheduler::Plan plan = need(scheduler::make_plan(devices.machine(), profile, request));
  std::printf("%s\n", scheduler::explain(plan).c_str());

  auto executor = need(scheduler::run(std::move(model), plan, devices, options));
  auto session = need(executor->create_sequence());
  std::vector<std::int32_t> tokens{1, 2, 3};
  auto logits = need(executor->feed(*session, tokens, scheduler::WantLogits::last));
  std::printf("next token: %d\n", scheduler::greedy(logits));
}
