// CPU kernels are compiled once per instruction set; a launch.cpp lists the copies with SY_CPU_KERNELS.
//
//   // rmsnorm/cpu/rmsnorm.cpp: includes only hal/call.h, <cmath>, <cstdint>, <cstring> and kernels/common/cpu/*.h
//   namespace switchyard::kernels::SY_ISA { void rmsnorm(const hal::CallArgs* a) { ... tiles a->first_tile .. a->last_tile } }
//   // rmsnorm/cpu/launch.cpp
//   SY_CPU_DECLARE(rmsnorm)
//   template <int I> Status lower(...) { static constexpr hal::Call table[] = SY_CPU_TABLE(rmsnorm); launch.call = table[I]; ... }
#pragma once
#include "hal/kernels.h"
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels {

inline CpuRows cpu_rows(const hal::Dim& dim) { return {dim.symbol, static_cast<std::int32_t>(dim.max)}; }

}  // namespace switchyard::kernels

#if defined(__x86_64__)
#define SY_CPU_DECLARE(function)       \
  namespace switchyard::kernels {      \
  namespace isa_scalar {               \
  void function(const hal::CallArgs*); \
  }                                    \
  namespace isa_avx2 {                 \
  void function(const hal::CallArgs*); \
  }                                    \
  namespace isa_avx512 {               \
  void function(const hal::CallArgs*); \
  }                                    \
  }
// A table of the copies, indexed by the template argument of lower<I>().
#define SY_CPU_TABLE(function) \
  { &isa_scalar::function, &isa_avx2::function, &isa_avx512::function }
// Appends Kernel entries, best first; lower is a template over the index into SY_CPU_TABLE.
#define SY_CPU_KERNELS(list, refuse, lower)                                \
  list.push_back({"avx512", Format::call, {"avx512"}, refuse, &lower<2>}); \
  list.push_back({"avx2", Format::call, {"avx2"}, refuse, &lower<1>});     \
  list.push_back({"scalar", Format::call, {}, refuse, &lower<0>})
#else
#define SY_CPU_DECLARE(function)       \
  namespace switchyard::kernels {      \
  namespace isa_scalar {               \
  void function(const hal::CallArgs*); \
  }                                    \
  }
#define SY_CPU_TABLE(function) \
  { &isa_scalar::function }
#define SY_CPU_KERNELS(list, refuse, lower) list.push_back({"scalar", Format::call, {}, refuse, &lower<0>})
#endif
