// Stage: neighbouring units of a model on one device, as one program, with the state of every sequence in them.
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
#include "scheduler/run/shared_device.h"

namespace switchyard::scheduler {

struct StageOptions {
  std::int64_t max_rows = 256;      // of one step
  std::int64_t max_sequences = 32;  // of one step
  std::int64_t context = 4096;      // of one sequence
  std::int64_t sessions =
      0;  // memory for so many at the whole context is taken at once, for more as they come; 0: as they come
  hal::DType kv = hal::DType::f32;
  kernels::Activations activations = kernels::Activations::exact;
  std::int64_t page_size = 64;
  std::int64_t checkpoints = 0;  // of each sequence, at most; memory for them is taken as it is for sessions
  // Rollback to any of the last `rewind` tokens runs convolutions and scans only, see Executor::rollback. At most
  // max_rows; 0: off. Takes, besides rewind_states states of a session, as many blocks of `rewind` rows of what these
  // read.
  std::int64_t rewind = 0;
  bool want_spans = false;
  // Called after each step with the experts its tokens chose; replays of a sequence are steps too. Empty: costs
  // nothing.
  std::function<void(const StepRouting&)> on_routing;
  std::map<std::int64_t, ExpertPlacement> experts;  // by layer, where its feed-forward part shares its experts
};

// Where units [first, last) are one feed-forward part whose experts are shared, and so a stage of its own; else null.
const ExpertPlacement* shared_experts(const StageOptions& options, const models::Model& model, std::int64_t first,
                                      std::int64_t last);

// Checkpoints of a sequence that a rewind begins from, and blocks of rows since one of them.
inline constexpr std::int64_t rewind_states = 2;

// States of a sequence that are kept besides its present one, at most.
std::int64_t kept_states(const StageOptions& options);

// The most rows of a step that are kept to be run again; of larger steps none are.
std::int64_t scanned_rows(const StageOptions& options);

// The open shape of a step within these limits: what stages compile and plans are made for.
models::StepShape step_shape(const StageOptions& options);

// One sequence's share of a step.
struct StepSequence {
  std::uint64_t sequence = 0;
  kernels::Sequence table{};  // row_begin, rows, slot_in, slot_out, past
  // Its rows are kept in this block, from `block_row` on; -1: they are not.
  std::int32_t block = -1, block_row = 0;
};

// One step as every stage sees it. logit_rows index the step's rows.
struct StepTables {
  std::vector<std::int32_t> tokens, positions, logit_rows;
  std::vector<StepSequence> sequences;
};

// Rows of a block once more, portion after portion, from the state in slot_in; slot_out holds the last one's.
struct Rewind {
  struct Portion {
    std::int32_t row = 0, rows = 0;  // of the block
  };
  std::int32_t block = 0, slot_in = 0, slot_out = 0;
  std::int32_t past = 0;  // tokens before the block
  std::vector<Portion> portions;
};

// State of one sequence in one layer, in canonical layout: what a checkpoint holds and a move carries.
//   conv_window [K-1, C] f32, ssm_state [H, P, N] f32; or k, v [past, nk, d] in the cache's dtype
struct LayerState {
  std::vector<std::byte> conv_window, ssm_state, k, v;
};

// A lane is a place for one step in flight; its output stays until the lane's next step. One thread at a time for all
// stages of a device, and a step is submitted only when those before it on this device have ended or are what it waits
// for: see SharedDevice.
class Stage {
 public:
  // Units [first, last) of `model`, which must outlive the stage. unsupported: with each op, shape and reason declined.
  static hal::Result<std::unique_ptr<Stage>> make(std::shared_ptr<SharedDevice> shared, const models::Model& model,
                                                  std::int64_t first, std::int64_t last, const StageOptions& options);

  hal::Status reserve_lanes(std::size_t lanes);  // one is there from the start
  // Runs the step after `after` (if it has a timeline); `hidden` are the rows of the stage before. Returns at once; the
  // point is reached when output() holds the rows. Pages the sequences need are taken here.
  hal::Result<hal::Point> submit(const StepTables& step, std::optional<hal::Slice> hidden, const hal::Point& after,
                                 std::size_t lane = 0);
  // After `after`, no step being under way. Returns at once; what is not recurrent here stays as it is.
  hal::Result<hal::Point> rewind(const Rewind& rewind, const hal::Point& after);
  // Of the lane's last step: hidden rows [T, Hd], or logits [R, V] where the stage ends with the head.
  const hal::Slice& output(std::size_t lane = 0) const { return lanes_[lane].output; }
  // When the lane's last step ran, on the device's own clock; spans per node where they were asked for.
  const hal::Timing& timing(std::size_t lane = 0) const { return *lanes_[lane].timing; }
  double last_seconds(std::size_t lane = 0) const;
  // What the routers here chose in the last step, once it is done.
  hal::Status read_routing(StepRouting& to) const { return experts_ ? experts_->read_routing(to) : routing_.read(to); }
  const SharedExperts* experts() const { return experts_.get(); }  // shared with another device; null: all is here

