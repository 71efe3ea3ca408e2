// Profile: how fast a machine is. Every number was measured there, with its circumstances, or says that it is described
// (described.h); kept as JSON
// ("switchyard.profile/2", sorted keys) and bound to machine, driver and build.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/op.h"
#include "probes/machine.h"

namespace switchyard::probes {

// Seconds of one repetition. spread: distance of the quartiles over the median; beyond noisy_spread the number is shown
// with a warning instead of being trusted silently.
struct Stat {
  double median = 0, min = 0, max = 0, spread = 0;
  int samples = 0;  // each the mean of `runs` repetitions
  int runs = 1;
  int warmup = 0;                                // repetitions before the first sample
  bool measured() const { return samples > 0; }  // else it was described
  bool noisy() const;
};
inline constexpr double noisy_spread = 0.25;
// samples: seconds, at least one.
Stat summarize(std::vector<double> samples, int runs, int warmup);

struct CopyPoint {
  hal::Bytes bytes = 0;
  Stat seconds;
};
// Between the measured sizes by straight lines, beyond them by the bandwidth of the largest, below at the time of the
// smallest.
struct CopyCurve {
  std::vector<CopyPoint> points;  // by size
  double seconds(double bytes) const;
  double gb_s() const;  // at the largest size, in 1e9 bytes per second; 0: no points
};

// A rate and the work it was measured with.
struct Rate {
  double per_second = 0;  // bytes, or floating-point operations
  Stat seconds;
  std::string with;  // "gemm f32 T=1 K=2048 N=8192"
};

class ByProducts {
 public:
  Rate& operator[](kernels::Products p) { return rates_[static_cast<std::size_t>(p)]; }
  const Rate& operator[](kernels::Products p) const { return rates_[static_cast<std::size_t>(p)]; }

 private:
  std::array<Rate, std::size(kernels::all_products)> rates_;
};

struct OpEntry {
  std::string op, name;  // "gemm@1" and the case's name
  std::string weights;   // type of the first constant, or empty
  std::string variant;   // empty: the library's choice
  kernels::Products products = kernels::Products::f32;
  std::int64_t rows = 0;
  double flops = 0, bytes = 0;
  Stat seconds;
};

// A step's size. past: tokens every sequence already has; logits: rows whose logits are wanted.
struct Step {
  std::int64_t rows = 1, sequences = 1, past = 0, logits = 1;
};
bool operator==(const Step& a, const Step& b);

// A unit (a layer's mixer or feed-forward part, the embedding, the head) as a whole.
struct UnitEntry {
  std::string key;   // unit_key() of its segment
  std::string name;  // "layer 3 (mamba)", for readers
  Step step;
  hal::Bytes resident = 0, scratch = 0;  // as the device's program said
  Stat seconds;
};

// What something takes while it works, above what the machine takes at rest; or the machine at rest.
struct Power {
  double watts = 0;
  bool measured = false;  // else declared, by whoever wrote it down
  std::string from;       // a counter, a data sheet, an option
};
inline const char* source_of(const Power& p) { return p.measured ? "measured" : "declared"; }

struct DeviceProfile {
  std::string id, driver, build, date;  // date: UTC, "2031-05-04T12:00:00Z"
  Rate read, stream;                    // bytes read, and read and written, per second
  // Operations per second of the matrix kernels, and of registers alone. 0: not measured.
  ByProducts compute, peak;
  double bandwidth() const { return read.per_second > stream.per_second ? read.per_second : stream.per_second; }
  // What to expect of such products, and what they can reach at most; a device may always compute in f32.
  double arithmetic(kernels::Products products) const;
  double most_arithmetic(kernels::Products products) const;
  Stat launch;  // an almost empty program, from submit to its end as seen by the host
  std::optional<Power> power;
  CopyCurve to_device, to_host;
  std::vector<OpEntry> ops;
  std::vector<UnitEntry> units;
  std::vector<std::string> notes;  // what was not measured and why
};

struct Link {
  std::string from, to;
  std::string path;  // "staged", "peer", "shared"
  CopyCurve copies;
};

// How many times longer work takes on `device` while `beside` works too, all the time and on the same sort of work.
struct Contention {
  std::string device, beside;
  double reads = 1, arithmetic = 1;  // of a matrix of 53 MB; of products of one that caches hold. At least 1
};

struct Profile {
  std::string machine;  // key() of the machine
  std::vector<DeviceProfile> devices;
  std::vector<Link> links;
  std::vector<Contention> contention;
  std::optional<Power> rest;  // of the machine; none: energy is what devices take above it

  const DeviceProfile* device(std::string_view id) const;  // null: not measured
  const Link* link(std::string_view from, std::string_view to) const;
  const Contention* beside(std::string_view device, std::string_view other) const;
};

// The same for all segments that do the same work per step: sizes of steps, slots and pages are left out, attributes,
// weight shapes and types are not.
std::string unit_key(const hal::Segment& segment);

// Of this program: of its code, so that numbers measured with other kernels are not taken for its own.
std::string build_id();

// unavailable, naming both sides: measured on another machine, with another driver, or by another build. Devices the
// profile does not have are no error.
hal::Status check_fresh(const Profile& profile, const Machine& machine, std::string_view build);

std::string to_json(const Profile& profile);
hal::Result<Profile> profile_from_json(std::string_view text);

// $XDG_CACHE_HOME/switchyard (else ~/.cache/switchyard) /profile-<machine key>.json. unavailable: neither is set.
hal::Result<std::string> cache_path(const Machine& machine);
// Written beside and renamed, so that a reader never sees half a file. Makes the folder.
hal::Status save(const Profile& profile, const std::string& path);
hal::Result<Profile> load_profile(const std::string& path);  // not_found: no such file

}  // namespace switchyard::probes
