// Four launches' functions: keys and values into their pages; then whole rows, or chunks of rows and their merging.
#include <cmath>

#include "hal/call.h"
#include "kernels/attention/cpu/direct.h"

namespace switchyard::kernels::SY_ISA {
namespace {

using kernels::attention::block_rows;

constexpr float lowest = -3.0e38f;  // below any score; finite, so that differences of it are

struct Where {
  std::int64_t sequence = -1, first = 0, rows = 0,
               past = 0;  // rows of the step [first, first + rows), the first at position past
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

// What is known of a row after some positions: the largest score, the sum of exp(score - largest), and that of the
// values.
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

// A thread's memory: queries of a block, one chunk's scores, a few positions' keys or values as f32. A query of the
// block is counted by kv head, then row, then head of the group.
struct Memory {
  float *queries, *scores, *rows, *largest, *sum, *values, *totals, *heads_of_totals;
  Memory(void* scratch, const CpuParams& p) {
    const std::int64_t most = std::int64_t{block_rows} * p.heads, d = p.padded_dim;
    queries = static_cast<float*>(scratch);
    scores = queries + most * d;
    rows = scores + most * chunk_positions;
    values = rows + at_once * p.kv_heads * d;
    totals = values + most * d;
    heads_of_totals = totals + most * d;
    largest = heads_of_totals + 2 * most;
    sum = largest + most;
  }
};

// The part of a block that a tile does: all its rows, some of the kv heads.
struct Tile {
  const CpuParams& p;
  Where w;
  std::int64_t head, heads, group;
  Tile(const CpuParams& params, const Where& where, std::int64_t first, std::int64_t count)
      : p(params), w(where), head(first), heads(count), group(params.heads / params.kv_heads) {}

