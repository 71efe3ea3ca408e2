// Measures a device, or a whole machine, with the real kernels. One file per measurement; each may be called alone.
#pragma once
#include <functional>
#include <span>

#include "probes/discover/devices.h"
#include "probes/measure/runner.h"

namespace switchyard::probes {

// Wall clock, with the host's share: written to (or read from) host-visible memory, copied by the device's queue,
// waited for.
struct CopyCurves {
  CopyCurve to_device, to_host;
};
hal::Result<CopyCurves> measure_copies(hal::Device& device, const Effort& effort, hal::Bytes largest);
// Between two devices, by the queue of `to`.
hal::Result<CopyCurve> measure_link(hal::Device& from, hal::Device& to, const Effort& effort, hal::Bytes largest);
// Two devices at once: a row through a matrix of 53 MB, and 64 rows through one of 1 MB.
hal::Result<std::array<Contention, 2>> measure_contention(hal::Device& a, hal::Device& b, const Effort& effort);
// A gemm of 32 x 32, from submission to the end as the host sees it.
hal::Result<Stat> measure_launch(hal::Device& device, const Effort& effort);
// One row through a matrix far larger than a cache (a slow device: through a smaller one): the best of f32 and q8_0
// weights.
hal::Result<Rate> measure_read(hal::Device& device, const Effort& effort);
// Rows of rmsnorm over arrays far larger than a cache, read once and written once: bytes read and written per second.
hal::Result<Rate> measure_stream(hal::Device& device, const Effort& effort);
// 256 rows through a matrix of 2048 x 2048 (a slow device: 32 rows, 1024 x 1024): the best of f32 and q8_0 weights.
// int8 and bf16: 512 rows that the device may round; it may compute in f32 all the same.
hal::Result<Rate> measure_compute(hal::Device& device, const Effort& effort, kernels::Products products);
// Products of registers alone (kernels/multiply_add). unsupported: the device has no kernel for them.
hal::Result<Rate> measure_peak(hal::Device& device, const Effort& effort, kernels::Products products);
// All the rates above, which a roofline needs. tell (may be empty) hears what comes next.
hal::Status measure_rates(hal::Device& device, const Effort& effort, DeviceProfile& profile,
                          const std::function<void(const std::string&)>& tell);
// The timed cases of one op (kernels/op.h); of those, if any are named, only these. unsupported cases are left out,
// with a note.
hal::Result<std::vector<OpEntry>> measure_op(hal::Device& device, const kernels::OpInfo& op, const Effort& effort,
                                             std::vector<std::string>& notes, std::span<const std::string> only = {});

// A unit of a model, as a segment whose constants may be without data; see scheduler/plan/plan.h.
struct UnitToMeasure {
  std::string name;
  hal::Segment segment;
};
// Compiled once for all steps (devices of fixed shapes: once per step). The first step is always measured; of the
// others, one that would not fit in `limit_seconds` is measured with fewer rows or left out, with a note.
hal::Result<std::vector<UnitEntry>> measure_unit(hal::Device& device, const UnitToMeasure& unit,
                                                 std::span<const Step> steps, const Effort& effort,
                                                 double limit_seconds, std::vector<std::string>& notes);
// Any segment at any dims.
hal::Result<UnitEntry> measure_segment(hal::Device& device, const hal::Segment& segment,
                                       const std::vector<std::int64_t>& dims,
                                       const std::map<std::uint32_t, kernels::Fill>& fills, const Effort& effort);

struct MeasureOptions {
  bool quick = false;                // a few seconds per device, no op table
  bool ops = true;                   // not in quick
  std::vector<UnitToMeasure> units;  // equal ones are measured once
  std::vector<Step> steps{{1, 1, 0, 1},   {8, 8, 256, 8}, {1, 1, 1024, 1},
                          {128, 1, 0, 1}, {2, 2, 256, 2}, {4, 4, 256, 4}};
  std::vector<std::string> devices;                                  // ids; empty: all
  double device_seconds = 0;                                         // for one device; 0: 5 in quick, else 120
  std::function<void(std::string_view what, double done)> progress;  // 0..1
};

hal::Result<DeviceProfile> measure_device(hal::Device& device, const MeasureOptions& options);
// A device that fails is left out and named in `failed`; unavailable when none is left.
hal::Result<Profile> measure_machine(Devices& devices, const MeasureOptions& options,
                                     std::vector<hal::Absence>& failed);

// Into `known`, which keeps what was not measured again.
void merge(Profile& known, const Profile& fresh);

}  // namespace switchyard::probes
