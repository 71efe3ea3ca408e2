#include "scheduler/experts/shared.h"

#include <algorithm>

#include "kernels/op.h"

namespace switchyard::scheduler {
namespace {

using namespace hal;
enum : std::size_t { front, near, far, join };

std::vector<std::int64_t> dims_of(std::int64_t rows) {
  std::vector<std::int64_t> dims(kernels::sym_rows + 1, 1);
  dims[kernels::sym_rows] = rows;
  return dims;
}

Status ensure(Device& device, BufferRef& buffer, Bytes bytes) {
  if (buffer && buffer->bytes() >= bytes) return ok();
  HAL_TRY(buffer, device.allocate({bytes, Memory::device, "experts"}));
  return ok();
}

}  // namespace

Result<std::unique_ptr<SharedExperts>> SharedExperts::make(DeviceRef device, const ExpertPlacement& placement,
                                                           models::ModelSegment unit) {
  std::unique_ptr<SharedExperts> shared(new SharedExperts);
  HAL_TRY(shared->split_, split_experts_parallel(unit.segment, placement.chosen));
  for (std::size_t p = 0; p < shared->split_.parts.size(); ++p) {
    Part& part = shared->parts_.emplace_back();
    part.device = p == far ? placement.other : device;
    Segment& s = shared->split_.parts[p].segment;
    for (const Group& g : part.device->claim(s).groups)
      if (g.fixed_shapes)
        return Error{Code::unsupported,
                     "experts on two devices: " + part.device->info().id + " takes fixed shapes only"};
    HAL_TRY(part.program, part.device->compile(s, {}));
    if (const Bytes need = part.program->scratch()) {
      HAL_TRY(part.scratch.buffer, part.device->allocate({need, Memory::device, "scratch"}));
      part.scratch.bytes = need;
    }
    s.constants.clear();  // the programs hold what they need
    part.inputs.resize(s.inputs.size());
    part.outputs.resize(s.outputs.size());
  }
  for (auto [line, on] : {std::pair{&shared->own_, device}, {&shared->others_, placement.other}}) {
    HAL_TRY(line->queue, on->create_queue(QueueKind::any));
    HAL_TRY(line->timeline, on->create_timeline(0));
  }
  unit.segment.constants.clear();
  shared->unit_ = std::move(unit);
  return shared;
}

Result<Slice> SharedExperts::output_of(const ExpertSplit::Source& source, std::int64_t rows) {
  Part& part = parts_[source.part];
  const Segment& s = split_.parts[source.part].segment;
  const Bytes bytes = tensor_bytes(s.values[s.outputs[source.index]], dims_of(rows));
  HAL_CHECK(ensure(*part.device, part.outputs[source.index], bytes));
  return Slice{part.outputs[source.index], 0, bytes};
}

Result<Point> SharedExperts::run(std::size_t p, std::int64_t rows, const Slice& hidden, std::optional<Point> after) {
  Part& part = parts_[p];
  const ExpertSplit::Part& what = split_.parts[p];
  Run run{part.program, {}, dims_of(rows), part.scratch};
  std::vector<Command> commands;
  for (std::size_t i = 0; i < what.inputs.size(); ++i) {
    const ExpertSplit::Source& from = what.inputs[i];
    Slice source = hidden;
    if (from.part != ExpertSplit::whole) {
      HAL_TRY(source, output_of(from, rows));
      if (parts_[from.part].device == part.device) {
        run.slices.push_back(source);
        continue;
      }
    }
    HAL_CHECK(ensure(*part.device, part.inputs[i], source.size()));
    const Slice here{part.inputs[i], 0, source.size()};
    commands.push_back(Copy{source, here});
    run.slices.push_back(here);
  }
  for (std::uint32_t i = 0; i < what.segment.outputs.size(); ++i) {
    HAL_TRY(Slice slice, output_of({p, i}, rows));
    run.slices.push_back(slice);
  }
  commands.push_back(std::move(run));
  Line& line = p == far ? others_ : own_;
  part.timing = std::make_shared<Timing>();
  const Point done{line.timeline, line.submitted + 1};
  Submission submission{{}, std::move(commands), {done}, part.timing};
  if (after) submission.wait.push_back(*after);
  HAL_CHECK(line.queue->submit(std::move(submission)));
  line.submitted = done.value;
  return done;
}

Result<Point> SharedExperts::submit(std::int64_t rows, const Slice& hidden, std::optional<Point> after) {
  rows_ = rows;
  auto attempt = [&]() -> Result<Point> {
    HAL_TRY(Point begun, run(front, rows, hidden, after));
    HAL_TRY(Point theirs, run(far, rows, hidden, begun));
    HAL_TRY(Point ours, run(near, rows, hidden, begun));
    (void)ours;  // the same queue: in order
    HAL_TRY(Point done, run(join, rows, hidden, theirs));
    HAL_TRY(output_, output_of(split_.outputs[0], rows));
    return done;
  };
  Result<Point> done = attempt();
  if (!done)  // what is under way reads `hidden`, and the caller knows no point of it
    for (const Line* line : {&own_, &others_})
      (void)line->timeline->wait(line->submitted, std::chrono::nanoseconds::max());
  return done;
}

Status SharedExperts::read_routing(StepRouting& to) const {
  const auto k = static_cast<std::size_t>(to.shape.top_k);
  for (std::size_t i = 0; i < unit_.outputs.size(); ++i) {
    if (unit_.outputs[i].role != models::Binding::Role::routing) continue;
    const ExpertSplit::Source& source = split_.outputs[i];
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows_) * k);
    HAL_CHECK(parts_[source.part].outputs[source.index]->read(0, std::as_writable_bytes(std::span(ids))));
    place_choices(ids, unit_.outputs[i].layer, 0, to);
  }
  return ok();
}

double SharedExperts::last_seconds() const {
  if (!parts_[join].timing) return 0;
  return std::chrono::duration<double>(parts_[join].timing->end - parts_[front].timing->begin).count();
}

double SharedExperts::other_seconds() const {
  const auto& t = parts_[far].timing;
  return t ? std::chrono::duration<double>(t->end - t->begin).count() : 0;
}

Bytes SharedExperts::resident(bool other) const {
  Bytes sum = 0;
  for (std::size_t p = 0; p < parts_.size(); ++p)
    if ((p == far) == other) sum += parts_[p].program->resident();
  return sum;
}

Bytes SharedExperts::io(bool other) const {
  Bytes sum = 0;
  for (std::size_t p = 0; p < parts_.size(); ++p)
    for (const auto* buffers : {&parts_[p].inputs, &parts_[p].outputs})
      for (const BufferRef& b : *buffers) sum += b && (p == far) == other ? b->bytes() : 0;
  return sum;
}

Bytes SharedExperts::scratch(bool other) const {
  Bytes sum = 0;
  for (std::size_t p = 0; p < parts_.size(); ++p)
    if ((p == far) == other) sum += parts_[p].program->scratch();
  return sum;
}

}  // namespace switchyard::scheduler
