// What a kernel device keeps of a compiled segment: the launches, and where every value lives at run time.
// Shared by all backends that run launches, so that a backend only loads code and calls it.
#pragma once
#include <map>
#include <mutex>

#include "hal/kernels.h"
#include "hal/program.h"

namespace switchyard::hal {

struct Place {
  enum class Where : std::uint8_t { nowhere, slice, constant, scratch };
  Where where = Where::nowhere;
  std::uint32_t index = 0;      // of Run::slices, or of LaunchPlan::constants
  Bytes offset = 0, bytes = 0;  // scratch: offset in it; bytes: the largest extent
};

struct LaunchPlan {
  // A constant as a device must hold it: the packed bytes of several sources, or one source as it is. One for all
  // values of equal key (not 0) and layout.
  struct Held {
    std::uint64_t key = 0;
    std::string layout;  // empty: as it is
    Bytes bytes = 0;
    std::vector<Constant> sources;
    std::function<Status(std::span<const std::span<const std::byte>>, std::span<std::byte>)> pack;
    Status write(std::span<std::byte> to) const;  // packs or copies
  };
  std::vector<Launch> launches;
  std::vector<bool>
      barrier_before;         // one per launch: it touches what an earlier one since the last barrier wrote (or read)
  std::vector<Place> places;  // one per value and temporary
  std::vector<Held> constants;
  std::size_t slices = 0;                        // Run::slices must have this many
  std::vector<Tensor> slice_tensors;             // their shapes, for checks
  std::uint32_t first_state = 0, end_state = 0;  // which slices are states: their whole slice may be touched, see Run
  bool is_state(const Place& place) const {
    return place.where == Place::Where::slice && place.index >= first_state && place.index < end_state;
  }
  Bytes scratch = 0;
  Bytes resident = 0;

  // align: offsets in scratch are multiples of it. Internal error if a launch names a value that is nowhere.
  static Result<LaunchPlan> make(const Segment& segment, Lowered lowered, Bytes align);

  // The memory of an argument. constants: one buffer per `constants`.
  Slice resolve(const Arg& arg, const Run& run, std::span<const BufferRef> constant_buffers) const;
  // Slice count and sizes against the shapes at run.dims, and the scratch size.
  Status check(const Run& run, Dims dims) const;
};

// Device constants shared by key (not 0) and layout between programs; an entry lives as long as a program holds its
// buffer.
class ConstantStore {
 public:
  template <class Make>
  Result<BufferRef> get(std::uint64_t key, const std::string& layout, Make&& make) {
    if (!key) return make();
    std::lock_guard lock(mutex_);
    auto& entry = entries_[{key, layout}];
    if (BufferRef held = entry.lock()) return held;
    HAL_TRY(BufferRef made, make());
    entry = made;
    return made;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::string>, std::weak_ptr<Buffer>> entries_;
};

// max_symbols numbers: run.dims, missing ones as 0.
std::array<std::int64_t, max_symbols> padded(const std::vector<std::int64_t>& dims);

// The parameter block of a GPU launch: int32 dims[max_symbols], then Launch::args.
std::vector<std::byte> parameter_block(const Launch& launch, Dims dims);

// False where a guard says no, or the grid is empty.
bool runs(const Launch& launch, Dims dims);

}  // namespace switchyard::hal
