// Four launches' functions: keys and values into their pages; then whole rows, or chunks of rows and their merging.
#include <cmath>

#include "hal/call.h"
#include "kernels/attention/cpu/params.h"
#include "kernels/common/cpu/vec.h"

namespace switchyard::kernels::SY_ISA {
namespace {

using kernels::attention::block_rows;
using kernels::attention::chunk_positions;
using kernels::attention::CpuParams;

constexpr std::int64_t ahead = 32;  // positions
constexpr float lowest = -3.0e38f;  // below any score; finite, so that differences of it are

struct Where {
  std::int64_t sequence = -1, first = 0, rows = 0, past = 0;  // rows of the step [first, first + rows), the first at position past
};

// The index-th block of rows, sequence by sequence; sequence -1: there are fewer.
Where find_block(const std::int32_t* table, std::int64_t sequences, std::int64_t index) {
  for (std::int64_t s = 0; s < sequences; ++s) {
    const std::int32_t* q = table + 5 * s;
    const std::int64_t blocks = (q[1] + block_rows - 1) / block_rows;
    if (index < blocks) {
      const std::int64_t skipped = index * block_rows, left = q[1] - skipped;
      return {s, q[0] + skipped, left < block_rows ? left : block_rows, q[4] + skipped};
    }
    index -= blocks;
  }
  return {};
}

Where find_row(const std::int32_t* table, std::int64_t sequences, std::int64_t row) {
  for (std::int64_t s = 0; s < sequences; ++s) {
    const std::int32_t* q = table + 5 * s;
    if (row >= q[0] && row < q[0] + q[1]) return {s, row, 1, q[4] + row - q[0]};
  }
  return {};
}

// Pages of one kv head as rows of padded f32.
struct Pages {
  const CpuParams& p;
  const void* data;
  const std::int32_t* table;  // of the sequence
  std::int64_t head;

  std::int64_t element(std::int64_t position) const {
    const std::int64_t row = std::int64_t{table[position / p.page_size]} * p.page_size + position % p.page_size;
    return (row * p.kv_heads + head) * p.head_dim;
  }

  // Positions of one head lie a stride apart that no processor foresees.
  void prefetch(std::int64_t position) const {
    const std::int64_t size = p.half ? 2 : 4;
    const char* from = static_cast<const char*>(data) + element(position) * size;
    for (std::int64_t i = 0; i < p.head_dim * size; i += 64) __builtin_prefetch(from + i);
  }

