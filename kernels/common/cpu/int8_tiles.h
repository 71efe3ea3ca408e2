// multiply_pair of int8.h in tiles (tiles_amx.h): the integer sums of a block of up to sixteen rounded rows and sixteen
// weight rows are one product of tiles. What follows a sum is the same as there, so results have the same bits.
#pragma once
#include "kernels/common/cpu/int8.h"
#include "kernels/common/cpu/tiles_amx.h"

namespace switchyard::kernels::SY_ISA {

// Up to here without tiles: the weights come from memory, and a tile would be mostly empty. Never measured.
constexpr unsigned vector_rows = 4;
static_assert(vector_rows <= rows_at_once && groups_at_once == 2);
constexpr unsigned tile_rows = 16, chunk = 256;  // rows; elements of K that are prepared for both groups

// A unit of a type is what has one integer sum: 32 elements of K, 16 of q6_k.
constexpr unsigned unit_words(DType type) { return type == DType::q6_k ? 4 : 8; }

// A chunk of the rounded rows. Rows that are not there have scales of zero.
struct alignas(64) ChunkOfRows {
  Byte quants[tile_rows][chunk];
  float scale[chunk / 32][tile_rows], scaled_sum[chunk / 32][tile_rows];
  std::int32_t start[chunk / 16][tile_rows];  // per unit: what its sum starts from
};

template <DType type>
SY_INLINE void read_rows(ChunkOfRows& to, const Byte* const* row, unsigned count, std::uint32_t k, std::uint32_t first,
                         std::uint32_t elements) {
  for (unsigned c = 0; c < count; ++c) {
    std::memcpy(to.quants[c], row[c] + first, elements);
    for (std::uint32_t b = 0; b < elements / 32; ++b) {
      RoundedBlock block;
      std::memcpy(&block, row[c] + k + (first / 32 + b) * sizeof block, sizeof block);
      to.scale[b][c] = block.scale;
      to.scaled_sum[b][c] = block.scaled_sum;
      constexpr std::int32_t excess = excess_of(type);
      if constexpr (type == DType::q6_k)
        to.start[2 * b][c] = excess * block.minus_first,
                     to.start[2 * b + 1][c] = excess * (block.minus_sum - block.minus_first);
      else if constexpr (excess != 0)
        to.start[b][c] = excess * block.minus_sum;
    }
  }
}

// The piece of rows16 unit u of a chunk lies in, and the unit's place in it.
template <DType type>
struct Unit {
  static constexpr Rows16Layout in = rows16_layout(type);
  static constexpr unsigned per_piece = in.elements / (4 * unit_words(type));
  const Byte* piece;
  unsigned u;
  SY_METHOD Unit(const Byte* at, unsigned unit) : piece(at + unit / per_piece * in.bytes), u(unit % per_piece) {}

