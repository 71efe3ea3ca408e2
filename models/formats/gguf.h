// GGUF, versions 2 and 3, little-endian; whole or split into -00001-of-0000N.gguf files.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hal/result.h"
#include "models/formats/file.h"
#include "models/formats/tensor.h"

namespace switchyard::models {

// A value of the metadata, as it lies in the file. Its bytes were checked; reading it cannot fail but for its type.
struct GgufValue {
  // The numbers are the format's.
  enum class Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
  Type type = Type::u8;
  Type element = Type::u8;           // of an array
  std::uint64_t count = 0;           // of an array
  std::span<const std::byte> bytes;  // the number, the string's characters, or the array's elements

  std::optional<std::int64_t> integer() const;  // any integer type, if it fits
  std::optional<double> number() const;         // any integer or float type
  std::optional<bool> boolean() const;
  std::optional<std::string_view> string() const;
  std::optional<std::int64_t> integer_at(std::uint64_t index) const;  // of an array of integers
  std::string describe() const;                                       // "u32 7", "array of 3 string": for errors
};

struct Gguf {
  std::uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  FileTensors tensors;
  std::vector<FileRef> files;  // empty when parsed from memory

  const GgufValue* find(std::string_view key) const;
};

// One file in memory. `owner` keeps `file` alive and is passed on to each tensor, `identity` too.
// Refusals are Code::io, begin with `name` and name the tensor or key, what was there and what was expected.
hal::Result<Gguf> parse_gguf(std::span<const std::byte> file, std::shared_ptr<const void> owner, std::uint64_t identity,
                             const std::string& name);
// Of a split model any part may be named; metadata is the first part's. not_found when a file is missing.
hal::Result<Gguf> open_gguf(const std::string& path);

}  // namespace switchyard::models
