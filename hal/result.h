// Result<T>: what can go wrong, and how it travels. No exception crosses the hal.
//
// Three classes of error, three ways:
//   environment (no memory, no driver, a lost device)  -> an Error with numbers in its text
//   asynchronous (work already submitted failed)       -> the timeline fails; Timeline::wait returns the work's own error
//   a caller's bug                                     -> undefined without hal/layers/validate.h, reported with it
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace switchyard::hal {

// Stable: numbers are never changed or reused, because the C ABI carries them.
enum class Code : std::uint32_t {
  invalid_argument = 1,  // the request makes no sense; the text names the value
  unsupported = 2,       // the device cannot do it; the text names what
  not_found = 3,         // no such file, device or name; the text lists what there is
  out_of_memory = 4,     // the text gives asked, used and budget
  unavailable = 5,       // no driver, no permission
  timed_out = 6,
  device_lost = 7,
  io = 8,        // a file could not be read or written, or its content was refused
  internal = 9,  // a broken promise of our own
};

const char* to_string(Code code);

struct Error {
  Code code;
  std::string message;                  // what was asked, what was there, in numbers
  const char* file = __builtin_FILE();  // not <source_location>: clang-tidy 14 cannot read it
  int line = __builtin_LINE();
};

// "out_of_memory: weights 5.2 GB, budget 4.0 GB ..."
std::string describe(const Error& error);

// Member names of std::expected, so that a C++23 build can alias it.
template <class T = std::monostate>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<>;
inline Status ok() { return Status(std::monostate{}); }

}  // namespace switchyard::hal

#define HAL_JOIN_(a, b) a##b
#define HAL_JOIN(a, b) HAL_JOIN_(a, b)

// HAL_CHECK(device.wait(...)): returns the error of a Status from the enclosing function.
#define HAL_CHECK(...)                                       \
  do {                                                       \
    auto hal_status_ = (__VA_ARGS__);                        \
    if (!hal_status_) return std::move(hal_status_).error(); \
  } while (false)

// HAL_TRY(auto buffer, device.allocate(desc)): unwraps, or returns the error from the enclosing function.
#define HAL_TRY(declaration, ...) HAL_TRY_(HAL_JOIN(hal_result_, __LINE__), declaration, __VA_ARGS__)
#define HAL_TRY_(name, declaration, ...)     \
  auto name = (__VA_ARGS__);                 \
  if (!name) return std::move(name).error(); \
  declaration = std::move(name).value()
