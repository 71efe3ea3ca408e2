#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/common/fills.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::attention {
namespace {

struct Shape {
  const char* name;
  std::int32_t heads, kv_heads, head_dim, page_size;
  std::vector<Part> parts;
  DType dtype = DType::f32;
  double scale = 1;     // of q and k: "hot" scores differ by more than exp can bear
  bool poison = false;  // rows past the context hold numbers that would show
  bool timed = false;
};

Case make(const Shape& p) {
  SegmentBuilder b;
  const std::int64_t rows = rows_of(p.parts), count = static_cast<std::int64_t>(p.parts.size());
  std::int64_t columns = 1, pages = 1;
  for (const Part& q : p.parts)
    columns = std::max<std::int64_t>(columns, (q.past + q.rows + p.page_size - 1) / p.page_size);
  pages = count * columns + 1;
  Dim t = Dim::open(sym_rows, 1, rows), s = Dim::open(sym_sequences, 1, count);
  const std::int64_t kv = std::int64_t{p.kv_heads} * p.head_dim;
  Inputs in{};
  in.q = b.input(DType::f32, {t, Dim::fixed(std::int64_t{p.heads} * p.head_dim)});
  in.k = b.input(DType::f32, {t, Dim::fixed(kv)});
  in.v = b.input(DType::f32, {t, Dim::fixed(kv)});
  in.sequences = b.input(DType::i32, {s, Dim::fixed(Sequence::width)});
  in.page_table = b.input(DType::i32, {s, Dim::fixed(columns)});
  const std::vector<Dim> shape{Dim::fixed(pages), Dim::fixed(p.page_size), Dim::fixed(p.kv_heads),
                               Dim::fixed(p.head_dim)};
  in.k_pages = b.state(p.dtype, shape);
  in.v_pages = b.state(p.dtype, shape);
  const float scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim));
  b.output(append(b, in, {p.heads, p.kv_heads, p.head_dim, p.page_size, scale}));

  // Pages handed out in an order of their own: backwards, sequences interleaved.
  Fill table;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t c = 0; c < columns; ++c) table.values.push_back(double(pages - 1 - (c * count + i)));
  Fill keys{-p.scale, p.scale, {}}, values{-1, 1, {}};
  if (p.poison) {
    keys = state_fill(pages, p.page_size * kv, -p.scale, p.scale);
    values = state_fill(pages, p.page_size * kv, -1, 1);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t r = p.parts[i].past; r < columns * p.page_size; ++r) {
        const auto page = static_cast<std::int64_t>(table.values[i * columns + r / p.page_size]);
        for (std::int64_t e = 0; e < kv; ++e) {
          const auto at = static_cast<std::size_t>((page * p.page_size + r % p.page_size) * kv + e);
          keys.values[at] = values.values[at] = e % 2 ? 3e4 : -3e4;
        }
      }
  }
  Fill new_keys{-p.scale, p.scale, {}}, new_values{-1, 1, {}};
  if (p.dtype == DType::q8_0) new_keys = new_values = lossless_rows(rows, kv);  // or a tie could round either way
  return {p.name,
          b.take(),
          {rows, count},
          {{in.q, {-p.scale, p.scale, {}}},
           {in.k, new_keys},
           {in.v, new_values},
           {in.sequences, sequence_fill(p.parts)},
           {in.page_table, table},
           {in.k_pages, keys},
           {in.v_pages, values}},
          p.timed,
          !p.timed};
}

}  // namespace

std::vector<Case> cases() {
  // past and rows on, before and across page borders of 8
  const std::vector<Part> mixed{{19, 0, 1, 0}, {1, 2, 2, 40}, {2, 3, 4, 7}, {1, 0, 5, 0},
                                {7, 6, 6, 13}, {1, 7, 8, 15}, {9, 7, 8, 16}};
  std::vector<Case> all;
  for (const Shape& p : std::vector<Shape>{
           {"first_row", 2, 2, 16, 8, {{1, 0, 1, 0}}},
           {"decode_17", 4, 4, 32, 8, {{1, 1, 1, 17}}},
           {"prefill_33", 4, 2, 32, 16, {{33, 0, 1, 0}}},
           {"mixed", 4, 4, 16, 8, mixed},
           {"mixed_grouped", 6, 2, 32, 8, mixed},
           {"mixed_one_kv_head", 5, 1, 64, 8, mixed},
           {"mixed_f16", 6, 2, 32, 8, mixed, DType::f16},
           {"mixed_hot", 6, 2, 16, 8, mixed, DType::f32, 8},
           {"mixed_poison", 6, 2, 32, 8, mixed, DType::f32, 1, true},
           {"mixed_poison_f16", 6, 2, 32, 8, mixed, DType::f16, 1, true},
           {"mixed_q8_0", 6, 2, 32, 8, mixed, DType::q8_0},
           {"granite_h_tiny_head_q8_0", 12, 4, 128, 16, {{3, 0, 1, 130}, {1, 1, 1, 300}}, DType::q8_0},
           {"odd_sizes", 6, 3, 20, 5, mixed},
           {"granite_h_tiny_head", 12, 4, 128, 16, {{3, 0, 1, 130}, {1, 1, 1, 300}}, DType::f16},
           {"page_of_one", 2, 1, 16, 1, {{5, 0, 1, 3}}},
           {"granite_h_tiny_decode_8k", 12, 4, 128, 256, {{1, 1, 1, 8191}}, DType::f16, 1, false, true},
           {"granite_h_tiny_decode_8k_q8_0", 12, 4, 128, 256, {{1, 1, 1, 8191}}, DType::q8_0, 1, false, true},
           {"granite_h_tiny_decode_8k_f32", 12, 4, 128, 256, {{1, 1, 1, 8191}}, DType::f32, 1, false, true},
           {"granite_h_micro_decode_8k", 32, 8, 64, 256, {{1, 1, 1, 8191}}, DType::f16, 1, false, true},
           {"granite_h_tiny_prefill_512", 12, 4, 128, 256, {{512, 0, 1, 0}}, DType::f16, 1, false, true},
       })
    all.push_back(make(p));
  return all;
}

}  // namespace switchyard::kernels::attention