  void read(std::int64_t position, float* to) const {
    const std::int64_t d = p.head_dim, at = element(position);
    std::int64_t i = 0;
    if (p.half) {
      const auto* from = static_cast<const std::uint16_t*>(data) + at;
      for (; i + lanes <= d; i += lanes) store(to + i, load_f16(from + i));
      if (i < d) {
        std::uint16_t rest[lanes] = {};
        std::memcpy(rest, from + i, static_cast<std::size_t>(d - i) * 2);
        store(to + i, load_f16(rest));
        i += lanes;
      }
    } else {
      const auto* from = static_cast<const float*>(data) + at;
      for (; i + lanes <= d; i += lanes) store(to + i, load(from + i));
      if (i < d) {
        store(to + i, load_part(from + i, d - i));
        i += lanes;
      }
    }
    for (; i < p.padded_dim; i += lanes) store(to + i, vec{});
  }
};

// What is known of a row after some positions: the largest score, the sum of exp(score - largest), and that of the values.
struct Partial {
  float *largest, *sum, *values;  // values: padded_dim
};

// Adds a later chunk to an earlier total. `total` with sum 0 is empty.
void merge(const Partial& total, const Partial& chunk, std::int64_t padded) {
  const float top = *total.largest > *chunk.largest ? *total.largest : *chunk.largest;
  float scales[lanes] = {*total.largest - top, *chunk.largest - top};
  store(scales, exp(load(scales)));
  *total.sum = *total.sum * scales[0] + *chunk.sum * scales[1];
  *total.largest = top;
  for (std::int64_t i = 0; i < padded; i += lanes)
    store(total.values + i, load(total.values + i) * scales[0] + load(chunk.values + i) * scales[1]);
}

// A thread's memory: queries of a block, one chunk's scores, a few rows of keys or values as f32.
struct Memory {
  float *queries, *scores, *rows, *largest, *sum, *values;
  Memory(void* scratch, const CpuParams& p) {
    const std::int64_t most = std::int64_t{block_rows} * (p.heads / p.kv_heads), d = p.padded_dim;
    queries = static_cast<float*>(scratch);
    scores = queries + most * d;
    rows = scores + most * chunk_positions;
    values = rows + 16 * d;
    largest = values + most * d;
    sum = largest + most;
  }
};

void read_queries(const CpuParams& p, const float* q, const Where& w, std::int64_t head, const Memory& m) {
  const std::int64_t group = p.heads / p.kv_heads, d = p.head_dim;
  for (std::int64_t r = 0; r < w.rows; ++r)
    for (std::int64_t g = 0; g < group; ++g) {
      const float* from = q + ((w.first + r) * p.heads + head * group + g) * d;
      float* to = m.queries + (r * group + g) * p.padded_dim;
      for (std::int64_t i = 0; i < p.padded_dim; i += lanes) {
        const std::int64_t left = d - i;
        store(to + i, left > 0 ? load_part(from + i, left < lanes ? left : lanes) * p.scale : vec{});
      }
    }
}

// Positions [begin, end) for all rows of the block: m.largest, m.sum, m.values. A row stops at its own position, and nothing
// of one row touches another: its bits are those it would have alone.
void do_chunk(const CpuParams& p, const Where& w, const Pages& keys, const Pages& values, std::int64_t begin, std::int64_t end, const Memory& m) {
  const std::int64_t group = p.heads / p.kv_heads, padded = p.padded_dim;
  auto count_of = [&](std::int64_t r) {  // positions of the chunk that row r sees
    const std::int64_t n = w.past + r + 1 - begin;
    return n < 0 ? 0 : n < end - begin ? n : end - begin;
  };
  const std::int64_t most = count_of(w.rows - 1);
  for (std::int64_t s = 0; s < most; s += lanes) {
    const std::int64_t n = most - s < lanes ? most - s : lanes;
    for (std::int64_t i = 0; i < n; ++i) {
      if (s + i + ahead < most) keys.prefetch(begin + s + i + ahead);
      keys.read(begin + s + i, m.rows + i * padded);
    }
    for (std::int64_t r = 0; r < w.rows; ++r) {
      if (count_of(r) <= s) continue;
      for (std::int64_t g = 0; g < group; ++g) {
        const float* query = m.queries + (r * group + g) * padded;
        vec part[lanes];
        for (int i = 0; i < lanes; i += 4) {  // rows behind n hold older keys: their scores are not used
          vec a = {}, b = {}, c = {}, e = {};
          const float* k = m.rows + i * padded;
          for (std::int64_t j = 0; j < padded; j += lanes) {
            const vec x = load(query + j);
            a += x * load(k + j);
            b += x * load(k + padded + j);
            c += x * load(k + 2 * padded + j);
            e += x * load(k + 3 * padded + j);
          }
          part[i] = a, part[i + 1] = b, part[i + 2] = c, part[i + 3] = e;
        }
        store(m.scores + (r * group + g) * chunk_positions + s, sums(part));
      }
    }
  }
  for (std::int64_t r = 0; r < w.rows; ++r)
    for (std::int64_t g = 0; g < group; ++g) {
      const std::int64_t n = count_of(r), row = r * group + g;
      float* score = m.scores + row * chunk_positions;
      for (std::int64_t i = n; i % lanes != 0; ++i) score[i] = lowest;
      vec top = splat(lowest), total = {};
      for (std::int64_t i = 0; i < n; i += lanes) top = max(top, load(score + i));
      const float peak = largest(top);
      for (std::int64_t i = 0; i < n; i += lanes) {
        const vec e = exp(load(score + i) - peak);
        store(score + i, e);
        total += e;
      }
      m.largest[row] = peak;
      m.sum[row] = sum(total);
      for (std::int64_t j = 0; j < padded; j += lanes) store(m.values + row * padded + j, vec{});
    }
  for (std::int64_t s = 0; s < most; s += 16) {
    const std::int64_t n = most - s < 16 ? most - s : 16;
    for (std::int64_t i = 0; i < n; ++i) {
      if (s + i + ahead < most) values.prefetch(begin + s + i + ahead);
      values.read(begin + s + i, m.rows + i * padded);
    }
    for (std::int64_t r = 0; r < w.rows; ++r) {
      const std::int64_t left = count_of(r) - s, use = left < n ? left : n;
      if (use <= 0) continue;
      for (std::int64_t g = 0; g < group; ++g) {
        const float* weight = m.scores + (r * group + g) * chunk_positions + s;
        float* to = m.values + (r * group + g) * padded;
        std::int64_t j = 0;
        for (; j + 4 * lanes <= padded; j += 4 * lanes) {
          vec a = load(to + j), b = load(to + j + lanes), c = load(to + j + 2 * lanes), e = load(to + j + 3 * lanes);
          for (std::int64_t i = 0; i < use; ++i) {
            const float* v = m.rows + i * padded + j;
            a += load(v) * weight[i];
            b += load(v + lanes) * weight[i];
            c += load(v + 2 * lanes) * weight[i];
            e += load(v + 3 * lanes) * weight[i];
          }
          store(to + j, a), store(to + j + lanes, b), store(to + j + 2 * lanes, c), store(to + j + 3 * lanes, e);
        }
        for (; j < padded; j += lanes) {
          vec a = load(to + j);
          for (std::int64_t i = 0; i < use; ++i) a += load(m.rows + i * padded + j) * weight[i];
          store(to + j, a);
        }
      }
    }
  }
}

void finish(const CpuParams& p, const Partial& total, float* y) {
  const float scale = 1.0f / *total.sum;
  for (std::int64_t i = 0; i < p.head_dim; i += lanes) {
    const std::int64_t n = p.head_dim - i < lanes ? p.head_dim - i : lanes;
    store_part(y + i, load(total.values + i) * scale, n);
  }
}

void clear(const Partial& total, std::int64_t padded) {
  *total.largest = lowest;
  *total.sum = 0;
  for (std::int64_t i = 0; i < padded; i += lanes) store(total.values + i, vec{});
}

}  // namespace

// A tile is a row of the step. Arguments: k, v, sequences, page_table, k_pages, v_pages.
void attention_append(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[2]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[3]);
  const std::int64_t row = std::int64_t{p.kv_heads} * p.head_dim;
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    const Where w = find_row(sequences, a->dims[p.sequences_symbol], t);
    if (w.sequence < 0) continue;
    const std::int64_t at = (std::int64_t{table[w.sequence * p.columns + w.past / p.page_size]} * p.page_size + w.past % p.page_size) * row;
    for (int side = 0; side < 2; ++side) {
      const float* from = static_cast<const float*>(a->pointers[side]) + t * row;
      if (!p.half) {
        std::memcpy(static_cast<float*>(a->pointers[4 + side]) + at, from, static_cast<std::size_t>(row) * 4);
        continue;
      }
      auto* to = static_cast<std::uint16_t*>(a->pointers[4 + side]) + at;
      std::int64_t i = 0;
      for (; i + lanes <= row; i += lanes) store_f16(to + i, load(from + i));
      if (i < row) {
        std::uint16_t rest[lanes];
        store_f16(rest, load_part(from + i, row - i));
        std::memcpy(to + i, rest, static_cast<std::size_t>(row - i) * 2);
      }
    }
  }
}

