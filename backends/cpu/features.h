// What this processor can do, in the words of hal::Info::features.
#pragma once
#include <string>
#include <vector>

#include "hal/result.h"

namespace switchyard::backends::cpu {

struct Features {
  std::string name, vendor;        // "AMD EPYC 9B45", "AMD"
  std::vector<std::string> words;  // "avx2", "avx512", "avx512_vnni" ...; on aarch64 "dotprod"
  std::string isa;                 // the widest set kernels may use, as SWITCHYARD_CPU_ISA names it
};

// Masked by SWITCHYARD_CPU_ISA=scalar|avx2|avx512|amx, on aarch64 scalar|dotprod. invalid_argument for another value,
// unsupported for a set this processor or its operating system lacks. SWITCHYARD_CPU_EMULATE_AMX=1 adds "amx_emulation"
// on one with AVX-512: the kernels for AMX, with its instructions done in plain C++, for tests. Asks Linux for the use
// of AMX where there is one.
hal::Result<Features> read_features();

}  // namespace switchyard::backends::cpu
