// What every verb needs: the backends, the devices by name, a model, errors turned into exit codes.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "hal/backend.h"
#include "kernels/library.h"
#include "models/granite_hybrid/weights.h"

namespace switchyard::cli {

// 0 done, 1 the thing asked for failed or does not fit, 2 wrong use, 3 input file refused, 4 no such device, 5 device
// lost.
enum Exit : int { done = 0, failed = 1, usage = 2, refused = 3, no_device = 4, lost = 5 };

// Thrown by check() and caught in main: ends the verb with its message and exit code.
struct Failure {
  int code;
  std::string message;
};
int exit_code(const hal::Error& error);
[[noreturn]] void fail(const hal::Error& error);
[[noreturn]] void fail(int code, std::string message);
template <class T>
T check(hal::Result<T> result) {
  if (!result) fail(result.error());
  return std::move(result).value();
}
inline void check(hal::Status status) {
  if (!status) fail(status.error());
}

struct Global {
  bool json = false;
  bool validate = false;            // the contract checks of hal/layers/validate.h around every device
  std::vector<std::string> sims;    // files that describe sim devices
  std::vector<std::string> remote;  // backends in processes of their own
};

// Words for people go to stderr; data to stdout.
void say(const std::string& text);
// A bar on a terminal only; nothing elsewhere.
void progress(std::string_view what, double done);

struct ModelArguments {
  std::string model, weights = "q4_k";
  std::uint64_t seed = 1;
  void add_to(CLI::App& app);
  models::Model load(bool no_data = false) const;
};

hal::DType weight_type(const std::string& name);
std::vector<std::int32_t> token_list(const std::string& text);  // "1,2,3"
std::int64_t count(const std::string& text);                    // "4096", "128k"

// Each verb adds itself to the application; defined in <verb>.cpp.
using Verb = void (*)(CLI::App& app, Global& global);

}  // namespace switchyard::cli
