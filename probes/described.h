// Described machines: PCs that nobody measured here, from published figures and assumed shares of them, each device
// with its source ("switchyard.described_machine/1"; examples in machines/). For plans of machines that are elsewhere.
//
// Rates are {"peak": published, "share": assumed to be reached}, in 1e9 per second: read_gb_s (bytes), f32_gflop_s,
// int8_gop_s. submit_us: an almost empty program. copy_us and copy_gb_s: between the device and the host's memory.
// A device without memory_gb shares the host's memory, of which it takes at most limit_gb; usable_gb: of memory_gb,
// what programs may take. fixed_mb: taken once the device is used. power, if known: {"watts", "source"}, of the device
// at work. declines: ops it does not take, and why.
#pragma once
#include <functional>

#include "hal/segment.h"
#include "probes/profile.h"

namespace switchyard::probes {

struct Described {
  std::string name, title;
  Machine machine;
  Profile profile;  // rates say "described" and their source; no op was measured
  // What its devices would take, as they are described.
  std::function<hal::Claim(const hal::Info&, const hal::Segment&)> claim;
};

bool is_described(std::string_view text);  // by its schema; of any version
// io: another schema, a missing or wrong field, a figure outside 1e-6 to 1e7, memory that is
// more than there is, a share above 1; named.
hal::Result<Described> described_from_json(std::string_view text);

}  // namespace switchyard::probes
