#include "scheduler/run/stage.h"

#include <algorithm>

#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {
namespace {

using namespace hal;
using models::Binding;
using Role = models::Binding::Role;

Bytes round_up(Bytes n, Bytes to) { return (n + to - 1) / to * to; }

// "device vulkan:0 declines 2 of 40 ops: layer 3 (mamba) gemm@1: f16 [..]: why; ..."
Error declined(const Device& device, const Segment& segment, const Claim& claim) {
  std::string text = device.info().id + " declines " + std::to_string(claim.declined.size()) + " of " +
                     std::to_string(segment.nodes.size()) + " ops:";
  std::size_t shown = 0;
  for (const Declined& d : claim.declined) {
    if (++shown > 8) {
      text += " ...";
      break;
    }
    text +=
        "\n  " + (d.node < segment.labels.size() ? segment.labels[d.node] : segment.nodes[d.node].op) + ": " + d.why;
  }
  return {Code::unsupported, text};
}

}  // namespace

std::int64_t kept_states(const StageOptions& options) {
  return options.checkpoints + (options.rewind ? rewind_states : 0);
}

std::int64_t scanned_rows(const StageOptions& options) {
  constexpr std::int64_t usual = 64;  // of a step without a long prompt in it
  return std::min(options.max_rows, std::max(options.rewind, usual));
}

models::StepShape step_shape(const StageOptions& options) {
  models::StepShape s;
  s.rows = Dim::open(kernels::sym_rows, 1, options.max_rows);
  s.sequences = Dim::open(kernels::sym_sequences, 1, options.max_sequences);
  s.logits = Dim::open(kernels::sym_logits, 1, options.max_rows);
  s.slots = 1;  // the least; buffers grow without a new program
  s.pages = 1;
  s.page_size = options.page_size;
  s.pages_per_sequence = (options.context + options.page_size - 1) / options.page_size;
  s.kv = options.kv;
  s.activations = options.activations;
  s.routing = static_cast<bool>(options.on_routing);
  return s;
}

const ExpertPlacement* shared_experts(const StageOptions& options, const models::Model& model, std::int64_t first,
                                      std::int64_t last) {
  const models::UnitPart part = models::part_of(model, first);
  auto placed = options.experts.find(part.layer);
  const bool one = last == first + 1 && part.part == models::Part::feed_forward;
  return one && placed != options.experts.end() ? &placed->second : nullptr;
}

Stage::Stage(std::shared_ptr<SharedDevice> shared, const models::Model& model, std::int64_t first, std::int64_t last,
             const StageOptions& options)
    : shared_(std::move(shared)), model_(model), first_(first), last_(last), options_(options) {}

Result<std::unique_ptr<Stage>> Stage::make(std::shared_ptr<SharedDevice> shared, const models::Model& model,
                                           std::int64_t first, std::int64_t last, const StageOptions& options) {
  std::unique_ptr<Stage> stage(new Stage(std::move(shared), model, first, last, options));
  HAL_CHECK(stage->open());
  return stage;
}

Status Stage::open_shared(const ExpertPlacement& placement) {
  HAL_CHECK(reserve_lanes(1));
  HAL_TRY(experts_, SharedExperts::make(shared_->device, placement,
                                        models::build_segment(model_, first_, last_, step_shape(options_))));
  return ok();
}

Result<Point> Stage::submit_shared(std::int64_t rows, const Slice& hidden, const Point& after) {
  HAL_TRY(Point done, experts_->submit(rows, hidden, after.timeline ? std::optional(after) : std::nullopt));
  lanes_.front().output = experts_->output();
  return done;
}

double Stage::last_seconds(std::size_t lane) const {
  if (experts_) return experts_->last_seconds();
  return std::chrono::duration<double>(timing(lane).end - timing(lane).begin).count();
}

