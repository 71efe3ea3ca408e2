#include "scheduler/run/place.h"

namespace switchyard::scheduler {

using namespace hal;

std::vector<Unit> units_of(const models::Model& model, const StageOptions& options) {
  std::vector<Unit> units;
  models::StepShape shape = step_shape(options);  // costs are those of units that do not report their routing
  shape.routing = false;
  const std::int64_t tokens = shape.pages_per_sequence * shape.page_size;  // whole pages
  for (std::int64_t u = 0; u < models::unit_count(model); ++u) {
    const Bytes recurrent = models::state_bytes(model, u, 0, options.kv);
    units.push_back({models::unit_name(model, u), models::unit_kind(model, u), models::part_of(model, u).layer,
                     models::build_segment(model, u, u + 1, shape).segment,
                     models::state_bytes(model, u, tokens, options.kv), recurrent,
                     recurrent * static_cast<Bytes>(kept_states(options))});
    if (options.rewind == 0 || recurrent == 0) continue;
    const auto rounded = [](std::int64_t numbers) {  // up to the alignment of any device
      return (static_cast<Bytes>(numbers) * 4 + 255) / 256 * 256;
    };
    units.back().kept += rewind_states * rounded(options.rewind * models::scanned_columns(model.config));
    units.back().kept_once = rounded(scanned_rows(options) * model.config.in_proj_rows());
  }
  return units;
}

PlanRequest request_for(const models::Model& model, const StageOptions& options) {
  PlanRequest request;
  request.model = model.name;
  request.model_hash = model.content_hash;
  request.units = units_of(model, options);
  request.context = options.context;
  request.chunk = options.max_rows;
  request.max_sequences = options.max_sequences;
  return request;
}

Result<std::unique_ptr<Executor>> run(models::Model model, const Plan& plan, const OpenDevice& open,
                                      const ExecutorOptions& options) {
  if (plan.model_hash != model.content_hash)
    return Error{Code::invalid_argument, "the plan was made for " + plan.model + " (" +
                                             std::to_string(plan.model_hash) + "), this model is " + model.name + " (" +
                                             std::to_string(model.content_hash) + "): make a plan for it"};
  std::vector<DeviceRef> opened;
  for (const std::string& id : plan.devices()) {
    HAL_TRY(DeviceRef device, open(id));
    opened.push_back(std::move(device));
  }
  ExecutorOptions planned = options;
  for (std::size_t u = 0; u < plan.layers.size(); ++u)
    if (const auto& experts = plan.layers[u].experts) {
      HAL_TRY(DeviceRef other, open(experts->device));
      planned.experts[models::part_of(model, static_cast<std::int64_t>(u)).layer] = {std::move(other), experts->chosen};
    }
  if (planned.sessions == 0) planned.sessions = plan.sessions;
  return Executor::open(std::move(model), std::move(opened), planned);
}

Result<std::unique_ptr<Executor>> run(models::Model model, const Plan& plan, probes::Devices& devices,
                                      const ExecutorOptions& options) {
  return run(
      std::move(model), plan, [&](const std::string& id) { return devices.open(id); }, options);
}

}  // namespace switchyard::scheduler
