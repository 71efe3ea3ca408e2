// How the tests of falsified files read and refuse.
#pragma once
#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <limits>
#include <sstream>

#include "models/formats/json.h"
#include "models/formats/safetensors.h"
#include "models/granite_hybrid/assemble.h"
#include "tests/models/samples.h"

namespace switchyard::models {

inline hal::Result<Model> read_gguf(const Bytes& file) {
  HAL_TRY(Gguf gguf, parse_gguf(std::as_bytes(std::span(file)), nullptr, 0, "test"));
  return assemble(gguf, "test");
}
inline hal::Result<Model> read_safetensors(const std::string& config, const Bytes& file) {
  HAL_TRY(Safetensors tensors, parse_safetensors(std::as_bytes(std::span(file)), nullptr, 0, "test"));
  return assemble(config, tensors.tensors, "test");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr double limit = 10;
#elif defined(__has_feature)
inline constexpr double limit = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 10 : 1;
#else
inline constexpr double limit = 1;  // in seconds of this process, whatever else the machine does
#endif
inline double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// `read` within a second: Code::io, and a message with every part of `says` (separated by |).
inline void expect_refused(const std::string& name, const std::string& says,
                           const std::function<hal::Result<Model>()>& read) {
  double begin = seconds();
  auto model = read();
  EXPECT_LT(seconds() - begin, limit) << name;
  ASSERT_FALSE(model) << name << " was accepted";
  EXPECT_EQ(model.error().code, hal::Code::io) << name << ": " << describe(model.error());
  std::istringstream parts(says);
  for (std::string part; std::getline(parts, part, '|');)
    EXPECT_NE(model.error().message.find(part), std::string::npos)
        << name << ": " << model.error().message << "\n lacks " << part;
}

inline constexpr std::uint32_t u32 = 4, i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9, u64 = 10, f64 = 12;
inline constexpr std::uint64_t huge = 0xffffffffffffffffu, big = std::uint64_t{1} << 62;
inline const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();

}  // namespace switchyard::models
