// What a stage keeps of its steps to move recurrent state on again, without the rest of the model.
#include <algorithm>
#include <numeric>

#include "scheduler/run/stage.h"

namespace switchyard::scheduler {

using namespace hal;
using models::Binding;
using Role = models::Binding::Role;

// A device that declines one of the programs, or takes fixed shapes, does without: rewinds() says so.
Status Stage::open_rewind() {
  if (options_.rewind == 0 || fixed_ || !recurrent()) return ok();
  models::StepShape shape = step_shape(options_);
  const std::int64_t most = scanned_rows(options_), columns = models::scanned_columns(model_.config);
  shape.rows = Dim::open(kernels::sym_rows, 1, most);
  shape.logits = Dim::open(kernels::sym_logits, 1, most);
  shape.scanned = true;
  Compiled step{models::build_segment(model_, first_, last_, shape), nullptr};
  shape.rows = Dim::open(kernels::sym_rows, 1, options_.rewind);
  Compiled again{models::build_rewind(model_, first_, last_, shape), nullptr};
  if (!device().claim(step.plan.segment).whole() || !device().claim(again.plan.segment).whole()) return ok();
  for (Compiled* c : {&step, &again}) {
    HAL_TRY(c->program, device().compile(c->plan.segment, {}));
    HAL_CHECK(shared_->reserve(shared_->scratch, c->program->scratch(), Memory::device, "scratch"));
  }
  const Bytes align = std::max<Bytes>(device().info().limits.align, 4);
  auto aligned = [&](std::int64_t rows, std::int64_t width) {
    return (static_cast<Bytes>(rows * width) * 4 + align - 1) / align * align;
  };
  Bytes end = 0;
  for (const Binding& b : step.plan.outputs) {
    if (b.role != Role::scanned) continue;
    rows_.push_back({b, aligned(options_.rewind, columns), 0, nullptr});
    scanned_.push_back({nullptr, end, aligned(most, model_.config.in_proj_rows())});
    end += scanned_.back().bytes;
  }
  BufferRef buffer;
  HAL_TRY(buffer, device().allocate({end, Memory::device, "scanned rows"}));
  for (Slice& s : scanned_) s.buffer = buffer;
  scanning_ = std::move(step);
  rewind_ = std::move(again);
  return ok();
}

// Of each row its last columns. What stands before them goes elsewhere, and is nearly as long.
Status Stage::keep_rows(const StepTables& step, std::vector<Command>& commands) {
  const auto width = static_cast<Bytes>(model_.config.in_proj_rows()) * 4,
             kept = static_cast<Bytes>(models::scanned_columns(model_.config)) * 4;
  for (const StepSequence& s : step.sequences) {
    for (StateBuffer& rows : rows_) HAL_CHECK(grow(rows, s.block + 1));
  }
  for (const StepSequence& s : step.sequences) {
    if (s.block < 0) continue;
    for (std::size_t layer = 0; layer < rows_.size(); ++layer)
      for (std::int64_t r = 0; r < s.table.rows; ++r) {
        const auto from = static_cast<Bytes>(s.table.row_begin + r), at = static_cast<Bytes>(s.block_row + r);
        commands.emplace_back(
            Copy{{scanned_[layer].buffer, scanned_[layer].offset + (from + 1) * width - kept, kept},
                 {rows_[layer].buffer, static_cast<Bytes>(s.block) * rows_[layer].unit + at * kept, kept}});
      }
  }
  return ok();
}

const Stage::StateBuffer& Stage::state_of(Role role, std::int64_t layer) const {
  const auto of = [&](const StateBuffer& s) { return s.binding.role == role && s.binding.layer == layer; };
  if (role == Role::scanned) return *std::find_if(rows_.begin(), rows_.end(), of);
  return *std::find_if(states_.begin(), states_.end(), of);
}

Result<Point> Stage::rewind(const Rewind& rewind, const Point& after) {
  if (!rewinds()) return after;
  HAL_CHECK(reserve_slots(rewind.slot_out + 1));
  Lane& lane = lanes_.front();
  const Bytes align = std::max<Bytes>(device().info().limits.align, 4),
              table_bytes = kernels::Sequence::width * 4 + align;
  HAL_CHECK(shared_->reserve(lane.uploads, table_bytes * rewind.portions.size(), Memory::upload, "step tables"));
  lane.upload_used = 0;
  const Bytes row = static_cast<Bytes>(models::scanned_columns(model_.config)) * 4;
  std::vector<Command> commands;
  const auto border = static_cast<std::int32_t>(align / std::gcd(align, row));  // rows between offsets a slice may have
  std::int32_t slot_in = rewind.slot_in;
  for (const Rewind::Portion& p : rewind.portions) {
    // The rows before the portion belong to no sequence of the run.
    const std::int32_t before = p.row % border, rows = before + p.rows;
    const std::int32_t table[] = {before, p.rows, slot_in, rewind.slot_out, rewind.past + p.row};
    HAL_TRY(Slice sequences, upload(lane, table, sizeof table));
    Run run{rewind_->program, {}, {rows, 1, 1}, {}};
    if (Bytes need = rewind_->program->scratch()) run.scratch = {shared_->scratch, 0, need};
    for (const Binding& b : rewind_->plan.inputs) {
      if (b.role == Role::sequences) {
        run.slices.push_back(sequences);
        continue;
      }
      const StateBuffer& kept = state_of(b.role, b.layer);
      const Bytes first = static_cast<Bytes>(rewind.block) * kept.unit + row * static_cast<Bytes>(p.row - before);
      run.slices.push_back({kept.buffer, first, row * static_cast<Bytes>(rows)});
    }
    for (const Binding& b : rewind_->plan.states) {
      const StateBuffer& s = state_of(b.role, b.layer);
      run.slices.push_back({s.buffer, 0, s.buffer->bytes()});
    }
    commands.emplace_back(std::move(run));
    slot_in = rewind.slot_out;
  }
  Submission submission{{}, std::move(commands), {{lane.timeline, ++lane.submitted}}};
  if (after.timeline) submission.wait.push_back(after);
  HAL_CHECK(shared_->queue->submit(std::move(submission)));
  return Point{lane.timeline, lane.submitted};
}

}  // namespace switchyard::scheduler
