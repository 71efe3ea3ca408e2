// Small tools of the readers: text for errors, a hash, checked arithmetic.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace switchyard::models {

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

// A name out of a file, fit to print: in quotes, at most 96 characters, control characters as \xNN.
std::string printable(std::string_view name);
// "[8, 64]"
std::string shape_text(std::span<const std::int64_t> shape);

// Not for security. Of the bytes put into it, in order, on a little-endian machine.
class Hash {
 public:
  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void put(const T& value) {
    put(std::span(reinterpret_cast<const std::byte*>(&value), sizeof value));
  }
  void put(std::span<const std::byte> bytes);
  void put(std::string_view characters) { put(std::as_bytes(std::span(characters))); }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15ull;
};

// product = a * b for sizes; false when it does not fit into 63 bits.
inline bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) {
  return !__builtin_mul_overflow(a, b, &product) && product <= INT64_MAX;
}

}  // namespace switchyard::models
