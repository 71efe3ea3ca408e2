#include "backends/cpu/features.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace switchyard::backends::cpu {
namespace {

#if defined(__x86_64__)
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
#else
void detect(Features& f) {
  f.vendor = "unknown";
#if defined(__aarch64__)
  f.words.emplace_back("neon");
#endif
}
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
  auto has = [&](const char* word) { return std::find(f.words.begin(), f.words.end(), word) != f.words.end(); };
  f.isa = has("avx512") ? "avx512" : has("avx2") ? "avx2" : "scalar";
  const char* asked = std::getenv("SWITCHYARD_CPU_ISA");
  if (!asked || !*asked || f.isa == asked) return f;
  const std::string isa = asked;
  if (isa != "scalar" && isa != "avx2" && isa != "avx512")
    return hal::Error{hal::Code::invalid_argument,
                      "SWITCHYARD_CPU_ISA is \"" + isa + "\", expected scalar, avx2 or avx512"};
  if (isa == "avx512" || (isa == "avx2" && !has("avx2")))
    return hal::Error{hal::Code::unsupported,
                      "SWITCHYARD_CPU_ISA asks for " + isa + ", but " + f.name + " goes up to " + f.isa};
  std::erase_if(f.words, [&](const std::string& word) {
    return word.rfind("avx512", 0) == 0 || word.rfind("amx", 0) == 0 || (isa == "scalar" && word.rfind("avx", 0) == 0);
  });
  f.isa = isa;
  return f;
}

}  // namespace switchyard::backends::cpu
