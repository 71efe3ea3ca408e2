// A submission as the device gets it. Where memory that the application sees is not the device's own, the submission
// copies it to a buffer of the device before what reads it and back after what writes it.
#include "backends/remote/end_of_work.h"
#include "backends/remote/host.h"

namespace switchyard::backends::remote {

struct HostSide::Plan {
  std::vector<Command> commands;
  std::vector<std::uint32_t> serves;  // of each: the application's command, or no_value for a copy of ours
  void add(Command command, std::uint32_t index) {
    commands.push_back(std::move(command));
    serves.push_back(index);
  }
};

void HostSide::submit(std::uint64_t number, const Submit& request) {
  maybe(Fault::At::submission);
  Status status = submit_now(number, request);
  if (status) return;
  channel_->send(Say::done, number, answer_error(status.error()));
  for (const Signal& s : request.signal)
    if (auto timeline = objects_.get<std::shared_ptr<HeldTimeline>>(s.timeline)) (*timeline)->fail(status.error());
}

Status HostSide::submit_now(std::uint64_t number, const Submit& request) {
  HAL_TRY(const HeldQueue held, objects_.get<HeldQueue>(request.queue));
  Submission submission;
  Plan plan;
  for (std::uint32_t i = 0; i < request.steps.size(); ++i) HAL_CHECK(add(request.steps[i], i, held.device, plan));
  submission.commands = std::move(plan.commands);
  for (const Signal& s : request.wait) {
    HAL_TRY(auto timeline, objects_.get<std::shared_ptr<HeldTimeline>>(s.timeline));
    submission.wait.push_back({std::move(timeline), s.value});
  }
  std::shared_ptr<Timing> timing;
  if (request.timed) {
    timing = submission.timing = std::make_shared<Timing>();
    timing->want_spans = request.want_spans;
  }
  // First of the points: so the application hears of submissions in the order in which they wait for each other.
  auto ended = [this, number, timing, serves = std::move(plan.serves)](const std::optional<Error>& error) {
    if (error) return channel_->send(Say::done, number, answer_error(*error));
    Times times;
    if (timing) {
      times.begin = timing->begin.count();
      times.end = timing->end.count();
      for (Span s : timing->spans) {
        if (s.command >= serves.size() || serves[s.command] == no_value) continue;
        s.command = serves[s.command];
        times.spans.push_back(s);
      }
    }
    channel_->send(Say::done, number, answer(times));
  };
  auto end = std::make_shared<EndOfWork>(std::move(ended));
  submission.signal.push_back({end, 1});
  for (const Signal& s : request.signal) {
    HAL_TRY(auto timeline, objects_.get<std::shared_ptr<HeldTimeline>>(s.timeline));
    submission.signal.push_back({std::move(timeline), s.value});
  }
  if (Status status = held.queue->submit(std::move(submission)); !status) {
    end->fail(status.error());
    for (const Signal& s : request.signal)
      if (auto timeline = objects_.get<std::shared_ptr<HeldTimeline>>(s.timeline)) (*timeline)->fail(status.error());
  }
  return ok();
}

Status HostSide::add(const Step& step, std::uint32_t index, const DeviceRef& device, Plan& plan) {
  std::vector<Command> after;
  if (step.is == Step::Is::copy) {
    Copy copy;
    if (step.parts.size() != 2) return Error{Code::internal, "host process: a copy needs two slices"};
    for (std::size_t i = 0; i < 2; ++i) {
      HAL_TRY(const HeldBuffer held, objects_.get<HeldBuffer>(step.parts[i].buffer));
      (i == 0 ? copy.src : copy.dst) = {held.buffer, step.parts[i].offset, step.parts[i].bytes};
    }
    plan.add(std::move(copy), index);
    return ok();
  }
  if (step.is == Step::Is::fill) {
    if (step.parts.size() != 1) return Error{Code::internal, "host process: a fill needs one slice"};
    HAL_TRY(Slice dst, on_device(step.parts[0], device, false, true, plan, after));
    plan.add(Fill{std::move(dst), step.word}, index);
  } else {
    HAL_TRY(const HeldProgram held, objects_.get<HeldProgram>(step.program));
    Run run{held.program, {}, step.dims, {}};
    for (std::size_t i = 0; i < step.parts.size(); ++i) {
      HAL_TRY(run.slices.emplace_back(), on_device(step.parts[i], device, true, i >= held.inputs, plan, after));
    }
    HAL_TRY(run.scratch, on_device(step.scratch, device, false, false, plan, after));
    plan.add(std::move(run), index);
  }
  for (Command& command : after) plan.add(std::move(command), no_value);
  return ok();
}

// The slice on the device itself. Copies to it are put into the plan, and copies back into `after`.
Result<Slice> HostSide::on_device(const Part& part, const DeviceRef& device, bool read, bool write, Plan& plan,
                                  std::vector<Command>& after) {
  if (part.buffer == 0) return Slice{};
  HAL_TRY(const HeldBuffer held, objects_.get<HeldBuffer>(part.buffer));
  Slice slice{held.buffer, part.offset, part.bytes};
  if (!held.copy || held.device != device) return slice;
  if (!*held.copy) {
    HAL_TRY(*held.copy, device->allocate({held.buffer->bytes(), Memory::device, "copy of shared memory"}));
  }
  Slice there{*held.copy, part.offset, part.bytes};
  if (slice.size() == 0 || part.offset > held.buffer->bytes()) return there;
  if (read) plan.add(Copy{slice, there}, no_value);
  if (write) after.emplace_back(Copy{there, slice});
  return there;
}

}  // namespace switchyard::backends::remote
