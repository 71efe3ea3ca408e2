#include "models/quant/fill.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>

#include "kernels/common/quant.h"

namespace switchyard::models {

std::uint64_t Random::next() {  // splitmix64
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

float Random::uniform(float low, float high) {
  return low + (high - low) * (static_cast<float>(next() >> 40) * 0x1p-24f);
}

float Random::normal(float deviation) {
  std::uint64_t bits = next();
  float sum = 0;
  for (int i = 0; i < 4; ++i, bits >>= 16) sum += static_cast<float>(bits & 0xffff);
  // Four uniform numbers have the variance 4 / 12.
  return (sum * 0x1p-16f - 2) * deviation * 1.7320508f;
}

Pool::Pool(hal::DType dtype, float deviation, std::uint64_t seed) : block_(hal::block(dtype).bytes) {
  constexpr std::size_t blocks = 4099, step = 256;  // prime: rows that follow each other do not repeat
  Random random(seed);
  std::vector<float> values(step);
  hal::Bytes row = hal::row_bytes(dtype, step);
  bytes_.resize(blocks * row);
  for (std::size_t b = 0; b < blocks; ++b) {
    for (float& v : values) v = random.normal(deviation);
    kernels::quantize_row(dtype, values.data(), step, bytes_.data() + b * row);
  }
}

void Pool::fill(std::span<std::byte> to, std::uint64_t seed) const {
  constexpr std::size_t longest = 64 << 10;
  Random random(seed);
  std::size_t blocks = bytes_.size() / block_;
  for (std::size_t at = 0; at < to.size();) {
    std::size_t from = random.next() % blocks * block_;
    std::size_t n = std::min({longest / block_ * block_, to.size() - at, bytes_.size() - from});
    std::memcpy(to.data() + at, bytes_.data() + from, n);
    at += n;
  }
}

Memory allocate_pages(std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return {};
  return {{static_cast<std::byte*>(data), bytes},
          std::shared_ptr<const void>(data, [bytes](void* p) { ::munmap(p, bytes); })};
}

hal::Bytes available_memory() {
  std::ifstream info("/proc/meminfo");
  std::string word;
  hal::Bytes kibibytes = 0;
  while (info >> word)
    if (word == "MemAvailable:" && info >> kibibytes) return kibibytes * 1024;
  return 0;
}

}  // namespace switchyard::models
