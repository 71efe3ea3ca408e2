// One submission, command by command, on the queue's thread; and what it would have taken on the device described.
#include <cstring>
#include <thread>

#include "backends/sim/device.h"
#include "backends/sim/timeline.h"
#include "hal/shared/host_queue.h"

namespace switchyard::backends::sim {
namespace {

std::chrono::nanoseconds transfer(Bytes bytes, double gb_s) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) / gb_s));
}

Status in_range(const State& state, const Slice& s, const char* what) {
  if (s.buffer && s.offset <= s.buffer->bytes() && s.size() <= s.buffer->bytes() - s.offset) return ok();
  return Error{Code::invalid_argument, state.description.info.id + ": " + what + " is outside its buffer"};
}

Result<std::chrono::nanoseconds> copy(State& state, const Copy& c) {
  HAL_CHECK(in_range(state, c.src, "copy source"));
  HAL_CHECK(in_range(state, c.dst, "copy destination"));
  const Bytes bytes = c.src.size();
  if (bytes != c.dst.size())
    return Error{Code::invalid_argument, state.description.info.id + ": copy of " + std::to_string(bytes) +
                                             " bytes into " + std::to_string(c.dst.size())};
  std::byte* from = host_bytes(state, c.src);
  std::byte* to = host_bytes(state, c.dst);
  if (from && to) {
    std::memmove(to, from, bytes);
    return transfer(2 * bytes, state.description.speeds.memory_gb_s);
  }
  if (to)
    HAL_CHECK(c.src.buffer->read(c.src.offset, {to, bytes}));
  else if (from)
    HAL_CHECK(c.dst.buffer->write(c.dst.offset, {from, bytes}));
  else {
    std::vector<std::byte> staged(bytes);
    HAL_CHECK(c.src.buffer->read(c.src.offset, staged));
    HAL_CHECK(c.dst.buffer->write(c.dst.offset, staged));
  }
  return transfer(bytes, state.description.speeds.link_gb_s);
}

Result<std::chrono::nanoseconds> fill(State& state, const hal::Fill& f) {
  HAL_CHECK(in_range(state, f.dst, "fill"));
  const Bytes bytes = f.dst.size();
  std::byte* to = host_bytes(state, f.dst);
  if (!to || bytes % 4 || f.dst.offset % 4)
    return Error{Code::invalid_argument, state.description.info.id + ": fill of " + std::to_string(bytes) +
                                             " bytes at " + std::to_string(f.dst.offset) +
                                             ": needs multiples of 4 in a buffer of this device"};
  for (Bytes i = 0; i < bytes; i += 4) std::memcpy(to + i, &f.word, 4);
  return transfer(bytes, state.description.speeds.memory_gb_s);
}

Result<std::chrono::nanoseconds> run(State& state, const Run& r, std::vector<Span>* spans) {
  auto* program = dynamic_cast<SimProgram*>(r.program.get());
  if (!program || program->state() != &state)
    return Error{Code::invalid_argument, state.description.info.id + ": run of a program of another device"};
  HAL_TRY(auto time, program->run(r, spans));
  if (state.description.faults.wrong != 0 && !r.slices.empty())
    if (std::byte* last = host_bytes(state, r.slices.back())) {
      float x;
      std::memcpy(&x, last, sizeof x);
      x += static_cast<float>(state.description.faults.wrong);
      std::memcpy(last, &x, sizeof x);
    }
  return time;
}

// A submission of `duration` begins when the device is free and what it waited for has ended; gives that time.
std::chrono::nanoseconds take_time(State& state, const Submission& submission, std::chrono::nanoseconds duration) {
  std::chrono::nanoseconds ready{};
  for (const Point& p : submission.wait)
    if (auto* timeline = dynamic_cast<SimTimeline*>(p.timeline.get()))
      ready = std::max(ready, timeline->time_of(p.value));
  std::int64_t free = state.clock_ns, begin;
  do begin = std::max<std::int64_t>(free, ready.count());
  while (!state.clock_ns.compare_exchange_weak(free, begin + duration.count()));
  for (const Point& p : submission.signal)
    if (auto* timeline = dynamic_cast<SimTimeline*>(p.timeline.get()))
      timeline->reached_at(p.value, std::chrono::nanoseconds(begin) + duration);
  return std::chrono::nanoseconds(begin);
}

}  // namespace

Status execute(State& state, const Submission& submission) {
  const std::vector<Command>& commands = submission.commands;
  Timing* timing = submission.timing.get();
  const Faults& faults = state.description.faults;
  if (faults.delay_ms) std::this_thread::sleep_for(std::chrono::milliseconds(faults.delay_ms));
  const std::int64_t nth = ++state.submissions;
  if (faults.submission && nth >= faults.submission) {
    state.lost = true;
    return Error{faults.submission_code, state.description.info.id + ": submission " + std::to_string(nth) +
                                             " failed; the description lets it fail from submission " +
                                             std::to_string(faults.submission) + " on"};
  }
  const bool logical = state.description.logical_clock;
  std::chrono::nanoseconds total{};
  std::vector<Span> spans;
  for (std::uint32_t i = 0; i < commands.size(); ++i) {
    const std::size_t first = spans.size();
    const auto begin = steady_now();
    const bool is_run = std::holds_alternative<Run>(commands[i]);
    std::vector<Span>* wanted = timing && timing->want_spans ? &spans : nullptr;
    HAL_TRY(auto time, std::visit(
                           [&](const auto& c) -> Result<std::chrono::nanoseconds> {
                             using T = std::decay_t<decltype(c)>;
                             if constexpr (std::is_same_v<T, Copy>)
                               return copy(state, c);
                             else if constexpr (std::is_same_v<T, hal::Fill>)
                               return fill(state, c);
                             else
                               return run(state, c, wanted);
                           },
                           commands[i]));
    if (wanted && !is_run) wanted->push_back(logical ? Span{i, 0, {}, time} : Span{i, 0, begin, steady_now()});
    for (std::size_t s = first; s < spans.size(); ++s) {
      spans[s].command = i;
      if (logical) {
        spans[s].begin += total;
        spans[s].end += total;
      }
    }
    total += time;
  }
  const std::chrono::nanoseconds start = logical ? take_time(state, submission, total) : std::chrono::nanoseconds{};
  if (!timing) return ok();
  if (logical) {
    timing->begin = start;
    timing->end = start + total;
    for (Span& s : spans) {
      s.begin += start;
      s.end += start;
    }
  } else {
    timing->end = steady_now();
  }
  timing->spans = std::move(spans);
  return ok();
}

}  // namespace switchyard::backends::sim
