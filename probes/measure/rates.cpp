// Launch latency, streaming rate and arithmetic rate, all through gemm.
#include "kernels/gemm/gemm.h"
#include "kernels/library.h"
#include "probes/measure/measure.h"

namespace switchyard::probes {
namespace {

hal::Segment matrix(hal::DType type, std::int64_t rows, std::int64_t k, std::int64_t n) {
  kernels::SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, rows, rows), hal::Dim::fixed(k)});
  b.output(kernels::gemm::append(b, x, b.constant(type, {n, k}, 0, {}, nullptr)));
  return b.take();
}

// The better of the two weight types, by `share` of the op's cost per second.
hal::Result<Rate> best_rate(hal::Device& device, std::int64_t rows, std::int64_t k, std::int64_t n, double kernels::Cost::*share, const Effort& effort) {
  Rate best;
  std::string why;
  for (hal::DType type : {hal::DType::f32, hal::DType::q8_0}) {
    hal::Segment s = matrix(type, rows, k, n);
    auto entry = measure_segment(device, s, {rows}, {}, effort);
    std::string name = std::string("gemm ") + hal::to_string(type) + " T=" + std::to_string(rows) + " K=" + std::to_string(k) + " N=" + std::to_string(n);
    if (!entry) {
      why += (why.empty() ? "" : "; ") + name + ": " + hal::describe(entry.error());
      continue;
    }
    std::vector<std::int64_t> dims{rows};
    double rate = kernels::cost(s, dims).*share / entry->seconds.median;
    if (rate > best.per_second) best = {rate, entry->seconds, name};
  }
  if (best.per_second <= 0) return hal::Error{hal::Code::unsupported, device.info().id + " runs no gemm to be measured with: " + why};
  return best;
}

}  // namespace

hal::Result<Stat> measure_launch(hal::Device& device, const Effort& effort) {
  HAL_TRY(auto runner, Runner::make(device, matrix(hal::DType::f32, 1, 32, 32)));
  HAL_CHECK(runner->load({1}, {}));
  return runner->time_round_trip(effort);
}

hal::Result<Rate> measure_read(hal::Device& device, const Effort& effort) {
  return best_rate(device, 1, 4096, 12288, &kernels::Cost::bytes, effort);
}

hal::Result<Rate> measure_compute(hal::Device& device, const Effort& effort) {
  return best_rate(device, 256, 2048, 2048, &kernels::Cost::flops, effort);
}

}  // namespace switchyard::probes