Status Stage::open() {
  if (const ExpertPlacement* placement = shared_experts(options_, model_, first_, last_))
    return open_shared(*placement);
  has_head_ = last_ == models::unit_count(model_);
  models::ModelSegment plan = models::build_segment(model_, first_, last_, step_shape(options_));
  Claim claim = device().claim(plan.segment);
  if (!claim.whole()) return declined(device(), plan.segment, claim);
  holds_ = std::move(claim.holds);
  fixed_ = std::any_of(claim.groups.begin(), claim.groups.end(), [](const Group& g) { return g.fixed_shapes; });
  if (fixed_) options_.page_size = options_.context;  // such a device sees the cache as one window per sequence

  HAL_CHECK(reserve_lanes(1));
  HAL_TRY(Compiled * compiled_program, compiled(fixed_ ? 1 : 0, fixed_ ? 1 : 0));
  const models::ModelSegment& built = compiled_program->plan;
  for (std::size_t i = 0; i < built.states.size(); ++i) {
    const Tensor& t = built.segment.values[built.segment.states[i]];
    StateBuffer s{built.states[i], max_bytes(t) / static_cast<Bytes>(t.shape[0].max), 0, nullptr};
    states_.push_back(s);
  }
  HAL_CHECK(open_rewind());
  return reserve_first();
}

Status Stage::reserve_lanes(std::size_t lanes) {
  while (lanes_.size() < lanes) {
    Lane lane;
    HAL_TRY(lane.timeline, device().create_timeline(0));
    lane.timing = std::make_shared<Timing>();
    lanes_.push_back(std::move(lane));
  }
  if (shared_->rows_out.size() < lanes) shared_->rows_out.resize(lanes);
  return ok();
}

Result<Stage::Compiled*> Stage::compiled(std::int64_t rows, std::int64_t logits) {
  auto known = programs_.find({rows, logits});
  if (known != programs_.end()) return &known->second;
  models::StepShape shape = step_shape(options_);
  if (fixed_) {
    shape.rows = Dim::open(kernels::sym_rows, rows, rows);
    shape.sequences = Dim::open(kernels::sym_sequences, 1, 1);
    shape.logits = Dim::open(kernels::sym_logits, logits, logits);
  }
  Compiled made;
  made.plan = models::build_segment(model_, first_, last_, shape);
  HAL_TRY(made.program, device().compile(made.plan.segment, {}));
  HAL_CHECK(shared_->reserve(shared_->scratch, made.program->scratch(), Memory::device, "scratch"));
  return &(programs_[{rows, logits}] = std::move(made));
}

// Small tables of one step: bump-allocated from one host-visible buffer, reused by the lane's next step.
Result<Slice> Stage::upload(Lane& lane, const void* data, std::size_t bytes) {
  const Bytes align = std::max<Bytes>(device().info().limits.align, 4);
  Slice slice{lane.uploads, round_up(lane.upload_used, align), std::max<Bytes>(round_up(bytes, 4), 4)};
  if (slice.offset + slice.bytes > lane.uploads->bytes())
    return Error{Code::internal, "step tables: " + std::to_string(slice.offset + slice.bytes) + " bytes in " +
                                     std::to_string(lane.uploads->bytes())};
  lane.upload_used = slice.offset + slice.bytes;
  HAL_CHECK(lane.uploads->write(slice.offset, {static_cast<const std::byte*>(data), bytes}));
  return slice;
}

