// Keys: reads checked numbers from a config.json or a GGUF's metadata alike.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "hal/result.h"

namespace switchyard::models {

// What a key holds, in each form it can be read as. Absent and null are the same: present is false.
struct Found {
  bool present = false;
  std::optional<std::int64_t> integer;
  std::optional<double> number;
  std::optional<bool> boolean;
  std::optional<std::string> string;
  std::string shown;  // for errors
};

// Keeps the first refusal; after it every read gives its lowest value, so that a reader checks status() once per step.
class Keys {
 public:
  Keys(std::string name, std::function<Found(const std::string&)> find)
      : name_(std::move(name)), find_(std::move(find)) {}

  // Whole, low <= n <= high. Without a fallback the key must be there.
  std::int64_t integer(const std::string& key, std::int64_t low, std::int64_t high,
                       std::optional<std::int64_t> fallback = {});
  // Finite, low < v <= high as float.
  float positive(const std::string& key, double high, std::optional<double> fallback = {});
  bool boolean(const std::string& key, bool fallback);
  std::string word(const std::string& key, const std::string& fallback);
  Found find(const std::string& key) const { return find_(key); }

  // Refuses with "NAME: KEY is FOUND; expected EXPECTED".
  void refuse(const std::string& key, const std::string& found, const std::string& expected);
  void require(bool holds, const std::string& key, const std::string& found, const std::string& expected) {
    if (!holds) refuse(key, found, expected);
  }
  bool failed() const { return error_.has_value(); }
  hal::Status status() const { return error_ ? hal::Status(*error_) : hal::ok(); }

 private:
  std::string name_;
  std::function<Found(const std::string&)> find_;
  std::optional<hal::Error> error_;
};

}  // namespace switchyard::models
