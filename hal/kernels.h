// Kernels: the way from ops to code. A device is handed one when it is opened; kernels/library.h implements it once.
#pragma once
#include <array>
#include <functional>

#include "hal/call.h"
#include "hal/segment.h"

namespace switchyard::hal {

// Argument of a launch: a value of the segment, or a temporary (index - segment.values.size() into
// Lowered::temporaries).
struct Arg {
  std::uint32_t value = no_value;  // no_value: a null pointer, or any small buffer where an API wants one
  Bytes offset = 0, bytes = 0;     // a part of it (multiples of Limits::align); bytes == 0: to the end
  bool write = false;              // written (or read and written); decides where barriers stand
};

// One piece of work as data: it can be checked for coverage and bounds on a machine without the device.
//   call:         call(args, tiles of grid[0])
//   opencl_c:     code is source text; kernel arguments: the buffers in order, then one by-value struct
//   spirv_*:      code is the module; descriptor binding i = argument i
//   On a GPU the struct (OpenCL) or the push constants (Vulkan) are: int32 dims[max_symbols], then `args`.
struct Launch {
  Format format = Format::call;
  std::span<const std::byte> code;  // static storage
  std::string build_options;        // opencl_c only
  Call call = nullptr;
  std::string entry = "main";
  std::array<std::uint32_t, 3> group{1, 1, 1};  // workgroup size in threads
  std::array<std::uint32_t, 3> (*grid)(const Launch&,
                                       Dims) = nullptr;  // in workgroups (call: {tiles, 1, 1}); 0: nothing to do
  std::uint32_t group_memory = 0;
  std::uint32_t thread_scratch = 0;
  std::vector<std::uint32_t> spec;  // Vulkan specialisation constants 0, 1, ...
  std::uint32_t subgroup = 0;       // required size; 0: any
  std::uint32_t node = 0;           // which node of the segment it belongs to
  std::vector<Arg> arguments;
  std::vector<std::byte> args;  // at most 112 bytes, a multiple of 4
  struct Guard {
    std::int16_t symbol;
    std::int64_t min, max;
  };
  std::vector<Guard> when;  // run only if all hold: row-count regimes

  template <class T>
  void set_args(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0 && sizeof(T) <= 112);
    args.resize(sizeof(T));
    std::memcpy(args.data(), &value, sizeof(T));
  }
  template <class T>
  T args_as() const {
    T value{};
    std::memcpy(&value, args.data(), sizeof(T) < args.size() ? sizeof(T) : args.size());
    return value;
  }
};

// How a constant (or several joined) is laid out for a device's kernels. The packed copy replaces the source on the
// device.
struct Packing {
  std::vector<std::uint32_t> constants;  // segment values; the first one is bound to the packed bytes
  std::string layout;                    // part of the sharing key: "rows32"
  Bytes bytes = 0;
  std::function<Status(std::span<const std::span<const std::byte>> source, std::span<std::byte> packed)> pack;
};

struct Lowered {
  std::vector<Launch> launches;
  std::vector<Tensor> temporaries;
  std::vector<Packing> packings;  // at most one per constant; constants without one are copied (or used) as they are
};

// How a primitive graph's border hangs on the segment it was made from.
// `value` names an input, state or output of the source segment.
struct GraphInput {
  enum class From : std::uint8_t {
    value,    // the whole input
    slot_in,  // the row of state `value` that sequences[0].slot_in names
    page,     // the page of KV state `value` that page_table[0][0] names, as a window of page_size rows
    rows,     // i32[1]: sequences[0].rows
    past,     // i32[1]: sequences[0].past
  };
  From from = From::value;
  std::uint32_t value = 0;
};
struct GraphOutput {
  enum class To : std::uint8_t {
    value,      // the whole output
    slot_out,   // the row of state `value` that sequences[0].slot_out names
    page_rows,  // the first sequences[0].rows rows go behind row `past` of the page
  };
  To to = To::value;
  std::uint32_t value = 0;
};
struct Decomposed {
  Segment graph;  // nodes are primitives (hal/shared/primitive.h); all dims fixed; graph.states is empty
  std::vector<GraphInput> inputs;                             // one per graph.inputs
  std::vector<GraphOutput> outputs;                           // one per graph.outputs
  std::uint32_t sequences = no_value, page_table = no_value;  // values of the source segment, where it has them
  Dim rows;  // T the graph is made for, with its symbol: sequences[0].rows is 1 .. T; 0 where there is no `sequences`
};

enum class Arithmetic : std::uint8_t {
  f32,
  f16
};  // what the graph device computes in: f16 takes the overflow-safe forms

// Pure and cheap (claim), and thread-safe. `lower` and `decompose` answer unsupported with the op and the reason.
struct Kernels {
  virtual ~Kernels() = default;
  virtual Claim claim(const Segment& segment, const Info& info) const = 0;
  virtual Result<Lowered> lower(const Segment& segment, const Info& info) const = 0;
  // All dims of `segment` must be fixed, with one sequence.
  virtual Result<Decomposed> decompose(const Segment& segment, Arithmetic arithmetic) const = 0;
  // Names that Node::variant may take for this node on this device, best first.
  virtual std::vector<std::string> variants(const Segment& segment, std::uint32_t node, const Info& info) const = 0;
};

}  // namespace switchyard::hal
