#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "probes/json.h"
#include "scheduler/serve/sampling.h"

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;
using Bias = std::vector<std::pair<std::int32_t, float>>;

template <class S, class Visit>
void each_field(S& s, Visit visit) {
  visit("temperature", s.temperature);
  visit("top_k", s.top_k);
  visit("top_p", s.top_p);
  visit("min_p", s.min_p);
  visit("repetition_penalty", s.repetition_penalty);
  visit("repetition_window", s.repetition_window);
  visit("seed", s.seed);
  visit("bias", s.bias);
}

template <class T>
Json json_of(const T& value) {
  return value;
}
Json json_of(const Bias& bias) {
  Json j = Json::array();
  for (const auto& [token, value] : bias)  // JSON has no infinity
    j.push_back({token, std::isinf(value) && value < 0 ? Json("-inf") : Json(value)});
  return j;
}

void expect(bool right, const char* what, const Json& found) {
  if (!right) throw std::invalid_argument("expected " + std::string(what) + ", found " + probes::text_of(found));
}

void read(const Json& j, double& value) {
  expect(j.is_number(), "a number", j);
  value = j.get<double>();
}
void read(const Json& j, std::uint64_t& value) {
  expect(j.is_number_unsigned(), "an integer of 0 to 2^64 - 1", j);
  value = j.get<std::uint64_t>();
}
void read(const Json& j, std::int64_t& value) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  expect(j.is_number_integer() && !(j.is_number_unsigned() && j.get<std::uint64_t>() > most), "an integer of 64 bits",
         j);
  value = j.get<std::int64_t>();
}
void read(const Json& j, float& value) {
  constexpr double most = std::numeric_limits<float>::max();
  expect(j == "-inf" || (j.is_number() && std::abs(j.get<double>()) <= most), "a number of 32 bits or \"-inf\"", j);
  value = j.is_string() ? -std::numeric_limits<float>::infinity() : static_cast<float>(j.get<double>());
}
void read(const Json& j, Bias& bias) {
  expect(j.is_array(), "a list of pairs", j);
  for (const Json& pair : j) {
    expect(pair.is_array() && pair.size() == 2, "a pair of token and number", pair);
    std::int64_t token = 0;
    float value = 0;
    read(pair[0], token);
    read(pair[1], value);
    expect(token >= 0 && token <= std::numeric_limits<std::int32_t>::max(), "a token", pair[0]);
    bias.emplace_back(static_cast<std::int32_t>(token), value);
  }
}

}  // namespace

std::string to_json(const Sampling& sampling) {
  Json j;
  each_field(sampling, [&](const char* name, const auto& value) { j[name] = json_of(value); });
  return probes::text_of(j);
}

hal::Result<Sampling> sampling_from_json(std::string_view text) {
  const auto refused = [](const std::string& what) { return hal::Error{hal::Code::io, "sampling: " + what}; };
  const Json j = Json::parse(text, nullptr, false);
  if (!j.is_object()) return refused("not a JSON object");
  Sampling s;
  std::size_t known = 0;
  std::string name;  // of the field at hand
  try {
    each_field(s, [&](const char* field, auto& value) {
      name = field;
      const auto found = j.find(name);
      if (found == j.end()) return;
      ++known;
      read(*found, value);
    });
  } catch (const std::exception& e) {
    return refused(name + ": " + e.what());
  }
  if (known != j.size()) {
    Json unknown = j;
    each_field(s, [&](const char* field, const auto&) { unknown.erase(field); });
    return refused("unknown field " + probes::text_of(unknown.begin().key()));
  }
  if (const auto right = check(s, std::numeric_limits<std::int32_t>::max()); !right)
    return hal::Error{hal::Code::io, right.error().message};
  return s;
}

}  // namespace switchyard::scheduler
