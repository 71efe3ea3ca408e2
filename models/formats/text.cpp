#include "models/formats/text.h"

namespace switchyard::models {

std::string printable(std::string_view name) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "'";
  for (char c : name.substr(0, 96)) {
    auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += hex[u >> 4];
      out += hex[u & 15];
    }
  }
  return out + (name.size() > 96 ? "...'" : "'");
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

void Hash::put(std::span<const std::byte> bytes) {
  auto mix = [this](std::uint64_t word) {
    state_ = (state_ ^ word) * 0xbf58476d1ce4e5b9ull;
    state_ ^= state_ >> 29;
  };
  mix(bytes.size());
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    mix(word);
  }
  std::uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  mix(rest);
}

}  // namespace switchyard::models