// A tile is (block of rows, kv head): the whole context. Arguments: q, sequences, page_table, k_pages, v_pages, y.
void attention_rows(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[1]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[2]);
  const std::int64_t group = p.heads / p.kv_heads, padded = p.padded_dim;
  const Memory m(a->thread_scratch, p);
  float* totals = m.sum + block_rows * group;
  float* heads_of_totals = totals + block_rows * group * padded;
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::int64_t head = tile % p.kv_heads;
    const Where w = find_block(sequences, a->dims[p.sequences_symbol], tile / p.kv_heads);
    if (w.sequence < 0) continue;
    const std::int32_t* pages = table + w.sequence * p.columns;
    read_queries(p, static_cast<const float*>(a->pointers[0]), w, head, m);
    auto total = [&](std::int64_t i) { return Partial{heads_of_totals + 2 * i, heads_of_totals + 2 * i + 1, totals + i * padded}; };
    for (std::int64_t i = 0; i < w.rows * group; ++i) clear(total(i), padded);
    const std::int64_t context = w.past + w.rows;
    for (std::int64_t begin = 0; begin < context; begin += chunk_positions) {
      const std::int64_t end = begin + chunk_positions < context ? begin + chunk_positions : context;
      do_chunk(p, w, {p, a->pointers[3], pages, head}, {p, a->pointers[4], pages, head}, begin, end, m);
      for (std::int64_t i = 0; i < w.rows * group; ++i)
        if (w.past + i / group >= begin) merge(total(i), {m.largest + i, m.sum + i, m.values + i * padded}, padded);
    }
    for (std::int64_t i = 0; i < w.rows * group; ++i)
      finish(p, total(i), static_cast<float*>(a->pointers[5]) + ((w.first + i / group) * p.heads + head * group + i % group) * p.head_dim);
  }
}

