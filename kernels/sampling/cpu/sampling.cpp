// Tile i: row i. The order of tokens is only worked out as far as the draw reaches: a heap gives them up one by one.
#include "hal/call.h"
#include "kernels/common/cpu/math.h"
#include "kernels/sampling/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

std::int32_t largest(const float* logits, std::uint32_t n) {
  float best[16];
  for (float& b : best) b = logits[0];
  std::uint32_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int l = 0; l < 16; ++l) best[l] = logits[i + l] > best[l] ? logits[i + l] : best[l];
  for (; i < n; ++i) best[0] = logits[i] > best[0] ? logits[i] : best[0];
  for (int l = 1; l < 16; ++l) best[0] = best[l] > best[0] ? best[l] : best[0];
  for (i = 0; i < n; ++i)
    if (logits[i] == best[0]) return static_cast<std::int32_t>(i);
  return 0;  // NaN
}

// The sum of e^((logit - largest) / temperature) over a row.
double total(const float* logits, std::uint32_t n, float largest, float inverse) {
  double sums[16] = {};
  std::uint32_t i = 0;
  for (; i + 16 <= n; i += 16) {
    float e[16];
    for (int l = 0; l < 16; ++l) e[l] = exp((logits[i + l] - largest) * inverse);
    for (int l = 0; l < 16; ++l) sums[l] += e[l];
  }
  for (; i < n; ++i) sums[0] += exp((logits[i] - largest) * inverse);
  double sum = 0;
  for (double s : sums) sum += s;
  return sum;
}

// A binary heap of token ids; `first` is the order: the one for which it holds against all others stands on top.
template <class First>
void sift(std::int32_t* heap, std::uint32_t n, std::uint32_t i, First first) {
  const std::int32_t id = heap[i];
  for (;;) {
    std::uint32_t child = 2 * i + 1;
    if (child >= n) break;
    if (child + 1 < n && first(heap[child + 1], heap[child])) ++child;
    if (!first(heap[child], id)) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = id;
}
template <class First>
void make_heap(std::int32_t* heap, std::uint32_t n, First first) {
  for (std::uint32_t i = n / 2; i-- > 0;) sift(heap, n, i, first);
}

struct Order {
  const float* logits;
  bool operator()(std::int32_t a, std::int32_t b) const {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  }
};

// Leaves the ids of the k first in `ids`, in any order.
void select(std::int32_t* ids, const float* logits, std::uint32_t n, std::uint32_t k) {
  const Order order{logits};
  auto last = [&](std::int32_t a, std::int32_t b) { return order(b, a); };
  for (std::uint32_t i = 0; i < k; ++i) ids[i] = static_cast<std::int32_t>(i);
  make_heap(ids, k, last);
  for (std::uint32_t i = k; i < n; ++i) {
    if (!(logits[i] > logits[ids[0]])) continue;  // a tie goes to the lower id, which is in already
    ids[0] = static_cast<std::int32_t>(i);
    sift(ids, k, 0, last);
  }
}

std::int32_t draw(const float* logits, std::uint32_t n, std::int32_t* ids, const kernels::sampling::CpuParams& p,
                  float uniform) {
  const Order order{logits};
  const float top = logits[largest(logits, n)], inverse = 1.0f / p.temperature;
  const double all = total(logits, n, top, inverse);
  const std::uint32_t count =
      p.top_k > 0 && static_cast<std::uint32_t>(p.top_k) < n ? static_cast<std::uint32_t>(p.top_k) : n;
  if (count < n)
    select(ids, logits, n, count);
  else
    for (std::uint32_t i = 0; i < n; ++i) ids[i] = static_cast<std::int32_t>(i);
  make_heap(ids, count, order);
  // Rank j, once popped, stands at ids[count - 1 - j].
  std::uint32_t popped = 0;
  auto pop = [&] {
    const std::uint32_t left = count - popped++;
    const std::int32_t id = ids[0];
    ids[0] = ids[left - 1];
    ids[left - 1] = id;
    sift(ids, left - 1, 0, order);
    return static_cast<double>(exp((logits[id] - top) * inverse));
  };
  std::uint32_t set_count = count;
  double set = all;
  if (count < n || p.top_p < 1.0f) {
    set = 0;
    const double wanted = static_cast<double>(p.top_p) * all;
    while (popped < count) {
      set += pop();
      if (p.top_p < 1.0f && set >= wanted) break;
    }
    set_count = popped;
  }
  double running = 0;
  for (std::uint32_t j = 0; j < set_count; ++j) {
    if (j == popped) pop();
    const std::int32_t id = ids[count - 1 - j];
    running += exp((logits[id] - top) * inverse);
    if (running > static_cast<double>(uniform) * set) return id;
  }
  return ids[count - set_count];  // the sum of the set, rounded, was never exceeded
}

}  // namespace

void sampling(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::sampling::CpuParams*>(a->args);
  const auto* logits = static_cast<const float*>(a->pointers[0]);
  const auto* uniform = static_cast<const float*>(a->pointers[1]);
  auto* token = static_cast<std::int32_t*>(a->pointers[2]);
  auto* ids = static_cast<std::int32_t*>(a->thread_scratch);
  for (std::uint64_t r = a->first_tile; r < a->last_tile; ++r) {
    const float* row = logits + r * p.vocabulary;
    token[r] = p.temperature == 0.0f ? largest(row, p.vocabulary) : draw(row, p.vocabulary, ids, p, uniform[r]);
  }
}

}  // namespace switchyard::kernels::SY_ISA
