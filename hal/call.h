// The boundary between the host code and CPU kernels: nothing but C types, and the list of element types.
#pragma once
#include <cstdint>

namespace switchyard::hal {

// What a Format::call kernel is given. Plain C: kernels are compiled once per instruction set, and an inline function
// of the standard library emitted there could end up being called on a CPU that lacks the instructions.
struct CallArgs {
  std::uint32_t size;                   // sizeof(CallArgs) of the caller
  void* native_queue;                   // of a GPU runtime, for vendor libraries; null on a CPU
  void* const* pointers;                // one per Launch::arguments, in order, offset applied
  const std::int64_t* dims;             // max_symbols numbers
  const void* args;                     // Launch::args
  std::uint32_t first_tile, last_tile;  // do tiles [first, last) of the launch's grid[0]; kernels start no threads
  void* thread_scratch;                 // 64-byte aligned, Launch::thread_scratch bytes, private to the thread
};
using Call = void (*)(const CallArgs*);

// Append-only. The quantised types are the GGUF block formats; u4, i4 and boolean occur in graphs only.
enum class DType : std::uint8_t { f32, f16, bf16, i32, i8, u8, i64, boolean, u4, i4, q8_0, q4_0, q4_k, q5_k, q6_k };

}  // namespace switchyard::hal
