// A lone row's attention: its queries meet keys and values as they are read, without unpacking them to memory first.
#pragma once
#include "kernels/attention/cpu/pages.h"

namespace switchyard::kernels::SY_ISA {

// A row of one step alone: its G queries of a kv head meet keys and values as they are read, which saves unpacking them
// to memory first. The sums are those of dots() and add_values() in the same order, so the bits are, too.
template <DType kept, int G>
void score_keys(const Pages& keys, const Places& at, std::int64_t most, const float* queries, float* scores) {
  const std::int64_t d = keys.p.head_dim;
  for (std::int64_t s = 0; s < most; s += lanes)
    for (std::int64_t h = 0; h < keys.heads; ++h) {
      const float* query = queries + h * G * d;
      vec part[G][lanes];
      for (int i = 0; i < lanes; i += 4) {
        Row<kept> k[4];
        for (int n = 0; n < 4; ++n) {
          const std::int64_t position = s + i + n, next = position + ahead;
          k[n] = {keys.head_row(at.row[position < most ? position : most - 1], h)};
          const std::uint8_t* later = keys.head_row(at.row[next < most ? next : most - 1], h);
          for (std::int64_t byte = 0; byte < keys.p.bytes(d); byte += 64) __builtin_prefetch(later + byte);
        }
        vec sum[4][G] = {};
        for (std::int64_t j = 0; j < d; j += lanes) {
          const vec x[4] = {k[0].at(j), k[1].at(j), k[2].at(j), k[3].at(j)};
#pragma GCC unroll 4
          for (int g = 0; g < G; ++g) {
            const vec q = load(query + g * d + j);
#pragma GCC unroll 4
            for (int n = 0; n < 4; ++n) sum[n][g] += q * x[n];
          }
        }
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
          for (int n = 0; n < 4; ++n) part[g][i + n] = sum[n][g];
      }
      for (int g = 0; g < G; ++g) store(scores + (h * G + g) * chunk_positions + s, sums(part[g]));
    }
}

template <DType kept, int G>
void sum_values(const Pages& values, const Places& at, std::int64_t most, const float* scores, float* totals) {
  constexpr int wide = 4;  // vectors of a head at a time
  const std::int64_t d = values.p.head_dim;
  for (std::int64_t s = 0; s < most; s += at_once) {
    const std::int64_t n = most - s < at_once ? most - s : at_once;
    for (std::int64_t h = 0; h < values.heads; ++h) {
      const float* weight = scores + h * G * chunk_positions + s;
      float* to = totals + h * G * d;
      auto columns = [&](auto count, std::int64_t j) {
        constexpr int C = decltype(count)::value;
        vec sum[C][G];
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
          for (int g = 0; g < G; ++g) sum[c][g] = load(to + g * d + j + c * lanes);
        for (std::int64_t i = 0; i < n; ++i) {
          const Row<kept> v{values.head_row(at.row[s + i], h)};
          const std::int64_t next = s + i + at_once;
          const std::uint8_t* later = values.head_row(at.row[next < most ? next : most - 1], h);
          for (std::int64_t byte = 0; byte < values.p.bytes(C * lanes); byte += 64)
            __builtin_prefetch(later + values.p.bytes(j) + byte);
          vec x[C];
#pragma GCC unroll 4
          for (int c = 0; c < C; ++c) x[c] = v.at(j + c * lanes);
#pragma GCC unroll 4
          for (int g = 0; g < G; ++g) {
            const float w = weight[g * chunk_positions + i];
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) sum[c][g] += x[c] * w;
          }
        }
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
          for (int g = 0; g < G; ++g) store(to + g * d + j + c * lanes, sum[c][g]);
      };
      std::int64_t j = 0;
      for (; j + wide * lanes <= d; j += wide * lanes) columns(std::integral_constant<int, wide>{}, j);
      for (; j < d; j += lanes) columns(std::integral_constant<int, 1>{}, j);
    }
  }
}

constexpr int most_direct = 4;

template <class F>
inline void with_group(std::int64_t group, F&& f) {
  switch (group) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    default: return f(std::integral_constant<int, most_direct>{});
  }
}

// scores[(h group + g) * chunk_positions + i] of the positions at.row[i], i < most.
static inline void score_direct(std::int64_t group, const Pages& keys, const Places& at, std::int64_t most,
                                const float* queries, float* scores) {
  with_kept(keys.p.kept, [&](auto kept) {
    with_group(group,
               [&](auto g) { score_keys<decltype(kept)::value, decltype(g)::value>(keys, at, most, queries, scores); });
  });
}

// Adds the values at those positions, by weight, to totals[(h group + g) * head_dim].
static inline void sum_direct(std::int64_t group, const Pages& values, const Places& at, std::int64_t most,
                              const float* weights, float* totals) {
  with_kept(values.p.kept, [&](auto kept) {
    with_group(group, [&](auto g) {
      sum_values<decltype(kept)::value, decltype(g)::value>(values, at, most, weights, totals);
    });
  });
}

}  // namespace switchyard::kernels::SY_ISA
