// Input: the text of a config.json, a zero byte, a safetensors file.
#include "models/formats/safetensors.h"

#include <algorithm>

#include "models/granite_hybrid/assemble.h"
#include "tests/fuzz/touch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace switchyard::models;
  const std::uint8_t* zero = std::find(data, data + size, 0);
  std::string_view config(reinterpret_cast<const char*>(data), static_cast<std::size_t>(zero - data));
  const std::uint8_t* begin = zero == data + size ? zero : zero + 1;
  auto file = parse_safetensors(std::as_bytes(std::span(begin, data + size)), nullptr, 0, "fuzz");
  if (!file) return check(file.error()), 0;
  auto model = assemble(config, file->tensors, "fuzz");
  if (!model) return check(model.error()), 0;
  touch(*model);
  return 0;
}
