#include "backends/cpu/features.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace switchyard::backends::cpu {
namespace {

// What SWITCHYARD_CPU_ISA may say, from the least to the best, and a feature with the level it belongs to.
struct Word {
  const char* text;
  std::size_t level;
};
#if defined(__x86_64__)
constexpr const char* levels[] = {"scalar", "avx2", "avx512", "amx"};

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};
Registers cpuid(unsigned leaf, unsigned sub = 0) {
  Registers r;
  if (!__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d)) return {};
  return r;
}
bool bit(unsigned word, int n) { return ((word >> n) & 1u) != 0; }

// What the operating system saves on a task switch; without it the registers must not be touched.
std::uint64_t saved_state() {
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux keeps the tiles of a process only once it has asked for them; else their first use ends it.
bool tiles_granted() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

void detect(Features& f, std::vector<Word>& words) {
  const Registers vendor = cpuid(0), one = cpuid(1), seven = cpuid(7), seven1 = cpuid(7, 1);
  char text[13] = {};
  std::memcpy(text, &vendor.b, 4);
  std::memcpy(text + 4, &vendor.d, 4);
  std::memcpy(text + 8, &vendor.c, 4);
  f.vendor = std::strcmp(text, "GenuineIntel") == 0 ? "Intel" : std::strcmp(text, "AuthenticAMD") == 0 ? "AMD" : text;
  if (cpuid(0x80000000u).a >= 0x80000004u) {
    char brand[49] = {};
    for (unsigned i = 0; i < 3; ++i) {
      Registers r = cpuid(0x80000002u + i);
      std::memcpy(brand + 16 * i, &r, 16);
    }
    f.name = brand;
    while (!f.name.empty() && (f.name.back() == ' ' || f.name.back() == '\0')) f.name.pop_back();
    f.name.erase(0, f.name.find_first_not_of(' '));
  }
  const std::uint64_t state = bit(one.c, 27) ? saved_state() : 0;
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
  const bool avx2 =
      ymm && bit(seven.b, 5) && bit(one.c, 12) && bit(one.c, 29) && bit(seven.b, 8);  // and FMA, F16C, BMI2
  const bool avx512 =
      avx2 && zmm && bit(seven.b, 16) && bit(seven.b, 30) && bit(seven.b, 17) && bit(seven.b, 31);  // F, BW, DQ, VL
  auto add = [&](bool have, const char* word, std::size_t level) {
    if (have) words.push_back({word, level});
  };
  add(avx2, "avx2", 1);
  add(avx2 && bit(seven1.a, 4), "avx_vnni", 1);
  add(avx512, "avx512", 2);
  add(avx512 && bit(seven.c, 11), "avx512_vnni", 2);
  add(avx512 && bit(seven1.a, 5), "avx512_bf16", 2);
  const char* emulate = std::getenv("SWITCHYARD_CPU_EMULATE_AMX");
  add(avx512 && emulate && std::strcmp(emulate, "1") == 0, "amx_emulation", 2);
  const bool amx = avx512 && tiles && bit(seven.d, 24) && tiles_granted();
  add(amx && bit(seven.d, 25), "amx_int8", 3);
  add(amx && bit(seven.d, 22), "amx_bf16", 3);
}
#elif defined(__aarch64__)
// "scalar" is without what later processors added to NEON.
constexpr const char* levels[] = {"scalar", "dotprod"};

void detect(Features& f, std::vector<Word>& words) {
  f.vendor = "unknown";
#if defined(__linux__)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) words.push_back({"dotprod", 1});
#else
  (void)words;
#endif
}
#else
constexpr const char* levels[] = {"scalar"};

void detect(Features& f, std::vector<Word>&) { f.vendor = "unknown"; }
#endif

}  // namespace

hal::Result<Features> read_features() {
  Features f;
  std::vector<Word> words;
  detect(f, words);
  if (f.name.empty()) {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
      if (line.rfind("model name", 0) == 0 || line.rfind("Model", 0) == 0) {
        f.name = line.substr(std::min(line.size(), line.find(':') + 2));
        break;
      }
  }
  if (f.name.empty()) f.name = "CPU";
  std::size_t best = 0;
  for (const Word& w : words) best = std::max(best, w.level);
  std::size_t level = best;
  if (const char* variable = std::getenv("SWITCHYARD_CPU_ISA"); variable && *variable) {
    const std::string asked = variable;
    const auto found = std::find(std::begin(levels), std::end(levels), asked);
    std::string names;
    for (std::size_t i = 0; i < std::size(levels); ++i)
      names += std::string(i == 0 ? "" : i + 1 < std::size(levels) ? ", " : " or ") + levels[i];
    if (found == std::end(levels))
      return hal::Error{hal::Code::invalid_argument, "SWITCHYARD_CPU_ISA is \"" + asked + "\", expected " + names};
    level = static_cast<std::size_t>(found - std::begin(levels));
    if (level > best)
      return hal::Error{hal::Code::unsupported,
                        "SWITCHYARD_CPU_ISA asks for " + asked + ", but " + f.name + " goes up to " + levels[best]};
  }
  f.isa = levels[level];
  for (const Word& w : words)
    if (w.level <= level) f.words.emplace_back(w.text);
  return f;
}

}  // namespace switchyard::backends::cpu
