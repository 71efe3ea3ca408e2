// Slots: which tensor of a file goes where, with the shape it must have. The one list behind every way of loading.
#pragma once
#include <string>
#include <vector>

#include "models/granite_hybrid/weights.h"

namespace switchyard::models {

// matrix: kept as it is. The others become f32: values as they are, or a = -exp(value).
enum class Role : std::uint8_t { matrix, vector, decay, decay_log };

struct Slot {
  Weight* to = nullptr;
  std::vector<std::string> names;    // of the tensor; any of them, but only one in a file
  std::vector<std::int64_t> source;  // its row-major shape, sizes of 1 not counted
  std::vector<std::int64_t> shape;   // of the weight
  Role role = Role::matrix;
  std::int64_t first_row = 0;  // where the weight begins in the tensor: two weights may share one
};

// Slots of all weights that `model.config` has; they point into `model`, whose layers are resized to fit.
// fused_experts: the file holds experts_gate_up (some converters) instead of experts_gate and experts_up.
std::vector<Slot> checkpoint_slots(Model& model);
std::vector<Slot> gguf_slots(Model& model, bool fused_experts);

}  // namespace switchyard::models
