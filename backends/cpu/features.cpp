#include "backends/cpu/features.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace switchyard::backends::cpu {
namespace {

// What SWITCHYARD_CPU_ISA may say, from the least to the best; `word` shows that the processor has it. It adds the
// words that begin with one of the two.
struct Level {
  const char* name;
  std::string_view word, other;
};
#if defined(__x86_64__)
constexpr Level levels[] = {{"scalar", "", ""},
                            {"avx2", "avx2", "avx_"},
                            {"avx512", "avx512", "amx_emulation"},
                            {"amx", "amx_int8", "amx_bf16"}};

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

void detect(Features& f) {
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
  auto add = [&](bool have, const char* word) {
    if (have) f.words.emplace_back(word);
  };
  add(avx2, "avx2");
  add(avx2 && bit(seven1.a, 4), "avx_vnni");
  add(avx512, "avx512");
  add(avx512 && bit(seven.c, 11), "avx512_vnni");
  add(avx512 && bit(seven1.a, 5), "avx512_bf16");
  const bool amx = avx512 && tiles && bit(seven.d, 24) && tiles_granted();
  add(amx && bit(seven.d, 25), "amx_int8");
  add(amx && bit(seven.d, 22), "amx_bf16");
  const char* emulate = std::getenv("SWITCHYARD_CPU_EMULATE_AMX");
  add(avx512 && emulate && std::strcmp(emulate, "1") == 0, "amx_emulation");
}
#elif defined(__aarch64__)
// "scalar" is without what later processors added to NEON.
constexpr Level levels[] = {{"scalar", "", ""}, {"dotprod", "dotprod", "dotprod"}};

void detect(Features& f) {
  f.vendor = "unknown";
#if defined(__linux__)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) f.words.emplace_back("dotprod");
#endif
}
#else
constexpr Level levels[] = {{"scalar", "", ""}};

void detect(Features& f) { f.vendor = "unknown"; }
#endif

}  // namespace

hal::Result<Features> read_features() {
  Features f;
  detect(f);
  if (f.name.empty()) {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
      if (line.rfind("model name", 0) == 0 || line.rfind("Model", 0) == 0) {
        f.name = line.substr(std::min(line.size(), line.find(':') + 2));
        break;
      }
  }
  if (f.name.empty()) f.name = "CPU";
  const std::size_t count = std::size(levels);
  std::size_t best = 0, asked = count;
  for (std::size_t i = 1; i < count; ++i)
    if (std::find(f.words.begin(), f.words.end(), levels[i].word) != f.words.end()) best = i;
  f.isa = levels[best].name;
  const char* variable = std::getenv("SWITCHYARD_CPU_ISA");
  if (!variable || !*variable) return f;
  const std::string isa = variable;
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    if (isa == levels[i].name) asked = i;
    names += std::string(i == 0 ? "" : i + 1 < count ? ", " : " or ") + levels[i].name;
  }
  if (asked == count)
    return hal::Error{hal::Code::invalid_argument, "SWITCHYARD_CPU_ISA is \"" + isa + "\", expected " + names};
  if (asked > best)
    return hal::Error{hal::Code::unsupported,
                      "SWITCHYARD_CPU_ISA asks for " + isa + ", but " + f.name + " goes up to " + f.isa};
  f.isa = isa;
  for (std::size_t i = asked + 1; i < count; ++i)
    std::erase_if(f.words, [&](const std::string& word) {
      return word.starts_with(levels[i].word) || word.starts_with(levels[i].other);
    });
  return f;
}

}  // namespace switchyard::backends::cpu