Status Stage::append_run(Lane& lane, std::vector<Command>& commands, const StepTables& step, const Piece& piece,
                         const Slice& in, const Slice& out, const Slice& logits) {
  // The tables of this run: the whole step, or one sequence's piece of it, padded to its bucket.
  std::vector<std::int32_t> tokens, positions, rows;
  std::vector<StepSequence> sequences;
  if (piece.sequence < 0) {
    tokens = step.tokens;
    positions = step.positions;
    rows = step.logit_rows;
    sequences = step.sequences;
  } else {
    auto from = static_cast<std::size_t>(piece.row), n = static_cast<std::size_t>(piece.rows);
    tokens.assign(step.tokens.begin() + piece.row, step.tokens.begin() + piece.row + piece.rows);
    positions.assign(step.positions.begin() + piece.row, step.positions.begin() + piece.row + piece.rows);
    tokens.resize(static_cast<std::size_t>(piece.bucket), 0);
    positions.resize(static_cast<std::size_t>(piece.bucket), 0);
    for (std::int32_t r = 0; r < piece.bucket; ++r) rows.push_back(r);
    StepSequence s = step.sequences[static_cast<std::size_t>(piece.sequence)];
    auto before = static_cast<std::int32_t>(from) - s.table.row_begin;
    if (before > 0) s.table.slot_in = s.table.slot_out;
    s.table.past += before;
    s.table.row_begin = 0;
    s.table.rows = static_cast<std::int32_t>(n);
    sequences = {s};
  }
  const auto dims_logits = static_cast<std::int64_t>(rows.size());
  Compiled* c = piece.scanned ? &*scanning_ : nullptr;
  if (!c) {
    HAL_TRY(c, compiled(fixed_ ? piece.bucket : 0, fixed_ ? dims_logits : 0));
  }

  std::vector<std::int32_t> table, page_table;
  const std::int64_t width = step_shape(options_).pages_per_sequence;
  for (const StepSequence& s : sequences) {
    table.insert(table.end(), {s.table.row_begin, s.table.rows, s.table.slot_in, s.table.slot_out, s.table.past});
    auto pages = pages_.find(s.sequence);
    for (std::int64_t i = 0; i < width; ++i)
      page_table.push_back(pages != pages_.end() && i < static_cast<std::int64_t>(pages->second.size())
                               ? pages->second[static_cast<std::size_t>(i)]
                               : 0);
  }

  Run run{c->program,
          {},
          {static_cast<std::int64_t>(tokens.size()), static_cast<std::int64_t>(sequences.size()),
           std::max<std::int64_t>(dims_logits, 1)},
          {}};
  if (Bytes need = c->program->scratch()) run.scratch = {shared_->scratch, 0, need};
  auto send = [&](const std::vector<std::int32_t>& v) { return upload(lane, v.data(), v.size() * 4); };
  for (const Binding& b : c->plan.inputs) {
    Result<Slice> slice = Slice{};
    switch (b.role) {
      case Role::tokens: slice = send(tokens); break;
      case Role::positions: slice = send(positions); break;
      case Role::sequences: slice = send(table); break;
      case Role::page_table: slice = send(page_table); break;
      case Role::logit_rows: slice = send(rows.empty() ? std::vector<std::int32_t>{0} : rows); break;
      default: slice = in; break;
    }
    HAL_CHECK(slice ? ok() : Status(slice.error()));
    run.slices.push_back(*slice);
  }
  for (const StateBuffer& s : states_) run.slices.push_back({s.buffer, 0, s.buffer->bytes()});
  run.slices.push_back(c->plan.outputs[0].role == Role::logits ? logits : out);
  HAL_CHECK(routing_.bind(device(), c->plan, piece.row, piece.rows, static_cast<std::int64_t>(tokens.size()), run));
  if (piece.scanned) run.slices.insert(run.slices.end(), scanned_.begin(), scanned_.end());
  commands.push_back(std::move(run));
  return ok();
}

