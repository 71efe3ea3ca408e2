// Stage: neighbouring units of a model on one device, as one program, with the state of every session in them.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "hal/device.h"
#include "kernels/op.h"
#include "models/granite_hybrid/segments.h"
#include "scheduler/experts/shared.h"
#include "scheduler/experts/tap.h"
#include "scheduler/run/pool.h"

namespace switchyard::scheduler {

struct StageOptions {
  std::int64_t max_rows = 256;      // of one step
  std::int64_t max_sequences = 32;  // of one step
  std::int64_t context = 4096;      // of one session
  std::int64_t sessions =
      0;  // memory for so many at the whole context is taken at once, for more as they come; 0: as they come
  hal::DType kv = hal::DType::f32;
  kernels::Activations activations = kernels::Activations::exact;
  std::int64_t page_size = 64;
  bool want_spans = false;
  // Called after each step with the experts its tokens chose; replays of a session are steps too. Empty: costs nothing.
  std::function<void(const StepRouting&)> on_routing;
  std::map<std::int64_t, ExpertPlacement> experts;  // by layer, where its feed-forward part shares its experts
};

// Where units [first, last) are one feed-forward part whose experts are shared, and so a stage of its own; else null.
const ExpertPlacement* shared_experts(const StageOptions& options, const models::Model& model, std::int64_t first,
                                      std::int64_t last);

// The open shape of a step within these limits: what stages compile and plans are made for.
models::StepShape step_shape(const StageOptions& options);

// One sequence's share of a step.
struct StepSequence {
  std::uint64_t session = 0;
  kernels::Sequence table{};  // row_begin, rows, slot_in, slot_out, past
};

// One step as every stage sees it. logit_rows index the step's rows.
struct StepTables {
  std::vector<std::int32_t> tokens, positions, logit_rows;
  std::vector<StepSequence> sequences;
};

// State of one session in one layer, in canonical layout: what a checkpoint holds and a move carries.
//   conv_window [K-1, C] f32, ssm_state [H, P, N] f32; or k, v [past, nk, d] in the cache's dtype
struct LayerState {
  std::vector<std::byte> conv_window, ssm_state, k, v;
};

class Stage {
 public:
  // Units [first, last) of `model`, which must outlive the stage. unsupported: with each op, shape and reason declined.
  static hal::Result<std::unique_ptr<Stage>> make(hal::DeviceRef device, const models::Model& model, std::int64_t first,
                                                  std::int64_t last, const StageOptions& options);

  // Runs the step after `after` (if any); `hidden` are the rows of the stage before. Returns at once; the point is
  // reached when output() holds the rows. Pages the sequences need are taken here.
  hal::Result<hal::Point> submit(const StepTables& step, std::optional<hal::Slice> hidden,
                                 std::optional<hal::Point> after);
  // Of the last step: hidden rows [T, Hd], or logits [R, V] where the stage ends with the head.
  const hal::Slice& output() const { return output_; }
  // Seconds the device spent on the last step, from its own clock; and per node where spans were asked for.
  double last_seconds() const;
  // What the routers here chose in the last step, once it is done.
  hal::Status read_routing(StepRouting& to) const { return shared_ ? shared_->read_routing(to) : routing_.read(to); }
  const SharedExperts* shared() const { return shared_.get(); }  // null: all is on device()

  hal::Status reserve_slots(std::int64_t slots);
  void forget(std::uint64_t session);  // gives its pages back
  void truncate(std::uint64_t session, std::int64_t tokens);

  hal::Status save(std::uint64_t session, std::int32_t slot, std::int64_t past,
                   std::map<std::int64_t, LayerState>& layers) const;
  hal::Status restore(std::uint64_t session, std::int32_t slot, std::int64_t past,
                      const std::map<std::int64_t, LayerState>& layers);

  hal::Device& device() const { return *device_; }
  std::int64_t first() const { return first_; }
  std::int64_t last() const { return last_; }
  hal::Bytes resident() const;     // weights the programs hold, each shared copy once
  hal::Bytes state_bytes() const;  // slots, pages and scratch
  bool fixed_shapes() const { return fixed_; }

 private:
  struct Compiled {
    models::ModelSegment plan;
    hal::ProgramRef program;
    hal::Slice scratch;
  };
  struct StateBuffer {
    models::Binding binding;
    hal::Bytes unit = 0;  // bytes of one slot or page
    std::int64_t count = 0;
    hal::BufferRef buffer;
  };
  struct Piece {  // rows of one run of the program
    std::int64_t row = 0, rows = 0, bucket = 0, sequence = -1;
  };

  Stage(hal::DeviceRef device, const models::Model& model, std::int64_t first, std::int64_t last,
        const StageOptions& options);
  hal::Status open();
  hal::Status open_shared(const ExpertPlacement& placement);
  hal::Result<hal::Point> submit_shared(std::int64_t rows, const hal::Slice& hidden, std::optional<hal::Point> after);
  hal::Result<Compiled*> compiled(std::int64_t rows, std::int64_t logits);  // fixed shapes: one per bucket
  hal::Status grow(StateBuffer& state, std::int64_t count);
  hal::Status reserve_pages(std::uint64_t session, std::int64_t tokens);
  hal::Result<hal::Slice> upload(const void* data, std::size_t bytes);
  hal::Status append_run(std::vector<hal::Command>& commands, const StepTables& step, const Piece& piece,
                         const hal::Slice& in, const hal::Slice& out, const hal::Slice& logits);
  hal::Status ensure(hal::BufferRef& buffer, hal::Bytes bytes, hal::Memory memory, const char* label);
  const StateBuffer& state_of(models::Binding::Role role, std::int64_t layer) const;

  hal::DeviceRef device_;
  const models::Model& model_;
  std::int64_t first_, last_;
  StageOptions options_;
  bool fixed_ = false, has_head_ = false, has_pages_ = false;
  std::map<std::pair<std::int64_t, std::int64_t>, Compiled> programs_;  // by (rows, logits); {0, 0}: open dims
  std::vector<StateBuffer> states_;
  std::shared_ptr<hal::Queue> queue_;
  hal::TimelineRef timeline_;
  std::uint64_t submitted_ = 0;
  std::shared_ptr<hal::Timing> timing_;
  hal::BufferRef in_, out_, logits_, uploads_;
  hal::Bytes upload_used_ = 0;
  hal::Slice output_;
  RoutingTap routing_;
  std::unique_ptr<SharedExperts> shared_;
  NumberPool page_pool_{0};
  std::map<std::uint64_t, std::vector<std::int32_t>> pages_;  // of each session, in order
  std::int64_t slots_ = 0;
};

}  // namespace switchyard::scheduler