  void forget(std::uint64_t sequence);  // gives its pages back
  void truncate(std::uint64_t sequence, std::int64_t tokens);
  // `copy` has the pages of `sequence` too. Whoever writes to one of them first gets a page of its own, copied on the
  // device by that step; those that are full are never written again, and stay shared.
  void fork(std::uint64_t sequence, std::uint64_t copy);

  hal::Status save(std::uint64_t sequence, std::int32_t slot, std::int64_t past,
                   std::map<std::int64_t, LayerState>& layers) const;
  hal::Status restore(std::uint64_t sequence, std::int32_t slot, std::int64_t past,
                      const std::map<std::int64_t, LayerState>& layers);

  hal::Device& device() const { return *shared_->device; }
  const SharedDevice& shared() const { return *shared_; }
  std::int64_t first() const { return first_; }
  std::int64_t last() const { return last_; }
  hal::Bytes resident() const;                                       // weights the programs hold, shared copies once
  const std::vector<hal::Holding>& holds() const { return holds_; }  // of these, as said before compiling
  bool recurrent() const;          // has state that cannot be cut back as a KV cache can
  hal::Bytes state_bytes() const;  // slots, blocks and pages
  bool rewinds() const { return !rows_.empty(); }
  hal::Bytes used_bytes(std::int64_t slots, std::int64_t blocks) const;  // of these, with so many of them in use
  std::int64_t pages_used() const { return page_pool_.used(); }
  hal::Bytes io_bytes() const;  // step tables and logits of all lanes
  bool fixed_shapes() const { return fixed_; }

 private:
  struct Compiled {
    models::ModelSegment plan;
    hal::ProgramRef program;
  };
  struct StateBuffer {
    models::Binding binding;
    hal::Bytes unit = 0;  // bytes of one slot or page
    std::int64_t count = 0;
    hal::BufferRef buffer;
    bool paged() const {
      return binding.role == models::Binding::Role::k_pages || binding.role == models::Binding::Role::v_pages;
    }
  };
  struct Piece {  // rows of one run of the program
    std::int64_t row = 0, rows = 0, bucket = 0, sequence = -1;
    bool scanned = false;  // the program that gives those rows
  };

  struct Lane {
    hal::TimelineRef timeline;
    std::uint64_t submitted = 0;
    std::shared_ptr<hal::Timing> timing;
    hal::BufferRef uploads, logits;
    hal::Bytes upload_used = 0;
    hal::Slice output;
  };

  Stage(std::shared_ptr<SharedDevice> shared, const models::Model& model, std::int64_t first, std::int64_t last,
        const StageOptions& options);
  hal::Status open();
  hal::Status open_shared(const ExpertPlacement& placement);
  hal::Result<hal::Point> submit_shared(std::int64_t rows, const hal::Slice& hidden, const hal::Point& after);
  hal::Result<Compiled*> compiled(std::int64_t rows, std::int64_t logits);  // fixed shapes: one per bucket
  hal::Status grow(StateBuffer& state, std::int64_t count);
  bool paged() const;
  hal::Status reserve_first();
  hal::Status open_rewind();
  hal::Status keep_rows(const StepTables& step, std::vector<hal::Command>& commands);
  const StateBuffer& state_of(models::Binding::Role role, std::int64_t layer) const;
  hal::Status reserve_slots(std::int64_t slots);
  hal::Status reserve_pages(std::uint64_t sequence, std::int64_t tokens);
  hal::Status reserve_state(const StepTables& step, std::vector<hal::Command>& commands);
  hal::Result<hal::Slice> upload(Lane& lane, const void* data, std::size_t bytes);
  hal::Status append_run(Lane& lane, std::vector<hal::Command>& commands, const StepTables& step, const Piece& piece,
                         const hal::Slice& in, const hal::Slice& out, const hal::Slice& logits);

  std::shared_ptr<SharedDevice> shared_;
  const models::Model& model_;
  std::int64_t first_, last_;
  StageOptions options_;
  bool fixed_ = false, has_head_ = false;
  std::map<std::pair<std::int64_t, std::int64_t>, Compiled> programs_;  // by (rows, logits); {0, 0}: open dims
  std::vector<StateBuffer> states_;
  std::optional<Compiled> scanning_, rewind_;  // a step that also gives the rows; these rows run again
  std::vector<StateBuffer> rows_;              // the blocks, a layer each
  std::vector<hal::Slice> scanned_;            // where the scanning program leaves the rows of a step, a layer each
  std::vector<hal::Holding> holds_;
  std::vector<Lane> lanes_;
  RoutingTap routing_;
  std::unique_ptr<SharedExperts> experts_;
  NumberPool page_pool_{0};
  std::map<std::uint64_t, std::vector<std::int32_t>> pages_;  // of each sequence, in order
};

}  // namespace switchyard::scheduler
