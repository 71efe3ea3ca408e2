#include "probes/measure/step.h"

#include <algorithm>

#include "kernels/attention/attention.h"

namespace switchyard::probes {
namespace {

using hal::Dim;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool is_table(const hal::Tensor& t, bool of_sequences) {
  return t.dtype == hal::DType::i32 && t.shape.size() == 2 && t.shape[0].symbol == kernels::sym_sequences &&
         (t.shape[1].max == kernels::Sequence::width && t.shape[1].symbol < 0) == of_sequences;
}

// Page tables and caches are known by the op that reads them.
std::vector<const hal::Node*> attentions(const hal::Segment& s) {
  std::vector<const hal::Node*> found;
  for (const hal::Node& n : s.nodes)
    if (n.op == "attention@1") found.push_back(&n);
  return found;
}

std::int64_t pages_each(const Step& step, std::int64_t page_size) {
  return std::max<std::int64_t>(1, divide_up(step.past + divide_up(step.rows, step.sequences), page_size));
}

}  // namespace

std::vector<std::int64_t> dims_of(const Step& step) { return {step.rows, step.sequences, step.logits}; }

Step relevant(const hal::Segment& segment, Step step) {
  if (attentions(segment).empty()) step.past = 0;
  bool has_logits = false;
  for (auto v : segment.inputs)
    for (const Dim& d : segment.values[v].shape) has_logits = has_logits || d.symbol == kernels::sym_logits;
  if (!has_logits) step.logits = 1;
  return step;
}

hal::Segment fitted(const hal::Segment& segment, const Step& step) {
  hal::Segment s = segment;
  auto dims = dims_of(step);
  for (hal::Tensor& t : s.values)
    for (Dim& d : t.shape) {
      if (d.symbol < 0 || static_cast<std::size_t>(d.symbol) >= dims.size()) continue;
      d.min = std::min(d.min, dims[static_cast<std::size_t>(d.symbol)]);
      d.max = std::max(d.max, dims[static_cast<std::size_t>(d.symbol)]);
    }
  for (auto v : s.states)
    if (!s.values[v].shape.empty()) s.values[v].shape[0] = Dim::fixed(step.sequences + 1);  // slot 0 holds zeros
  for (const hal::Node* n : attentions(s)) {
    auto page_size = std::max(n->attrs_as<kernels::attention::Attrs>().page_size, 1);
    std::int64_t pages = pages_each(step, page_size);
    s.values[n->in[4]].shape[1] = Dim::fixed(pages);
    for (std::size_t cache : {5, 6}) s.values[n->in[cache]].shape[0] = Dim::fixed(pages * step.sequences);
  }
  return s;
}

hal::Segment fixed_at(const hal::Segment& segment, const Step& step) {
  hal::Segment s = fitted(segment, step);
  auto dims = dims_of(step);
  for (hal::Tensor& t : s.values)
    for (Dim& d : t.shape)
      if (d.symbol >= 0 && static_cast<std::size_t>(d.symbol) < dims.size())
        d.min = d.max = dims[static_cast<std::size_t>(d.symbol)];
  return s;
}

std::map<std::uint32_t, kernels::Fill> fills_for(const hal::Segment& s, const Step& step) {
  std::map<std::uint32_t, kernels::Fill> fills;
  for (auto v : s.inputs) {
    const hal::Tensor& t = s.values[v];
    if (t.dtype != hal::DType::i32) continue;
    std::vector<double> values;
    if (is_table(t, true)) {
      for (std::int64_t q = 0; q < step.sequences; ++q) {
        std::int64_t begin = step.rows * q / step.sequences, end = step.rows * (q + 1) / step.sequences;
        for (auto x : {begin, end - begin, q + 1, q + 1, step.past}) values.push_back(static_cast<double>(x));
      }
    } else if (is_table(t, false)) {
      for (std::int64_t i = 0; i < step.sequences * t.shape[1].max; ++i) values.push_back(static_cast<double>(i));
    } else if (t.shape.size() == 1 && t.shape[0].symbol == kernels::sym_logits) {
      for (std::int64_t i = 0; i < step.logits; ++i)
        values.push_back(static_cast<double>(step.rows - 1 - i % step.rows));
    } else {
      values.assign(static_cast<std::size_t>(hal::elements(t, dims_of(step))), 0.0);
    }
    fills[v] = {0, 0, std::move(values)};
  }
  return fills;
}

}  // namespace switchyard::probes
