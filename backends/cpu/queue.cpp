// One submission's commands, in order, on the queue's own thread; the tiles of its launches on the whole pool.
#include <cstring>

#include "backends/cpu/device.h"
#include "hal/shared/host_queue.h"
#include "hal/shared/staging.h"

namespace switchyard::backends::cpu {
namespace {

using namespace hal;

// Null where the buffer is none of ours.
std::byte* host_pointer(const Slice& s) {
  auto* buffer = dynamic_cast<HostBuffer*>(s.buffer.get());
  return buffer ? buffer->data() + s.offset : nullptr;
}

Status copy(const Copy& c) {
  std::byte* from = host_pointer(c.src);
  std::byte* to = host_pointer(c.dst);
  const bool fits = c.src.buffer && c.dst.buffer && c.src.size() == c.dst.size() &&
                    c.src.offset <= c.src.buffer->bytes() && c.src.size() <= c.src.buffer->bytes() - c.src.offset &&
                    c.dst.offset <= c.dst.buffer->bytes() && c.dst.size() <= c.dst.buffer->bytes() - c.dst.offset;
  if (!fits || (!from && !to)) return staged_copy(c.src, c.dst);  // says what is wrong, or goes through host memory
  const auto bytes = static_cast<std::size_t>(c.src.size());
  if (from && to) {
    std::memmove(to, from, bytes);
    return ok();
  }
  if (from) return c.dst.buffer->write(c.dst.offset, {from, bytes});
  return c.src.buffer->read(c.src.offset, {to, bytes});
}

Status fill(const Fill& f) {
  std::byte* to = host_pointer(f.dst);
  if (!to) return Error{Code::invalid_argument, "fill: the buffer belongs to another device"};
  const Bytes bytes = f.dst.size();
  if (f.dst.offset % 4 != 0 || bytes % 4 != 0 || f.dst.offset > f.dst.buffer->bytes() ||
      bytes > f.dst.buffer->bytes() - f.dst.offset)
    return Error{Code::invalid_argument, "fill: [" + std::to_string(f.dst.offset) + ", +" + std::to_string(bytes) +
                                             ") of a buffer of " + std::to_string(f.dst.buffer->bytes()) +
                                             " bytes; offset and size must be multiples of 4"};
  for (Bytes i = 0; i < bytes; i += 4) std::memcpy(to + i, &f.word, 4);
  return ok();
}

// Base addresses of everything a launch argument can name.
struct Bases {
  std::vector<std::byte*> slices;
  std::byte* scratch = nullptr;
  const CpuProgram& program;

  void* of(const Arg& arg) const {
    if (arg.value == no_value) return nullptr;
    const Place& p = program.plan.places[arg.value];
    switch (p.where) {
      case Place::Where::nowhere: return nullptr;
      case Place::Where::slice: return slices[p.index] + arg.offset;
      case Place::Where::constant: return program.constants[p.index]->data() + arg.offset;
      case Place::Where::scratch: return scratch + p.offset + arg.offset;
    }
    return nullptr;
  }
};

Status run(CpuDevice& device, Scratch& scratch, const Run& r, std::uint32_t command, Timing* timing) {
  auto* program = dynamic_cast<CpuProgram*>(r.program.get());
  if (!program)
    return Error{Code::invalid_argument, "run: the program was compiled by another device than " + device.info().id};
  const LaunchPlan& plan = program->plan;
  const auto dims = padded(r.dims);
  HAL_CHECK(plan.check(r, dims));
  HAL_CHECK(scratch.reserve(program->thread_scratch));
  Bases bases{{}, nullptr, *program};
  for (std::size_t i = 0; i < r.slices.size(); ++i) {
    bases.slices.push_back(host_pointer(r.slices[i]));
    if (!bases.slices.back())
      return Error{Code::invalid_argument,
                   "run: slice " + std::to_string(i) + " lies on another device than " + device.info().id};
  }
  if (plan.scratch != 0 && !(bases.scratch = host_pointer(r.scratch)))
    return Error{Code::invalid_argument, "run: scratch lies on another device than " + device.info().id};

  const bool spans = timing && timing->want_spans;
  std::size_t arguments = 0;
  for (const Launch& l : plan.launches) arguments += l.arguments.size();
  std::vector<void*> pointers;
  pointers.reserve(arguments);  // never grows: steps hold addresses into it
  std::vector<Step> steps;
  steps.reserve(plan.launches.size());
  std::vector<std::uint32_t> nodes;
  bool barrier = false;
  for (std::size_t i = 0; i < plan.launches.size(); ++i) {
    const Launch& l = plan.launches[i];
    barrier = barrier || plan.barrier_before[i];  // that of a launch left out holds for the next
    if (!runs(l, dims)) continue;
    Step s;
    s.call = l.call;
    s.tiles = l.grid(l, dims)[0];
    s.barrier_before = barrier || spans;
    s.args.size = sizeof(CallArgs);
    s.args.pointers = pointers.data() + pointers.size();
    s.args.dims = dims.data();
    s.args.args = l.args.data();
    for (const Arg& a : l.arguments) pointers.push_back(bases.of(a));
    steps.push_back(s);
    barrier = false;
    if (spans) nodes.push_back(l.node);
  }
  if (!spans) {
    device.pool().run(std::move(steps), scratch);
    return ok();
  }
  std::vector<std::chrono::nanoseconds> ends;
  std::chrono::nanoseconds begin = steady_now();
  device.pool().run(std::move(steps), scratch, &ends);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (!timing->spans.empty() && timing->spans.back().command == command && timing->spans.back().node == nodes[i])
      timing->spans.back().end = ends[i];
    else
      timing->spans.push_back({command, nodes[i], begin, ends[i]});
    begin = ends[i];
  }
  return ok();
}

}  // namespace

Status execute(CpuDevice& device, Scratch& scratch, const Submission& submission) {
  Timing* timing = submission.timing.get();
  for (std::uint32_t i = 0; i < submission.commands.size(); ++i) {
    const Command& c = submission.commands[i];
    if (const auto* r = std::get_if<Run>(&c)) {
      HAL_CHECK(run(device, scratch, *r, i, timing));
      continue;
    }
    const std::chrono::nanoseconds begin = steady_now();
    HAL_CHECK(std::holds_alternative<Copy>(c) ? copy(std::get<Copy>(c)) : fill(std::get<Fill>(c)));
    if (timing && timing->want_spans) timing->spans.push_back({i, 0, begin, steady_now()});
  }
  return ok();
}

}  // namespace switchyard::backends::cpu