  // The words as rows of a tile, 64 bytes apart: `room`, or where they lie already.
  SY_METHOD const Byte* words(Byte* room) const {
    const Byte* quants = piece + in.quants;
    if constexpr (type == DType::q8_0) return quants;
    constexpr unsigned count = unit_words(type);
#pragma GCC unroll 8
    for (unsigned j = 0; j < count; ++j) {
      Words q;
      if constexpr (type == DType::q4_0) {
        q = load_words(quants + 64 * (j % 4));
        q = j < 4 ? masked(q, 15) : high_nibbles(q);
      } else if constexpr (type == DType::q6_k) {
        const unsigned half = u / 8, quarter = u / 2 % 4, i = u % 2;
        const Words low = load_words(quants + 64 * (half * 16 + quarter % 2 * 8 + 4 * i + j)),
                    high = load_words(piece + in.high + 64 * (half * 8 + 4 * i + j));
        q = joined(masked(right(low, 4 * (quarter / 2)), 15), left(masked(right(high, 2 * quarter), 3), 4));
      } else {
        q = masked(right(load_words(quants + 64 * (u / 2 * 8 + j)), 4 * (u % 2)), 15);
        if constexpr (type == DType::q5_k)
          q = joined(q, left(masked(right(load_words(piece + in.high + 64 * j), u), 1), 4));
      }
      std::memcpy(room + 64 * j, &q, 64);
    }
    return room;
  }
  SY_METHOD Wide scale() const {
    const Wide d = from_half(piece);
    if constexpr (type == DType::q4_0 || type == DType::q8_0) return d;
    const Byte* scales = piece + in.scales + 16 * u;
    return multiply(d, to_float(type == DType::q6_k ? from_i8(scales) : from_u8(scales)));
  }
  SY_METHOD Wide minimum() const {
    return multiply(negated(from_half(piece + in.least)), to_float(from_u8(piece + in.minimums + 16 * u)));
  }
};

// Two groups times `count` rows: out[(g * tile_rows + c) * 16 + lane], of R rows. Tiles: 0 and 1 sums, 2 and 3 rows, 4
// and 5 weights.
template <DType type, unsigned R>
static __attribute__((noinline)) void store_in_tiles(Tiles& tiles, const Byte* const (&w)[2], std::uint32_t k,
                                                     const Byte* const* row, unsigned count, float* out) {
  constexpr Rows16Layout in = rows16_layout(type);
  constexpr unsigned words = unit_words(type), unit_elements = 4 * words;
  constexpr std::uint32_t chunk_bytes = chunk / in.elements * in.bytes,
                          unit_bytes = chunk_bytes / (chunk / unit_elements);
  ChunkOfRows rows;
  std::memset(&rows, 0, sizeof rows);
  alignas(64) Byte room[2][64 * words];
  alignas(64) std::int32_t sums[2][tile_rows * 16] = {};
  for (std::uint32_t first = 0; first < k; first += chunk) {
    const std::uint32_t elements = k - first < chunk ? k - first : chunk, units = elements / unit_elements;
    read_rows<type>(rows, row, count, k, first, elements);
    for (unsigned g = 0; g < 2; ++g) {
      const Byte* at = w[g] + std::uint64_t{first / in.elements} * in.bytes;
      float* to = out + g * tile_rows * 16;
      Wide total[R];
#pragma GCC unroll 16
      for (unsigned c = 0; c < R; ++c) total[c] = first == 0 ? zero() : load(to + c * 16);
      auto sum = [&]<int i>(unsigned u) SY_LAMBDA {
        for (std::uint32_t line = 0; line < unit_bytes; line += 64)
          __builtin_prefetch(at + 3 * chunk_bytes + u * unit_bytes + line);
        tiles.load<4 + i>(Unit<type>(at, u).words(room[i]), 64);
        tiles.load<2 + i>(rows.quants[0] + u * unit_elements, chunk);
        tiles.zero<i>();
        tiles.dot_s8u8<i, 2 + i, 4 + i>();
        tiles.store<i>(sums[i], 64);
      };
      auto add = [&](unsigned u) SY_LAMBDA {
        const Unit<type> unit(at, u);
        const Wide scale = unit.scale();
        const float* row_scale = rows.scale[u * unit_elements / 32];
        const std::int32_t* from = sums[u % 2];
#pragma GCC unroll 16
        for (unsigned c = 0; c < R; ++c) {
          __m512i s = _mm512_load_si512(from + 16 * c);
          if constexpr (excess_of(type) != 0) s = _mm512_add_epi32(s, splat_int(rows.start[u][c]).v);
          total[c] = fma(multiply(to_float({s}), scale), splat(row_scale[c]), total[c]);
        }
        if constexpr (type == DType::q4_k || type == DType::q5_k) {
          const Wide minimum = unit.minimum();
          const float* scaled_sum = rows.scaled_sum[u];
#pragma GCC unroll 16
          for (unsigned c = 0; c < R; ++c) total[c] = fma(minimum, splat(scaled_sum[c]), total[c]);
        }
      };
      for (unsigned u = 0; u < units; u += 2) {
        const bool two = u + 1 < units;
        sum.template operator()<0>(u);
        if (two) sum.template operator()<1>(u + 1);
        add(u);
        if (two) add(u + 1);
      }
#pragma GCC unroll 16
      for (unsigned c = 0; c < R; ++c) store(to + c * 16, total[c]);
    }
  }
}

template <class Row, class Emit>
SY_INLINE void multiply_pair(DType type, const Byte* const (&w)[2], std::uint32_t k, std::int64_t rows, Row&& row_at,
                             Emit&& emit) {
  with_quantised(type, [&](auto t) SY_LAMBDA {
    constexpr DType quantised = decltype(t)::value;
    constexpr std::uint16_t words = unit_words(quantised);
    alignas(64) float out[2 * tile_rows * 16];
    Tiles tiles;
    unsigned count = 0, shaped = 0;
    for (std::int64_t first = 0; first < rows; first += count) {
      count = rows - first < tile_rows ? static_cast<unsigned>(rows - first) : tile_rows;
      const Byte* row[tile_rows];
      for (unsigned c = 0; c < count; ++c) row[c] = row_at(first + c);
      unsigned rows_apart = tile_rows;
      if (count <= vector_rows) {
        two_groups<quantised>(w, k, row, count, 0, out);
        rows_apart = rows_at_once;
      } else {
        if (count != shaped) {
          const auto m = static_cast<std::uint8_t>(count);
          const TileShape sum{m, 64}, from{m, 4 * words}, weights{words, 64};
          tiles.configure({sum, sum, from, from, weights, weights, {}, {}});
          shaped = count;
        }
        if (count <= tile_rows / 2)
          store_in_tiles<quantised, tile_rows / 2>(tiles, w, k, row, count, out);
        else
          store_in_tiles<quantised, tile_rows>(tiles, w, k, row, count, out);
      }
      for (unsigned c = 0; c < count; ++c) emit(first + c, out + c * 16, out + (rows_apart + c) * 16);
    }
  });
}

}  // namespace switchyard::kernels::SY_ISA