// A tile is (block of rows, kv head, part of the context). Arguments: q, sequences, page_table, k_pages, v_pages, partials
// [split_rows, heads, chunks, padded_dim + lanes].
void attention_chunks(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[1]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[2]);
  auto* partials = static_cast<float*>(a->pointers[5]);
  const std::int64_t group = p.heads / p.kv_heads, padded = p.padded_dim, stride = padded + 16;
  const Memory m(a->thread_scratch, p);
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::int64_t part = tile % p.parts, head = tile / p.parts % p.kv_heads;
    const Where w = find_block(sequences, a->dims[p.sequences_symbol], tile / p.parts / p.kv_heads);
    const std::int64_t context = w.past + w.rows;
    if (w.sequence < 0 || part * chunk_positions >= context) continue;
    const std::int32_t* pages = table + w.sequence * p.columns;
    read_queries(p, static_cast<const float*>(a->pointers[0]), w, head, m);
    for (std::int64_t chunk = part; chunk * chunk_positions < context; chunk += p.parts) {
      const std::int64_t begin = chunk * chunk_positions, end = begin + chunk_positions < context ? begin + chunk_positions : context;
      do_chunk(p, w, {p, a->pointers[3], pages, head}, {p, a->pointers[4], pages, head}, begin, end, m);
      for (std::int64_t i = 0; i < w.rows * group; ++i) {
        float* to = partials + (((w.first + i / group) * p.heads + head * group + i % group) * p.chunks + chunk) * stride;
        std::memcpy(to, m.values + i * padded, static_cast<std::size_t>(padded) * 4);
        to[padded] = m.largest[i];
        to[padded + 1] = m.sum[i];
      }
    }
  }
}

// A tile is (row, head). Arguments: sequences, partials, y.
void attention_merge(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[0]);
  auto* partials = static_cast<float*>(a->pointers[1]);
  const std::int64_t padded = p.padded_dim, stride = padded + 16;
  auto* values = static_cast<float*>(a->thread_scratch);
  float top = 0, sum_of_row = 0;
  const Partial total{&top, &sum_of_row, values};
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const Where w = find_row(sequences, a->dims[p.sequences_symbol], tile / p.heads);
    if (w.sequence < 0) continue;
    clear(total, padded);
    for (std::int64_t chunk = 0; chunk * chunk_positions <= w.past; ++chunk) {
      float* from = partials + (tile * p.chunks + chunk) * stride;
      merge(total, {from + padded, from + padded + 1, from}, padded);
    }
    finish(p, total, static_cast<float*>(a->pointers[2]) + tile * p.head_dim);
  }
}

}  // namespace switchyard::kernels::SY_ISA
