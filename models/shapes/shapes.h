// Shapes: published model sizes, so that planning and benchmarks need no file.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/granite_hybrid/weights.h"

namespace switchyard::models {

// Full names: "granite-4.0-h-tiny".
std::vector<std::string> shape_names();

// Full or short name ("h-tiny"); empty for an unknown one.
std::optional<Config> find_shape(std::string_view name);
std::optional<std::string> full_shape_name(std::string_view name);

// A model of that shape with weights of options.weights from options.seed, ready to run; with options.no_data sizes and
// types only. As converters do, a block type shorter than 8 bits takes q6_k for the embedding, and routers are f32.
// not_found lists the names; invalid_argument when options.weights is no weight type; out_of_memory with the bytes
// asked.
hal::Result<Model> load_shape(std::string_view name, const LoadOptions& options);

}  // namespace switchyard::models
