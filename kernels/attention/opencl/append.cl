// -DHALF=0|1. The step's keys and values go to their pages. Grid: (kv_heads * head_dim / 64, rows).
typedef struct {
  int dims[4];
  Count rows, sequences;
  int width, page_size, columns;  // width: kv_heads * head_dim; columns: of the page table
} Params;

#if HALF
typedef half Kept;
#define PUT(value, at, pages) vstore_half_rte(value, at, pages)
#else
typedef float Kept;
#define PUT(value, at, pages) pages[at] = value
#endif

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void append(
    __global const float *k, __global const float *v, __global const int *sequences, __global const int *page_table,
    __global Kept *k_pages, __global Kept *v_pages, Params p) {
  const int i = get_global_id(0), t = get_group_id(1);
  const int which = sequence_of(sequences, count_of(p.sequences, p.dims), t);
  if (i >= p.width || which < 0) return;
  const Sequence s = sequence_at(sequences, which);
  const int position = s.past + t - s.row_begin;
  const int page = page_table[which * p.columns + position / p.page_size];
  const size_t to = ((size_t)page * p.page_size + position % p.page_size) * p.width + i, from = (size_t)t * p.width + i;
  PUT(k[from], to, k_pages);
  PUT(v[from], to, v_pages);
}
