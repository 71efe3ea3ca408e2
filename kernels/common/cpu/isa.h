// CPU kernels are compiled once per instruction set (sets.table); a launch.cpp lists the copies with SY_CPU_KERNELS.
//
//   // rmsnorm/cpu/rmsnorm.cpp: includes only hal/call.h, <cmath>, <cstdint>, <cstring> and kernels/common/cpu/*.h
//   namespace switchyard::kernels::SY_ISA { void rmsnorm(const hal::CallArgs* a) { ... tiles a->first_tile .. a->last_tile } }
//   // rmsnorm/cpu/launch.cpp
//   SY_CPU_DECLARE(f32, rmsnorm)
//   template <int I> Status lower(...) { static constexpr auto table = SY_CPU_TABLE(f32, rmsnorm); launch.call = table[I]; ... }
//   void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }
#pragma once
#include <string_view>
#include <utility>

#include "cpu_sets.h"
#include "hal/kernels.h"
#include "kernels/common/cpu/rows.h"
#include "kernels/op.h"

namespace switchyard::kernels {

inline bool has_words(const CpuSet& set, const Info& info) {
  for (const char* word : set.words)
    if (word && !info.has_feature(word)) return false;
  return true;
}

// The best index into SY_CPU_TABLE(f32, ...) for a device.
inline int isa_of(const Info& info) {
  int best = 0;
  for (std::size_t i = 0; i < cpu_sets_f32.size(); ++i)
    if (has_words(cpu_sets_f32[i], info)) best = static_cast<int>(i);
  return best;
}

inline CpuRows cpu_rows(const Dim& dim) { return {dim.symbol, static_cast<std::int32_t>(dim.max)}; }

// Appends Kernel entries, best first; lower_of.operator()<I>() is the function that lowers to the I-th set.
template <std::size_t N, class LowerOf>
void add_cpu_kernels(std::vector<Kernel>& list, const std::array<CpuSet, N>& sets, decltype(Kernel::refuse) refuse,
                     LowerOf lower_of) {
  auto add = [&]<int I>() {
    std::vector<const char*> words;
    for (const char* word : sets[I].words)
      if (word) words.push_back(word);
    list.push_back({sets[I].variant, Format::call, std::move(words), refuse, lower_of.template operator()<I>()});
  };
  [&]<int... I>(std::integer_sequence<int, I...>) { (add.template operator()<static_cast<int>(N) - 1 - I>(), ...); }
  (std::make_integer_sequence<int, static_cast<int>(N)>{});
}

}  // namespace switchyard::kernels

#define SY_CPU_COPY(set, function)       \
  namespace isa_##set {                  \
    void function(const hal::CallArgs*); \
  }
#define SY_CPU_ADDRESS(set, function) &isa_##set::function,
#define SY_CPU_ONE(set, function) +1
#define SY_CPU_DECLARE(form, function)      \
  namespace switchyard::kernels {           \
  SY_CPU_SETS_##form(SY_CPU_COPY, function) \
  }
// The copies of a function, indexed by the template argument of lower<I>().
#define SY_CPU_TABLE(form, function)                                  \
  std::array<hal::Call, 0 SY_CPU_SETS_##form(SY_CPU_ONE, function)> { \
    { SY_CPU_SETS_##form(SY_CPU_ADDRESS, function) }                  \
  }
#define SY_CPU_KERNELS(form, list, refusal, lowering) \
  add_cpu_kernels(list, cpu_sets_##form, refusal, []<int I>() -> decltype(Kernel::lower) { return &lowering<I>; })