  std::int64_t queries() const { return heads * w.rows * group; }
  std::int64_t row(std::int64_t query) const { return query / group % w.rows; }
  // Of q and y: which row of head_dim elements.
  std::int64_t place(std::int64_t query) const {
    return (w.first + row(query)) * p.heads + (head + query / (group * w.rows)) * group + query % group;
  }
  // Positions of [begin, end) that a row sees.
  std::int64_t count(std::int64_t r, std::int64_t begin, std::int64_t end) const {
    const std::int64_t n = w.past + r + 1 - begin;
    return n < 0 ? 0 : n < end - begin ? n : end - begin;
  }
};

void read_queries(const Tile& tile, const float* q, const Memory& m) {
  const std::int64_t d = tile.p.head_dim, padded = tile.p.padded_dim, queries = tile.queries();
  for (std::int64_t k = 0; k < queries; ++k)
    for (std::int64_t i = 0; i < padded; i += lanes) {
      const std::int64_t left = d - i;
      const float* from = q + tile.place(k) * d + i;
      store(m.queries + k * padded + i, left > 0 ? load_part(from, left < lanes ? left : lanes) * tile.p.scale : vec{});
    }
}

// A query times `lanes` unpacked keys; those behind the ones just read are older, and their scores are not used.
inline vec dots(const float* query, const float* keys, std::int64_t padded) {
  vec part[lanes];
  for (int i = 0; i < lanes; i += 4) {
    vec a = {}, b = {}, c = {}, e = {};
    const float* k = keys + i * padded;
    for (std::int64_t j = 0; j < padded; j += lanes) {
      const vec x = load(query + j);
      a += x * load(k + j);
      b += x * load(k + padded + j);
      c += x * load(k + 2 * padded + j);
      e += x * load(k + 3 * padded + j);
    }
    part[i] = a, part[i + 1] = b, part[i + 2] = c, part[i + 3] = e;
  }
  return sums(part);
}

// to += sum over n of weight[i] * values[i], in order.
inline void add_values(const float* values, const float* weight, std::int64_t n, float* to, std::int64_t padded) {
  std::int64_t j = 0;
  for (; j + 4 * lanes <= padded; j += 4 * lanes) {
    vec a = load(to + j), b = load(to + j + lanes), c = load(to + j + 2 * lanes), e = load(to + j + 3 * lanes);
    for (std::int64_t i = 0; i < n; ++i) {
      const float* v = values + i * padded + j;
      a += load(v) * weight[i];
      b += load(v + lanes) * weight[i];
      c += load(v + 2 * lanes) * weight[i];
      e += load(v + 3 * lanes) * weight[i];
    }
    store(to + j, a), store(to + j + lanes, b), store(to + j + 2 * lanes, c), store(to + j + 3 * lanes, e);
  }
  for (; j < padded; j += lanes) {
    vec a = load(to + j);
    for (std::int64_t i = 0; i < n; ++i) a += load(values + i * padded + j) * weight[i];
    store(to + j, a);
  }
}

// Scores of a row as weights; what is known of it so far but the values.
inline void soften(float* score, std::int64_t n, float* peak_of_row, float* sum_of_row) {
  for (std::int64_t i = n; i % lanes != 0; ++i) score[i] = lowest;
  vec top = splat(lowest), total = {};
  for (std::int64_t i = 0; i < n; i += lanes) top = max(top, load(score + i));
  const float peak = largest(top);
  for (std::int64_t i = 0; i < n; i += lanes) {
    const vec e = exp(load(score + i) - peak);
    store(score + i, e);
    total += e;
  }
  *peak_of_row = peak;
  *sum_of_row = sum(total);
}

// Positions [begin, end) for all queries of the tile: m.largest, m.sum, m.values. A row stops at its own position, and
// nothing of one query touches another: its bits are those it would have alone.
void do_chunk(const Tile& tile, const void* k_pages, const void* v_pages, const std::int32_t* table, std::int64_t begin,
              std::int64_t end, const Memory& m) {
  const std::int64_t padded = tile.p.padded_dim, queries = tile.queries(), stride = at_once * padded,
                     per_head = tile.w.rows * tile.group;
  const std::int64_t most = tile.count(tile.w.rows - 1, begin, end);
  const Pages keys{tile.p, k_pages, tile.head, tile.heads}, values{tile.p, v_pages, tile.head, tile.heads};
  const Places at(tile.p, table, begin, most);
  const bool direct = tile.w.rows == 1 && tile.group <= most_direct && tile.p.head_dim == padded;
  if (direct && most > 0) score_direct(tile.group, keys, at, most, m.queries, m.scores);
  for (std::int64_t s = 0; s < most && !direct; s += at_once) {
    const std::int64_t n = most - s < at_once ? most - s : at_once;
    for (std::int64_t i = 0; i < n; ++i) {
      if (s + i + ahead < most)
        keys.fetch(at.row[s + i + ahead]);
      else  // the values come next
        values.fetch(at.row[(s + i + ahead - most) % most]);
      keys.read(at.row[s + i], m.rows + i * padded, stride);
    }
    for (std::int64_t k = 0; k < queries; ++k) {
      const std::int64_t left = tile.count(tile.row(k), begin, end) - s;
      for (std::int64_t i = 0; i < at_once && i < left; i += lanes)
        store(m.scores + k * chunk_positions + s + i,
              dots(m.queries + k * padded, m.rows + k / per_head * stride + i * padded, padded));
    }
  }
  for (std::int64_t k = 0; k < queries; ++k) {
    soften(m.scores + k * chunk_positions, tile.count(tile.row(k), begin, end), m.largest + k, m.sum + k);
    for (std::int64_t j = 0; j < padded; j += lanes) store(m.values + k * padded + j, vec{});
  }
  if (direct && most > 0) sum_direct(tile.group, values, at, most, m.scores, m.values);
  for (std::int64_t s = 0; s < most && !direct; s += at_once) {
    const std::int64_t n = most - s < at_once ? most - s : at_once;
    for (std::int64_t i = 0; i < n; ++i) {
      if (s + i + ahead < most) values.fetch(at.row[s + i + ahead]);
      values.read(at.row[s + i], m.rows + i * padded, stride);
    }
    for (std::int64_t k = 0; k < queries; ++k) {
      const std::int64_t left = tile.count(tile.row(k), begin, end) - s;
      if (left > 0)
        add_values(m.rows + k / per_head * stride, m.scores + k * chunk_positions + s, left < n ? left : n,
                   m.values + k * padded, padded);
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
    const std::int64_t at =
        (std::int64_t{table[w.sequence * p.columns + w.past / p.page_size]} * p.page_size + w.past % p.page_size) * row;
    for (int side = 0; side < 2; ++side) {
      const float* from = static_cast<const float*>(a->pointers[side]) + t * row;
      keep_row(p.kept, from, row, static_cast<std::uint8_t*>(a->pointers[4 + side]) + p.bytes(at));
    }
  }
}

// A tile is (block of rows, part of the kv heads): the whole context. Arguments: q, sequences, page_table, k_pages,
// v_pages, y.
void attention_rows(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[1]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[2]);
  auto* y = static_cast<float*>(a->pointers[5]);
  const std::int64_t count = a->dims[p.sequences_symbol], padded = p.padded_dim;
  const std::int64_t blocks = p.blocks(a->dims[p.rows_symbol], count), parts = p.head_parts(blocks),
                     heads = p.kv_heads / parts;
  const Memory m(a->thread_scratch, p);
  auto total = [&](std::int64_t k) {
    return Partial{m.heads_of_totals + 2 * k, m.heads_of_totals + 2 * k + 1, m.totals + k * padded};
  };
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    const Where w = find_block(sequences, count, t / parts);
    if (w.sequence < 0) continue;
    const Tile tile(p, w, t % parts * heads, heads);
    read_queries(tile, static_cast<const float*>(a->pointers[0]), m);
    for (std::int64_t k = 0; k < tile.queries(); ++k) clear(total(k), padded);
    const std::int64_t context = w.past + w.rows;
    for (std::int64_t begin = 0; begin < context; begin += chunk_positions) {
      const std::int64_t end = begin + chunk_positions < context ? begin + chunk_positions : context;
      do_chunk(tile, a->pointers[3], a->pointers[4], table + w.sequence * p.columns, begin, end, m);
      for (std::int64_t k = 0; k < tile.queries(); ++k)
        if (tile.count(tile.row(k), begin, end) > 0)
          merge(total(k), {m.largest + k, m.sum + k, m.values + k * padded}, padded);
    }
    for (std::int64_t k = 0; k < tile.queries(); ++k) finish(p, total(k), y + tile.place(k) * p.head_dim);
  }
}

// A tile is (block of rows, part of the context). Arguments: q, sequences, page_table, k_pages, v_pages, partials
// [split_rows, heads, chunks, padded_dim + 16]: values, largest, sum.
void attention_chunks(const hal::CallArgs* a) {
  const auto& p = *static_cast<const CpuParams*>(a->args);
  const auto* sequences = static_cast<const std::int32_t*>(a->pointers[1]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[2]);
  auto* partials = static_cast<float*>(a->pointers[5]);
  const std::int64_t padded = p.padded_dim, stride = padded + 16;
  const Memory m(a->thread_scratch, p);
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    const Where w = find_block(sequences, a->dims[p.sequences_symbol], t / p.parts);
    const std::int64_t context = w.past + w.rows, part = t % p.parts;
    if (w.sequence < 0 || part * chunk_positions >= context) continue;
    const Tile tile(p, w, 0, p.kv_heads);
    read_queries(tile, static_cast<const float*>(a->pointers[0]), m);
    for (std::int64_t chunk = part; chunk * chunk_positions < context; chunk += p.parts) {
      const std::int64_t begin = chunk * chunk_positions,
                         end = begin + chunk_positions < context ? begin + chunk_positions : context;
      do_chunk(tile, a->pointers[3], a->pointers[4], table + w.sequence * p.columns, begin, end, m);
      for (std::int64_t k = 0; k < tile.queries(); ++k) {
        float* to = partials + (tile.place(k) * p.chunks + chunk) * stride;
        std::memcpy(to, m.values + k * padded, static_cast<std::size_t>(padded) * 4);
        to[padded] = m.largest[k];
        to[padded + 1] = m.sum[k];
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
