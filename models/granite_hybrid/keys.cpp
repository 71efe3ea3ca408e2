#include "models/granite_hybrid/keys.h"

#include <cmath>

#include "models/formats/text.h"

namespace switchyard::models {

void Keys::refuse(const std::string& key, const std::string& found, const std::string& expected) {
  if (!error_) error_ = hal::Error{hal::Code::io, text(name_, ": ", key, " is ", found, "; expected ", expected)};
}

std::int64_t Keys::integer(const std::string& key, std::int64_t low, std::int64_t high,
                           std::optional<std::int64_t> fallback) {
  Found f = find_(key);
  if (!f.present && fallback) return *fallback;
  if (f.integer && *f.integer >= low && *f.integer <= high) return *f.integer;
  refuse(key, f.present ? f.shown : "missing", text("a whole number from ", low, " to ", high));
  return low;
}

float Keys::positive(const std::string& key, double high, std::optional<double> fallback) {
  Found f = find_(key);
  if (!f.present && fallback) return static_cast<float>(*fallback);
  // Written so that a NaN is refused. Numbers that a float cannot hold would be 0.
  if (f.number && *f.number <= high && *f.number > 0 && static_cast<float>(*f.number) > 0)
    return static_cast<float>(*f.number);
  refuse(key, f.present ? f.shown : "missing", text("a number above 0, at most ", high));
  return 1;
}

bool Keys::boolean(const std::string& key, bool fallback) {
  Found f = find_(key);
  if (!f.present) return fallback;
  if (!f.boolean) refuse(key, f.shown, "true or false");
  return f.boolean.value_or(fallback);
}

std::string Keys::word(const std::string& key, const std::string& fallback) {
  Found f = find_(key);
  if (!f.present) return fallback;
  if (!f.string) refuse(key, f.shown, "a string");
  return f.string.value_or(fallback);
}

}  // namespace switchyard::models
