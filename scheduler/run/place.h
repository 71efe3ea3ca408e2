// From a model to a plan's units, and from a plan to an executor.
#pragma once
#include "probes/discover/devices.h"
#include "scheduler/plan/plan.h"
#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

// The chain that a plan places: the very segments an executor with these options compiles.
std::vector<Unit> units_of(const models::Model& model, const StageOptions& options);

// A request for `model` with its units and sizes filled in from the options; sessions, mode and pins are the caller's.
PlanRequest request_for(const models::Model& model, const StageOptions& options);

// The model on the plan's devices, with the memory the plan counts unless options.sessions says otherwise. `open` gives
// a device by its id. invalid_argument: a plan made for another model.
using OpenDevice = std::function<hal::Result<hal::DeviceRef>(const std::string& id)>;
hal::Result<std::unique_ptr<Executor>> run(models::Model model, const Plan& plan, const OpenDevice& open,
                                           const ExecutorOptions& options);
hal::Result<std::unique_ptr<Executor>> run(models::Model model, const Plan& plan, probes::Devices& devices,
                                           const ExecutorOptions& options);

}  // namespace switchyard::scheduler
