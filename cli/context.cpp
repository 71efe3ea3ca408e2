#include "cli/context.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace switchyard::cli {

int exit_code(const hal::Error& error) {
  switch (error.code) {
    case hal::Code::io: return refused;
    case hal::Code::invalid_argument: return usage;
    case hal::Code::device_lost: return lost;
    default: return failed;
  }
}

void fail(const hal::Error& error) { throw Failure{exit_code(error), hal::describe(error)}; }
void fail(int code, std::string message) { throw Failure{code, std::move(message)}; }

void say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void progress(std::string_view what, double done) {
  if (!isatty(STDERR_FILENO)) return;
  constexpr int width = 30;
  int filled = static_cast<int>(std::clamp(done, 0.0, 1.0) * width);
  std::string bar(static_cast<std::size_t>(filled), '#');
  bar.resize(width, '.');
  std::fprintf(stderr, "\r\033[K[%s] %3.0f%% %.*s", bar.c_str(), done * 100, static_cast<int>(what.size()),
               what.data());
  if (done >= 1.0) std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
}

hal::DType weight_type(const std::string& name) {
  std::string known;
  for (hal::DType type : kernels::weight_types()) {
    if (name == hal::to_string(type)) return type;
    known += std::string(" ") + hal::to_string(type);
  }
  fail(usage, "--weights " + name + ": known types are" + known);
}

std::vector<std::int32_t> token_list(const std::string& text) {
  std::vector<std::int32_t> tokens;
  std::size_t at = 0;
  while (at <= text.size()) {
    std::size_t end = std::min(text.find(',', at), text.size());
    std::string word = text.substr(at, end - at);
    char* stop = nullptr;
    errno = 0;
    long long value = std::strtoll(word.c_str(), &stop, 10);
    if (word.empty() || *stop != '\0' || errno != 0 || value < INT32_MIN || value > INT32_MAX)
      fail(usage, "--tokens: '" + word + "' is not a token id; expected numbers with commas, such as 1,2,3");
    tokens.push_back(static_cast<std::int32_t>(value));
    at = end + 1;
  }
  return tokens;
}

std::int64_t count(const std::string& text) {
  char* stop = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &stop, 10);
  std::string unit = stop;
  long long factor = unit.empty()                 ? 1
                     : unit == "k" || unit == "K" ? 1024
                     : unit == "m" || unit == "M" ? 1024 * 1024
                                                  : 0;
  if (text.empty() || factor == 0 || value <= 0 || errno != 0 || value > (1ll << 40) / factor)
    fail(usage,
         "'" + text + "' is not a count; expected a positive number, optionally with k or m, such as 4096 or 128k");
  return value * factor;
}

void ModelArguments::add_to(CLI::App& app) {
  app.add_option("model", model,
                 "GGUF file, safetensors folder, or a built-in shape such as granite-4.0-h-tiny (short: h-tiny)")
      ->required();
  app.add_option("--weights", weights, "weight type of a built-in shape: f32 f16 bf16 q8_0 q4_0 q4_k q5_k q6_k")
      ->capture_default_str();
  app.add_option("--seed", seed, "seed of a built-in shape's weights")->capture_default_str();
}

models::Model ModelArguments::load(bool no_data) const {
  models::LoadOptions options;
  options.weights = weight_type(weights);
  options.seed = seed;
  options.no_data = no_data;
  auto loaded = models::load(model, options);
  if (!loaded)
    fail(loaded.error().code == hal::Code::not_found ? refused : exit_code(loaded.error()),
         hal::describe(loaded.error()));
  if (loaded->seeded && !no_data)
    say(loaded->name + ": weights are filled from seed " + std::to_string(seed) +
        "; speed and memory are real, the text is not");
  return std::move(loaded).value();
}

}  // namespace switchyard::cli
