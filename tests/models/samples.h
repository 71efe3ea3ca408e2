// Small valid files written byte by byte, with every field open to be falsified.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace switchyard::models {

using Bytes = std::string;  // file contents

template <class T>
Bytes raw(T value) {
  Bytes out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

// Two layers (Mamba, attention), hidden 32, 4 experts or none.
struct GgufSample {
  struct Key {
    std::string name;
    std::uint32_t type;
    Bytes value;
  };
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;  // fastest first, as in the file
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    Bytes data;
  };
  Bytes magic = "GGUF";
  std::uint32_t version = 3;
  std::vector<Key> keys;
  std::vector<Tensor> tensors;
  std::uint64_t tensor_count = 0, key_count = 0;
  std::uint64_t alignment = 32;

  explicit GgufSample(bool experts);
  Key& key(const std::string& name);        // by the end of its name
  Tensor& tensor(const std::string& name);  // by its whole name
  void set(const std::string& name, std::uint32_t type, Bytes value);
  void erase_key(const std::string& name);
  void erase_tensor(const std::string& name);
  void place();  // offsets and counts that fit the tensors
  Bytes build() const;
};

Bytes gguf_string(const std::string& text);

struct SafetensorsSample {
  nlohmann::json config;  // config.json
  nlohmann::json header;  // as in the file
  Bytes data;
  std::uint64_t extra_length = 0;  // added to the header's length

  explicit SafetensorsSample(bool experts);
  nlohmann::json& tensor(const std::string& name) { return header.at(name); }
  Bytes build() const;
  static Bytes build(const Bytes& header, const Bytes& data);
};

}  // namespace switchyard::models
