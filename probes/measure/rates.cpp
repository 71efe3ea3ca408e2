// Launch latency, streaming rate and arithmetic rate, through gemm; arithmetic also from registers alone.
#include "kernels/library.h"
#include "kernels/multiply_add/multiply_add.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "probes/measure/matrix.h"
#include "probes/measure/measure.h"

namespace switchyard::probes {
namespace {

using kernels::Products;

// Weight types that show what such products reach.
std::vector<hal::DType> types_for(Products products) {
  switch (products) {
    case Products::int8: return {hal::DType::q4_0, hal::DType::q8_0};
    case Products::bf16: return {hal::DType::bf16};
    default: return {hal::DType::f32, hal::DType::q8_0};
  }
}

struct Shape {
  std::int64_t rows, k, n;
};

// The best of some weight types by `share` of the op's cost per second. The small shape comes first: a device that
// takes long for it is measured by it, another by the large one.
hal::Result<Rate> best_rate(hal::Device& device, Shape small, Shape large, double kernels::Cost::*share,
                            const Effort& effort, Products products = Products::f32) {
  Rate best;
  std::string why;
  for (hal::DType type : types_for(products))
    for (bool is_large : {false, true}) {
      const Shape& shape = is_large ? large : small;
      hal::Segment s = matrix(type, shape.rows, shape.k, shape.n, products);
      const std::vector<std::int64_t> dims{shape.rows};
      std::string name = std::string("gemm ") + hal::to_string(type) + " T=" + std::to_string(shape.rows) +
                         " K=" + std::to_string(shape.k) + " N=" + std::to_string(shape.n) +
                         (products == Products::f32 ? "" : ", rounded activations");
      auto entry = measure_segment(device, s, dims, {}, effort);
      if (!entry) {
        why += (why.empty() ? "" : "; ") + name + ": " + hal::describe(entry.error());
        break;
      }
      double work = kernels::cost(s, dims).*share, rate = work / entry->seconds.median;
      // The large shape's answer replaces the small one's of the same type: a cache or a launch may have flattered or
      // hurt that.
      const bool slow = entry->seconds.median > effort.limit_seconds / 20;
      if ((slow || is_large) && rate > best.per_second) best = {rate, entry->seconds, name};
      if (slow) break;
    }
  if (best.per_second <= 0)
    return hal::Error{hal::Code::unsupported, device.info().id + " runs no gemm to be measured with: " + why};
  return best;
}

}  // namespace

hal::Result<Stat> measure_launch(hal::Device& device, const Effort& effort) {
  HAL_TRY(auto runner, Runner::make(device, matrix(hal::DType::f32, 1, 32, 32)));
  HAL_CHECK(runner->load({1}, {}));
  return runner->time_round_trip(effort);
}

hal::Result<Rate> measure_read(hal::Device& device, const Effort& effort) {
  return best_rate(device, {1, 2048, 2048}, {1, 4096, 12288}, &kernels::Cost::bytes, effort);
}

hal::Result<Rate> measure_stream(hal::Device& device, const Effort& effort) {
  constexpr std::int64_t width = 4096;
  Rate best;
  for (std::int64_t rows : {512, 8192}) {  // 8 and 128 MiB, each read and written
    kernels::SegmentBuilder b;
    auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, rows, rows), hal::Dim::fixed(width)});
    b.output(kernels::rmsnorm::append(b, x, b.constant(hal::DType::f32, {width}, 0, {}, nullptr), 1e-5f));
    hal::Segment s = b.take();
    auto entry = measure_segment(device, s, {rows}, {}, effort);
    if (!entry && best.per_second > 0) break;  // a device too small for the large one
    if (!entry) return entry.error();
    const double bytes = 2.0 * 4 * static_cast<double>(rows * width);
    best = {bytes / entry->seconds.median, entry->seconds, "rmsnorm T=" + std::to_string(rows) + " D=4096"};
    if (entry->seconds.median > effort.limit_seconds / 20) break;
  }
  return best;
}

hal::Result<Rate> measure_compute(hal::Device& device, const Effort& effort, Products products) {
  const Shape large{products == Products::f32 ? 256 : 512, 2048, 2048};
  return best_rate(device, {32, 1024, 1024}, large, &kernels::Cost::flops, effort, products);
}

hal::Result<Rate> measure_peak(hal::Device& device, const Effort& effort, Products products) {
  Rate best;
  for (std::int64_t rows : {16, 256, 8192}) {
    kernels::SegmentBuilder b;
    auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, rows, rows), hal::Dim::fixed(16)});
    b.output(kernels::multiply_add::append(b, x, {192 * 1024, products}));
    hal::Segment s = b.take();
    auto entry = measure_segment(device, s, {rows}, {}, effort);
    if (!entry && best.per_second > 0) break;
    if (!entry) return entry.error();
    // The fastest sample: a peak is what can be had at all.
    best = {kernels::cost(s, std::vector<std::int64_t>{rows}).flops / entry->seconds.min, entry->seconds,
            std::string("multiply_add ") + kernels::to_string(products) + " T=" + std::to_string(rows)};
    // Long enough; the larger ones are for devices that this does not fill. Fewer samples than wanted: the host's time
    // is up, whatever the device's clock says.
    if (entry->seconds.median > 1e-3 || entry->seconds.samples < effort.samples) break;
  }
  return best;
}

hal::Status measure_rates(hal::Device& device, const Effort& effort, DeviceProfile& profile,
                          const std::function<void(const std::string&)>& tell) {
  if (tell) tell("bandwidth");
  HAL_TRY(profile.read, measure_read(device, effort));
  HAL_TRY(profile.stream, measure_stream(device, effort));
  if (tell) tell("arithmetic");
  for (Products p : kernels::all_products) {
    auto peak = measure_peak(device, effort, p);
    if (!peak && peak.error().code != hal::Code::unsupported) return peak.error();
    if (peak) profile.peak[p] = std::move(peak).value();
    // Products that are hardly faster than those of f32 are not what the device's kernels multiply with.
    const double f32 = profile.peak[Products::f32].per_second;
    if (p != Products::f32 && profile.peak[p].per_second <= 1.1 * f32) continue;
    HAL_TRY(profile.compute[p], measure_compute(device, effort, p));
  }
  return hal::ok();
}

}  // namespace switchyard::probes