Result<Point> Stage::submit(const StepTables& step, std::optional<Slice> hidden, const Point& after,
                            std::size_t lane_number) {
  if (experts_) return submit_shared(static_cast<std::int64_t>(step.tokens.size()), *hidden, after);
  Lane& lane = lanes_[lane_number];
  BufferRef &in = shared_->rows_in, &out = shared_->rows_out[lane_number], &logits = lane.logits;
  const auto rows = static_cast<std::int64_t>(step.tokens.size());
  std::vector<Command> commands;
  HAL_CHECK(reserve_state(step, commands));

  std::vector<Piece> pieces;
  if (!fixed_) {
    const bool scanned = rewinds() && std::any_of(step.sequences.begin(), step.sequences.end(),
                                                  [](const StepSequence& s) { return s.block >= 0; });
    pieces.push_back({0, rows, 0, -1, scanned});
  } else {
    for (std::size_t s = 0; s < step.sequences.size(); ++s) {
      const kernels::Sequence& t = step.sequences[s].table;
      for (std::int64_t done = 0; done < t.rows;) {
        std::int64_t n = std::min<std::int64_t>(t.rows - done, bucket_rows);
        pieces.push_back({t.row_begin + done, n, n == 1 ? 1 : bucket_rows, static_cast<std::int64_t>(s)});
        done += n;
      }
    }
  }

  const Bytes row_bytes = static_cast<Bytes>(model_.config.hidden) * 4,
              logit_bytes = static_cast<Bytes>(model_.config.vocab) * 4;
  const Bytes align = std::max<Bytes>(device().info().limits.align, 4);
  const auto padded = static_cast<Bytes>(fixed_ ? bucket_rows : rows);
  const Bytes tables = static_cast<Bytes>(std::max(rows, bucket_rows)) * 12 +
                       static_cast<Bytes>(step.sequences.size()) * 4 *
                           static_cast<Bytes>(kernels::Sequence::width + step_shape(options_).pages_per_sequence) +
                       5 * align + 64;
  HAL_CHECK(shared_->reserve(lane.uploads, tables * pieces.size(), Memory::upload, "step tables"));
  lane.upload_used = 0;
  routing_.begin();
  HAL_CHECK(
      shared_->reserve(in, row_bytes * std::max<Bytes>(padded, static_cast<Bytes>(rows)), Memory::device, "hidden in"));
  const Bytes wanted = static_cast<Bytes>(step.logit_rows.size());
  if (!has_head_)
    HAL_CHECK(shared_->reserve(out, row_bytes * static_cast<Bytes>(rows), Memory::device, "hidden out"));
  else
    HAL_CHECK(shared_->reserve(logits, logit_bytes * std::max<Bytes>(wanted, 1), Memory::readback, "logits"));

  if (!fixed_) {
    if (hidden) commands.push_back(Copy{*hidden, {in, 0, hidden->size()}});
    HAL_CHECK(append_run(lane, commands, step, pieces[0], {in, 0, row_bytes * static_cast<Bytes>(rows)},
                         {out, 0, has_head_ ? 0 : row_bytes * static_cast<Bytes>(rows)},
                         {logits, 0, has_head_ ? logit_bytes * std::max<Bytes>(wanted, 1) : 0}));
    if (pieces[0].scanned) HAL_CHECK(keep_rows(step, commands));
  } else {
    // Rows travel through a bucket-sized buffer; what lies past the real rows is garbage and stays there.
    const Bytes unit = has_head_ ? logit_bytes : row_bytes;
    BufferRef& bucket = shared_->bucket;
    HAL_CHECK(shared_->reserve(bucket, unit * padded, Memory::device, "bucket"));
    for (const Piece& p : pieces) {
      const Bytes bytes = row_bytes * static_cast<Bytes>(p.rows);
      if (hidden) {
        Slice part{hidden->buffer, hidden->offset + row_bytes * static_cast<Bytes>(p.row), bytes};
        commands.push_back(Copy{part, {in, 0, bytes}});
      }
      Slice all{bucket, 0, unit * static_cast<Bytes>(p.bucket)};
      HAL_CHECK(append_run(lane, commands, step, p, {in, 0, row_bytes * static_cast<Bytes>(p.bucket)}, all, all));
      if (!has_head_) {
        commands.push_back(Copy{{bucket, 0, bytes}, {out, row_bytes * static_cast<Bytes>(p.row), bytes}});
        continue;
      }
      for (std::size_t r = 0; r < step.logit_rows.size(); ++r)
        if (step.logit_rows[r] >= p.row && step.logit_rows[r] < p.row + p.rows)
          commands.push_back(
              Copy{{bucket, unit * static_cast<Bytes>(step.logit_rows[r] - p.row), unit}, {logits, unit * r, unit}});
    }
  }
  lane.output =
      has_head_ ? Slice{logits, 0, logit_bytes * wanted} : Slice{out, 0, row_bytes * static_cast<Bytes>(rows)};
  lane.timing = std::make_shared<Timing>();
  lane.timing->want_spans = options_.want_spans;
  Submission submission{{}, std::move(commands), {{lane.timeline, ++lane.submitted}}, lane.timing};
  if (after.timeline) submission.wait.push_back(after);
  HAL_CHECK(shared_->queue->submit(std::move(submission)));
  return Point{lane.timeline, lane.submitted};
}

Bytes Stage::resident() const {
  if (experts_) return experts_->resident(false);
  Bytes most = 0;  // programs of one stage share their packed weights
  for (const auto& [dims, c] : programs_) most = std::max(most, c.program->resident());
  return most;
}

Bytes Stage::io_bytes() const {
  Bytes sum = scanned_.empty() ? 0 : scanned_.front().buffer->bytes();
  for (const Lane& lane : lanes_)
    for (const BufferRef& b : {lane.uploads, lane.logits}) sum += b ? b->bytes() : 0;
  return sum;
}

}  // namespace switchyard::scheduler
