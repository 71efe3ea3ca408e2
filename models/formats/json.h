// JSON as Python writes it, of limited size and depth.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "hal/result.h"

namespace switchyard::models {

using Json = nlohmann::json;

// Text up to 16 MiB, 64 levels deep, without duplicate keys. The words Infinity, -Infinity and NaN are read as numbers:
// ask json_number for them. Refusals are Code::io and begin with `name`.
hal::Result<Json> parse_json(std::string_view json, const std::string& name);

// A number, the three words included; empty for anything else.
std::optional<double> json_number(const Json& value);

// Refuses text in which [ and { nest deeper than `levels`, before any parser sees it.
hal::Status check_depth(std::string_view json, int levels, const std::string& name);

// The value as text for an error, cut to 60 characters.
std::string json_text(const Json& value);

}  // namespace switchyard::models
