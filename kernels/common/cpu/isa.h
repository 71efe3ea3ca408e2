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

// The best index into SY_CPU_TABLE for a device.
inline int isa_of(const hal::Info& info) {
#if defined(__x86_64__)
  return info.has_feature("avx512") ? 2 : info.has_feature("avx2") ? 1 : 0;
#else
  (void)info;
  return 0;
#endif
}

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
// Kernels on 8-bit activations, files *_int8.cpp, are compiled for other sets: what counts are the dot products of
// bytes.
#define SY_CPU_INT8_DECLARE(function)  \
  namespace switchyard::kernels {      \
  namespace isa_scalar {               \
  void function(const hal::CallArgs*); \
  }                                    \
  namespace isa_avx2 {                 \
  void function(const hal::CallArgs*); \
  }                                    \
  namespace isa_avxvnni {              \
  void function(const hal::CallArgs*); \
  }                                    \
  namespace isa_avx512vnni {           \
  void function(const hal::CallArgs*); \
  }                                    \
  }
#define SY_CPU_INT8_TABLE(function) \
  { &isa_scalar::function, &isa_avx2::function, &isa_avxvnni::function, &isa_avx512vnni::function }
#define SY_CPU_INT8_KERNELS(list, refuse, lower)                                           \
  list.push_back({"int8_avx512vnni", Format::call, {"avx512_vnni"}, refuse, &lower<3>});   \
  list.push_back({"int8_avxvnni", Format::call, {"avx2", "avx_vnni"}, refuse, &lower<2>}); \
  list.push_back({"int8_avx2", Format::call, {"avx2"}, refuse, &lower<1>});                \
  list.push_back({"int8_scalar", Format::call, {}, refuse, &lower<0>})
#else
#define SY_CPU_DECLARE(function)       \
  namespace switchyard::kernels {      \
  namespace isa_scalar {               \
  void function(const hal::CallArgs*); \
  }                                    \
  }
#define SY_CPU_INT8_DECLARE(function) SY_CPU_DECLARE(function)
#define SY_CPU_INT8_TABLE(function) SY_CPU_TABLE(function)
#define SY_CPU_INT8_KERNELS(list, refuse, lower) list.push_back({"int8_scalar", Format::call, {}, refuse, &lower<0>})
#define SY_CPU_TABLE(function) \
  { &isa_scalar::function }
#define SY_CPU_KERNELS(list, refuse, lower) list.push_back({"scalar", Format::call, {}, refuse, &lower<0>})
#endif
