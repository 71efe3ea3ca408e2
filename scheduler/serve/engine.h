// Engine: one model, opened once, and many sessions on it at the same time.
//
//   A placement says which device each part of the model runs on. Sessions of one placement share a worker: a thread with
//   an Executor, which reads prompts and makes tokens for all of them in common steps (continuous batching). Placements
//   are opened when the first session wants them; on a device that several use, weights are held once.
//   A device that fails is left alone for a while (longer each time); its sessions go on elsewhere from their logs.
// Any thread. There is no global state: several engines live side by side.
#pragma once
#include "probes/discover/devices.h"
#include "scheduler/run/place.h"
#include "scheduler/serve/metrics.h"
#include "scheduler/serve/session.h"

namespace switchyard::scheduler {

// What happened, as it happens.
struct Event {
  enum class What : std::uint8_t { opened, closed, moved, failed, quarantined, resumed, waiting };
  What what = What::opened;
  std::uint64_t session = 0;  // 0: of a placement or device
  std::string where, text;
};
const char* to_string(Event::What what);

struct EngineOptions : ExecutorOptions {
  std::string pin;  // of sessions without one of their own; empty: placed by measurement
  // A session's state is copied to the host each time it has so many tokens more: what a failure costs to read again.
  // 0: never, everything is read again.
  std::int64_t checkpoint_every = 512;
  // While a session of priority above 0 makes tokens, steps take at most so many times one of it alone.
  double priority_slowdown = 1.75;
  // A step that takes longer than both is given up, and its device with it.
  double late_factor = 10, late_seconds = 5;
  // Seconds that a device that failed is left alone: the first time, doubled each time, at most.
  double first_rest = 1, longest_rest = 60;
  std::function<void(const Event&)> on_event;  // any thread; must not throw, nor call the engine
  // What happens is counted there too; engines may share one. `device` is a placement's, "vulkan:0 + cpu:0".
  std::shared_ptr<Metrics> metrics;
};

struct PlacementReport {
  std::string devices;
  std::int64_t sessions = 0;
  std::uint64_t steps = 0;
  double busy_seconds = 0;
  std::optional<double> predicted_step_seconds;  // decode of one session, by its plan
};

class Engine {
 public:
  // `devices` must outlive the engine. Nothing is opened yet. profile: without one, every session (or the engine)
  // must be pinned to a device.
  static hal::Result<std::unique_ptr<Engine>> open(models::Model model, probes::Devices& devices,
                                                   std::optional<probes::Profile> profile,
                                                   const EngineOptions& options);
  ~Engine();  // ends all submissions (cancelled); sessions that are left refuse all calls
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // invalid_argument: options that make no sense. not_found: a device that is not there. unsupported: strict, with what
  // is declined. out_of_memory: what is missing where. unavailable: a strict pin to a device that rests.
  hal::Result<std::unique_ptr<Session>> create(const SessionOptions& options = {});
  // A session that was saved, by any engine of this model. Of `options` the sampling is the saved one's.
  hal::Result<std::unique_ptr<Session>> load(const std::filesystem::path& path, const SessionOptions& options = {});

  const models::Model& model() const;
  std::vector<PlacementReport> placements() const;
  std::vector<SessionStats> sessions() const;

 private:
  explicit Engine(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace switchyard::scheduler
