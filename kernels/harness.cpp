#include "kernels/harness.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/common/quant.h"
#include "kernels/library.h"

namespace switchyard::kernels {
namespace {

template <class T>
void store(std::vector<std::byte>& to, std::size_t i, T v) {
  std::memcpy(to.data() + i * sizeof(T), &v, sizeof(T));
}
template <class T>
T load(std::span<const std::byte> from, std::size_t i) {
  T v;
  std::memcpy(&v, from.data() + i * sizeof(T), sizeof(T));
  return v;
}

}  // namespace

std::vector<std::byte> encode(const Tensor& tensor, Dims dims, const std::vector<double>& values) {
  std::vector<std::byte> bytes(tensor_bytes(tensor, dims));
  if (is_weight_type(tensor.dtype)) {
    std::vector<float> f(values.begin(), values.end());
    quantize_row(tensor.dtype, f.data(), static_cast<std::int64_t>(f.size()), bytes.data());
    return bytes;
  }
  for (std::size_t i = 0; i < values.size(); ++i) switch (tensor.dtype) {
      case DType::i32: store(bytes, i, static_cast<std::int32_t>(values[i])); break;
      case DType::i64: store(bytes, i, static_cast<std::int64_t>(values[i])); break;
      default: store(bytes, i, static_cast<std::int8_t>(values[i])); break;
    }
  return bytes;
}

std::vector<double> decode(const Tensor& tensor, Dims dims, std::span<const std::byte> bytes) {
  std::vector<double> values(static_cast<std::size_t>(elements(tensor, dims)));
  if (dequantize_row(tensor.dtype, bytes.data(), static_cast<std::int64_t>(values.size()), values.data()))
    return values;
  for (std::size_t i = 0; i < values.size(); ++i) switch (tensor.dtype) {
      case DType::i32: values[i] = load<std::int32_t>(bytes, i); break;
      case DType::i64: values[i] = static_cast<double>(load<std::int64_t>(bytes, i)); break;
      default: values[i] = load<std::int8_t>(bytes, i); break;
    }
  return values;
}

CaseData make_data(const Case& c, std::uint64_t seed) {
  CaseData data{c, {}, {}};
  Segment& s = data.c.segment;
  data.bytes.resize(s.values.size());
  data.exact.resize(s.values.size());
  std::mt19937_64 random(seed);
  auto fill = [&](std::uint32_t v) {
    const Tensor& t = s.values[v];
    Fill f = c.fills.count(v) ? c.fills.at(v) : Fill{};
    auto n = static_cast<std::size_t>(elements(t, c.dims));
    std::vector<double> values = f.values;
    if (values.empty()) {
      std::uniform_real_distribution<double> uniform(f.lo, f.hi);
      values.resize(n);
      for (double& x : values) x = t.dtype == DType::i32 ? std::floor(uniform(random)) : uniform(random);
    }
    values.resize(n);
    data.bytes[v] = encode(t, c.dims, values);
    data.exact[v] = decode(t, c.dims, data.bytes[v]);
  };
  for (auto v : s.inputs) fill(v);
  for (auto v : s.states) fill(v);
  for (Constant& k : s.constants) {
    if (k.data.empty()) {
      fill(k.value);
      auto owned = std::make_shared<std::vector<std::byte>>(data.bytes[k.value]);
      k.data = *owned;
      k.owner = owned;
      k.key = k.key * 1000003 + seed * 31 + hash(s) + k.value;
    } else {
      data.bytes[k.value].assign(k.data.begin(), k.data.end());
      data.exact[k.value] = decode(s.values[k.value], c.dims, k.data);
    }
  }
  return data;
}

Status run_reference(const CaseData& data, std::vector<std::vector<double>>& values) {
  values = data.exact;
  const Segment& s = data.c.segment;
  for (const Node& node : s.nodes) {
    const OpInfo* op = find_op(node.op);
    if (!op) return Error{Code::not_found, "op " + node.op};
    ReferenceArgs args{s, node, data.c.dims, values};
    HAL_CHECK(op->reference(args));
  }
  return ok();
}

Result<CaseRun> run_on(Device& device, const CaseData& data, int repeats) {
  const Segment& s = data.c.segment;
  HAL_TRY(ProgramRef program, device.compile(s, {}));
  HAL_TRY(auto queue, device.create_queue(QueueKind::any));
  HAL_TRY(TimelineRef timeline, device.create_timeline(0));
  Run run{program, {}, data.c.dims, {}};
  for (const auto* list : {&s.inputs, &s.states, &s.outputs})
    for (auto v : *list) {
      Bytes bytes = std::max<Bytes>(tensor_bytes(s.values[v], data.c.dims), 4);
      HAL_TRY(BufferRef buffer, device.allocate({bytes, Memory::device, "case"}));
      if (!data.bytes[v].empty()) HAL_CHECK(buffer->write(0, data.bytes[v]));
      run.slices.push_back({buffer, 0, bytes});
    }
  if (program->scratch()) {
    HAL_TRY(run.scratch.buffer, device.allocate({program->scratch(), Memory::device, "scratch"}));
    run.scratch.bytes = program->scratch();
  }
  CaseRun result;
  result.resident = program->resident();
  for (int i = 0; i < repeats; ++i) {
    auto timing = std::make_shared<Timing>();
    auto value = static_cast<std::uint64_t>(i + 1);
    HAL_CHECK(queue->submit({{}, {run}, {{timeline, value}}, timing}));
    HAL_CHECK(timeline->wait(value, std::chrono::minutes(5)));
    result.seconds = std::chrono::duration<double>(timing->end - timing->begin).count();
    result.samples.push_back(result.seconds);
  }
  result.values.resize(s.values.size());
  std::size_t i = 0;
  for (const auto* list : {&s.inputs, &s.states, &s.outputs})
    for (auto v : *list) {
      const Slice& slice = run.slices[i++];
      if (list == &s.inputs) continue;
      std::vector<std::byte> bytes(tensor_bytes(s.values[v], data.c.dims));
      HAL_CHECK(slice.buffer->read(0, bytes));
      result.values[v] = decode(s.values[v], data.c.dims, bytes);
    }
  return result;
}

Comparison compare(const CaseData& data, const std::vector<std::vector<double>>& reference, const CaseRun& run) {
  Comparison worst;
  const Segment& s = data.c.segment;
  for (const auto* list : {&s.states, &s.outputs})
    for (auto v : *list) {
      double largest = 0, difference = 0;
      for (std::size_t i = 0; i < reference[v].size(); ++i) {
        largest = std::max(largest, std::abs(reference[v][i]));
        double d = std::abs(reference[v][i] - (i < run.values[v].size() ? run.values[v][i] : NAN));
        difference = std::isfinite(d) ? std::max(difference, d) : INFINITY;
      }
      double error = difference == 0 ? 0 : difference / (largest > 0 ? largest : 1);
      if (error > worst.error) worst = {error, v};
    }
  return worst;
}

}  // namespace switchyard::kernels
