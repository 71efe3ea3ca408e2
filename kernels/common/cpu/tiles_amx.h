// Eight tiles of up to 16 rows of 64 bytes: Intel's AMX in the set amx (sets.table), the same in plain C++ elsewhere.
// C [m][n] += A [m][k] B [k][n] in words of 32 bits: four 8-bit integers or two bf16 of A and B, one i32 or f32 of C.
#pragma once
#include "kernels/common/cpu/wide.h"

namespace switchyard::kernels::SY_ISA {

// {0, 0}: not used.
struct TileShape {
  std::uint8_t rows;
  std::uint16_t row_bytes;
};

#if defined(SY_ISA_amx)

// Not by the compiler's intrinsics: those of g++ 12 do not say that they read memory, so what they load may not have
// been stored yet.
class Tiles {
 public:
  Tiles() = default;
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
  SY_METHOD ~Tiles() {
    if (configured_) __asm__ volatile("tilerelease" ::: "memory");
  }

  // Before anything else; all tiles become zero.
  SY_METHOD void configure(const TileShape (&shape)[8]) {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } config;
    static_assert(sizeof config == 64);
    for (int t = 0; t < 8; ++t) config.row_bytes[t] = shape[t].row_bytes, config.rows[t] = shape[t].rows;
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
    configured_ = true;
  }
  template <int t>
  SY_METHOD void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(t));
  }
  // As many rows as the tile has, `stride` bytes apart.
  template <int t>
  SY_METHOD void load(const void* from, std::int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  SY_METHOD void store(void* to, std::int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(t) : "memory");
  }
  // a: signed bytes, b: unsigned ones.
  template <int c, int a, int b>
  SY_METHOD void dot_s8u8() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }
  template <int c, int a, int b>
  SY_METHOD void dot_bf16() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }

 private:
  bool configured_ = false;
};

#else

// After the operations of Intel's Software Developer's Manual, volume 2. What raises #UD there traps here.
class Tiles {
 public:
  SY_METHOD void configure(const TileShape (&shape)[8]) {
    for (int t = 0; t < 8; ++t) {
      must(shape[t].rows <= 16 && shape[t].row_bytes <= 64 && (shape[t].rows == 0) == (shape[t].row_bytes == 0));
      tile_[t] = Tile{{}, shape[t]};
    }
  }
  template <int t>
  SY_METHOD void zero() {
    zero(t);
  }
  template <int t>
  SY_METHOD void load(const void* from, std::int64_t stride) {
    load(t, from, stride);
  }
  template <int t>
  SY_METHOD void store(void* to, std::int64_t stride) {
    store(t, to, stride);
  }
  template <int c, int a, int b>
  SY_METHOD void dot_s8u8() {
    dot_s8u8(c, a, b);
  }
  template <int c, int a, int b>
  SY_METHOD void dot_bf16() {
    dot_bf16(c, a, b);
  }

  // The same with tiles by number.
  SY_METHOD void zero(int t) {
    must(tile_[t].shape.rows != 0);
    tile_[t] = Tile{{}, tile_[t].shape};
  }
  SY_METHOD void load(int t, const void* from, std::int64_t stride) {
    zero(t);
    for (unsigned r = 0; r < tile_[t].shape.rows; ++r)
      std::memcpy(tile_[t].word[r], static_cast<const char*>(from) + r * stride, tile_[t].shape.row_bytes);
  }
  SY_METHOD void store(int t, void* to, std::int64_t stride) const {
    must(tile_[t].shape.rows != 0);
    for (unsigned r = 0; r < tile_[t].shape.rows; ++r)
      std::memcpy(static_cast<char*>(to) + r * stride, tile_[t].word[r], tile_[t].shape.row_bytes);
  }
  SY_METHOD void dot_s8u8(int c, int a, int b) {
    const Sizes s = sizes(c, a, b);
    for (unsigned m = 0; m < s.m; ++m)
      for (unsigned k = 0; k < s.k; ++k)
        for (unsigned n = 0; n < s.n; ++n) {
          const std::uint32_t x = tile_[a].word[m][k], y = tile_[b].word[k][n];
          std::int32_t sum = 0;
          for (unsigned i = 0; i < 32; i += 8)
            sum += static_cast<std::int8_t>(x >> i) * static_cast<std::int32_t>(y >> i & 255u);
          tile_[c].word[m][n] += static_cast<std::uint32_t>(sum);
        }
  }
  // Even and odd elements of K are summed apart, then added to each other, then to C.
  SY_METHOD void dot_bf16(int c, int a, int b) {
    const Sizes s = sizes(c, a, b);
    for (unsigned m = 0; m < s.m; ++m) {
      float even[16] = {}, odd[16] = {};
      for (unsigned k = 0; k < s.k; ++k) {
        const std::uint32_t x = tile_[a].word[m][k];
        for (unsigned n = 0; n < s.n; ++n) {
          const std::uint32_t y = tile_[b].word[k][n];
          even[n] = normal(__builtin_fmaf(normal(as_float(x << 16)), normal(as_float(y << 16)), even[n]));
          odd[n] = normal(__builtin_fmaf(normal(as_float(x & 0xffff0000u)), normal(as_float(y & 0xffff0000u)), odd[n]));
        }
      }
      for (unsigned n = 0; n < s.n; ++n) {
        const float sum = normal(normal(as_float(tile_[c].word[m][n])) + normal(even[n] + odd[n]));
        std::memcpy(&tile_[c].word[m][n], &sum, 4);
      }
    }
  }

 private:
  struct Tile {
    std::uint32_t word[16][16] = {};
    TileShape shape = {};
  };
  struct Sizes {
    unsigned m, k, n;
  };
  SY_INLINE void must(bool condition) {
    if (!condition) __builtin_trap();
  }
  SY_METHOD Sizes sizes(int c, int a, int b) const {
    const TileShape &C = tile_[c].shape, &A = tile_[a].shape, &B = tile_[b].shape;
    must(c != a && c != b && a != b && C.rows != 0 && A.rows != 0 && B.rows != 0);
    must(C.row_bytes % 4 == 0 && A.row_bytes % 4 == 0);
    must(C.row_bytes == B.row_bytes && C.rows == A.rows && A.row_bytes == 4 * B.rows);
    return {C.rows, B.rows, C.row_bytes / 4u};
  }
  SY_INLINE float as_float(std::uint32_t bits) {
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }
  // Subnormals are zero, going in and coming out.
  SY_INLINE float normal(float x) { return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x; }

  Tile tile_[8];
};

#endif

}  // namespace switchyard::kernels::SY_ISA
