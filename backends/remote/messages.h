// What the two processes say to each other. Objects are numbers, which the application's side gives out.
#pragma once
#include "backends/remote/encoding.h"
#include "hal/backend.h"

namespace switchyard::backends::remote {

using namespace hal;

constexpr std::uint32_t protocol = 1;
using Id = std::uint64_t;  // 0: none

enum class Say : std::uint16_t {
  // Calls, answered by `reply` under the same number.
  hello,  // protocol; file: the region for read and write -> nothing
  discover,
  open,
  heaps,
  allocate,  // file: the memory, where the application sees it too
  read,
  write,
  queue,
  claim,
  compile,  // files: those that Compile::blobs name
  ping,
  // One way, to the host.
  timeline,
  signal,
  fail,
  submit,  // answered by `done` under its number
  release,
  cancel,  // of the compile with this number
  // One way, to the application.
  reply,  // Answer, then what the call gives
  progress,
  done,  // Answer, then Times
};

// Files are passed beside the bytes, in this order.
struct Header {
  std::uint32_t bytes = 0;  // that follow
  Say say = Say::ping;
  std::uint16_t files = 0;
  std::uint64_t number = 0;  // of a call or a submission
};

struct Open {
  std::string device;
  Id as = 0;
};
struct Allocate {
  Id device = 0, as = 0;
  Bytes bytes = 0;
  Memory memory = Memory::device;
  std::string label;
};
struct Move {  // between a buffer and the region
  Id buffer = 0;
  Bytes offset = 0, bytes = 0, at = 0;
};
struct MakeQueue {
  Id device = 0, as = 0;
  QueueKind kind = QueueKind::any;
};
struct AskClaim {
  Id device = 0;
  Segment segment;  // constants without data
};
// The bytes of a constant. A host that still has `blob` needs no more; else it says so and is told where they are.
struct Blob {
  Id blob = 0;  // 0: the constant has no data
  Bytes bytes = 0;
  std::uint32_t file = no_value;  // of the message's files
  Bytes offset = 0;               // in it
  bool mapped_file = false;       // as in Constant; else memory made for this, which the host gives back as it goes
};
struct Compile {
  Id device = 0, as = 0;
  Segment segment;
  std::vector<Blob> blobs;  // one per constant
  std::string cache_dir;
  bool progress = false;
};
struct Compiled {
  Bytes resident = 0, scratch = 0;
  std::vector<Id> missing;  // blobs to be sent; nothing was compiled then
};
struct Signal {
  Id timeline = 0;
  std::uint64_t value = 0;
};
struct Part {  // of a buffer, as a Slice
  Id buffer = 0;
  Bytes offset = 0, bytes = 0;
};
struct Step {  // a Command
  enum class Is : std::uint8_t { copy, fill, run } is = Is::copy;
  std::vector<Part> parts;  // copy: src, dst; fill: dst; run: the slices
  std::uint32_t word = 0;
  Id program = 0;
  std::vector<std::int64_t> dims;
  Part scratch;
};
struct Submit {
  Id queue = 0;
  std::vector<Signal> wait, signal;  // of timelines the host knows
  std::vector<Step> steps;
  bool timed = false, want_spans = false;
};
struct Times {
  std::int64_t begin = 0, end = 0;  // nanoseconds
  std::vector<Span> spans;
};

template <class T, class U>
concept Is = std::same_as<std::remove_const_t<T>, U>;

template <class A>
void fields(A& a, Is<Limits> auto& v) {
  a(v.max_buffer, v.max_binding, v.align, v.group_memory, v.group_threads, v.subgroup, v.subgroup_min, v.subgroup_max,
    v.queues, v.compute_units);
}
template <class A>
void fields(A& a, Is<Info> auto& v) {
  a(v.id, v.name, v.vendor, v.driver, v.api, v.chip, v.pci, v.luid, v.numa, v.kind, v.limits, v.formats, v.features);
}
template <class A>
void fields(A& a, Is<Absence> auto& v) {
  a(v.api, v.code, v.detail, v.fix);
}
template <class A>
void fields(A& a, Is<Discovery> auto& v) {
  a(v.devices, v.absent);
}
template <class A>
void fields(A& a, Is<Heap> auto& v) {
  a(v.total, v.budget, v.used, v.device_local, v.host_visible);
}
template <class A>
void fields(A& a, Is<Dim> auto& v) {
  a(v.min, v.max, v.symbol);
}
template <class A>
void fields(A& a, Is<Tensor> auto& v) {
  a(v.dtype, v.shape);
}
template <class A>
void fields(A& a, Is<Node> auto& v) {
  a(v.op, v.in, v.out, v.attrs, v.variant);
}
template <class A>
void fields(A& a, Is<Constant> auto& v) {  // the data goes another way
  a(v.value, v.key);
}
template <class A>
void fields(A& a, Is<Segment> auto& v) {
  a(v.values, v.nodes, v.inputs, v.states, v.outputs, v.constants, v.labels);
}
template <class A>
void fields(A& a, Is<Group> auto& v) {
  a(v.nodes, v.fixed_shapes);
}
template <class A>
void fields(A& a, Is<Holding> auto& v) {
  a(v.key, v.layout, v.bytes);
}
template <class A>
void fields(A& a, Is<Declined> auto& v) {
  a(v.node, v.why);
}
template <class A>
void fields(A& a, Is<Claim> auto& v) {
  a(v.groups, v.declined, v.holds, v.scratch);
}
template <class A>
void fields(A& a, Is<std::chrono::nanoseconds> auto& v) {
  auto count = v.count();
  a(count);
  if constexpr (std::same_as<A, Reader>) v = std::chrono::nanoseconds(count);
}
template <class A>
void fields(A& a, Is<Span> auto& v) {
  a(v.command, v.node, v.begin, v.end);
}
template <class A>
void fields(A& a, Is<Error> auto& v) {
  a(v.code, v.message);
}

template <class A>
void fields(A& a, Is<Open> auto& v) {
  a(v.device, v.as);
}
template <class A>
void fields(A& a, Is<Allocate> auto& v) {
  a(v.device, v.as, v.bytes, v.memory, v.label);
}
template <class A>
void fields(A& a, Is<Move> auto& v) {
  a(v.buffer, v.offset, v.bytes, v.at);
}
template <class A>
void fields(A& a, Is<MakeQueue> auto& v) {
  a(v.device, v.as, v.kind);
}
template <class A>
void fields(A& a, Is<AskClaim> auto& v) {
  a(v.device, v.segment);
}
template <class A>
void fields(A& a, Is<Blob> auto& v) {
  a(v.blob, v.bytes, v.file, v.offset, v.mapped_file);
}
template <class A>
void fields(A& a, Is<Compile> auto& v) {
  a(v.device, v.as, v.segment, v.blobs, v.cache_dir, v.progress);
}
template <class A>
void fields(A& a, Is<Compiled> auto& v) {
  a(v.resident, v.scratch, v.missing);
}
template <class A>
void fields(A& a, Is<Signal> auto& v) {
  a(v.timeline, v.value);
}
template <class A>
void fields(A& a, Is<Part> auto& v) {
  a(v.buffer, v.offset, v.bytes);
}
template <class A>
void fields(A& a, Is<Step> auto& v) {
  a(v.is, v.parts, v.word, v.program, v.dims, v.scratch);
}
template <class A>
void fields(A& a, Is<Submit> auto& v) {
  a(v.queue, v.wait, v.signal, v.steps, v.timed, v.want_spans);
}
template <class A>
void fields(A& a, Is<Times> auto& v) {
  a(v.begin, v.end, v.spans);
}

// What a call or a submission came to: whether it went well, and then its value or the error.
template <class... T>
std::string answer(const T&... values) {
  return encode(true, values...);
}
inline std::string answer_error(const Error& error) { return encode(false, error); }

}  // namespace switchyard::backends::remote
