// Input: a GGUF file.
#include "models/granite_hybrid/assemble.h"
#include "tests/fuzz/touch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace switchyard::models;
  auto gguf = parse_gguf(std::as_bytes(std::span(data, size)), nullptr, 0, "fuzz");
  if (!gguf) return check(gguf.error()), 0;
  for (auto& [key, value] : gguf->metadata) {
    (void)value.describe();
    if (value.count) (void)value.integer_at(value.count - 1);
  }
  auto model = assemble(*gguf, "fuzz");
  if (!model) return check(model.error()), 0;
  touch(*model);
  return 0;
}
