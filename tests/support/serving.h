// Engines for tests: small whole models of the oracle on devices found and simulated.
#pragma once
#include "backends/all.h"
#include "kernels/library.h"
#include "probes/discover/discover.h"
#include "scheduler/serve/engine.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard::test {

inline const std::vector<std::string> serving_sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

// Devices of this machine, and simulated ones.
inline std::unique_ptr<probes::Devices> fleet(std::vector<hal::BackendRef> backends) {
  static const kernels::Library library;
  probes::DiscoverOptions options;
  options.in_process = true;
  auto machine = probes::discover(backends, options);
  if (!machine) throw std::runtime_error(hal::describe(machine.error()));
  return std::make_unique<probes::Devices>(std::move(*machine), std::move(backends), hal::Host{&library, nullptr});
}
inline std::unique_ptr<probes::Devices> fleet(const std::vector<std::string>& sims = serving_sims) {
  return fleet(backends::all({sims}));
}

inline std::unique_ptr<scheduler::Engine> engine(probes::Devices& devices, scheduler::EngineOptions options = {},
                                                 const std::string& model = "moe-hybrid-f32") {
  auto loaded = models::load(oracle_path("models/" + model));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  options.context = std::min<std::int64_t>(options.context, 512);
  auto made = scheduler::Engine::open(std::move(*loaded), devices, std::nullopt, options);
  if (!made) throw std::runtime_error(hal::describe(made.error()));
  return std::move(*made);
}

// Value, or the test ends with the error's text.
template <class T>
T need(hal::Result<T> result) {
  if (!result) throw std::runtime_error(hal::describe(result.error()));
  return std::move(result).value();
}

}  // namespace switchyard::test
