// Executor: a model placed on devices, and the sequences that run on it.
//
//   step()      any mix of sequences and row counts in one pass over all stages: prefill chunks and decode rows together
//   A sequence's token log is the truth and device state a cache: tokens enter the log only after their step is done on every
//   stage; when a step fails, the sequence is marked stale and is replayed from its log before it runs again.
//   rollback() cuts the log back. KV caches are cut with it; recurrent state cannot be, so it returns to a state that was
//   kept (checkpoint) or is made again from one. A kept state costs no copy: steps leave a state alone that has another
//   user (a checkpoint, a fork), and write theirs to a slot of their own.
// One thread at a time.
#pragma once
#include "scheduler/run/stage.h"

namespace switchyard::scheduler {

struct ExecutorOptions : StageOptions {
  std::function<void(std::string_view what, double done)> progress;  // of opening: 0..1
};

class Executor;

// A conversation. Made by Executor::create_sequence; gives its slots and pages back when it dies (before its executor).
class Sequence {
 public:
  ~Sequence();
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;
  std::uint64_t id() const { return id_; }
  const std::vector<std::int32_t>& log() const { return log_; }  // every token whose step is done

 private:
  friend class Executor;
  Sequence(Executor& executor, std::uint64_t id) : executor_(executor), id_(id) {}
  struct Checkpoint {  // has a share in its slot and its block
    std::int32_t slot = 0;
    std::size_t length = 0;
    bool automatic = false;           // made by steps, for rewinds
    std::int32_t block = -1;          // rows of the steps since are kept there
    std::vector<std::int32_t> steps;  // how many of each
    std::size_t rows() const;         // of all of them
  };
  Executor& executor_;
  std::uint64_t id_;
  std::int32_t state_slot_ = 0;          // has a share in it: where the state of log() lies; 0: nothing ran yet
  std::int32_t next_slot_ = 0;           // where the step under way leaves its state
  std::vector<Checkpoint> checkpoints_;  // by length
  std::vector<std::int32_t> log_;
  bool stale_ = false;  // device state does not match log_: replay first
};

enum class WantLogits : std::uint8_t { none, last, all };

struct StepItem {
  Sequence* sequence = nullptr;
  std::span<const std::int32_t> tokens;
  WantLogits logits = WantLogits::last;
};

// Logits of an item: [rows wanted, vocab], f32.
struct StepResult {
  std::vector<std::vector<float>> logits;  // one per item
  double seconds = 0;                      // wall clock of the step
};

// What a sequence is, anywhere: portable between devices, backends and executors of the same model.
struct SequenceState {
  std::uint64_t model_hash = 0;
  hal::DType kv = hal::DType::f32;
  std::vector<std::int32_t> log;
  std::map<std::int64_t, LayerState> layers;
};

// How a sequence came back to an earlier length, the cheapest way there was.
//   none        it was there
//   cut         nothing but KV caches had to be cut
//   checkpoint  and the state of that very length was kept: it is used again, no device works
//   rewind      and from the last kept state before it the recurrent state was moved on by the rows that were kept since:
//               convolutions and scans ran, nothing else (options.rewind)
//   replay      and the tokens since the last kept state before it ran again, through the whole model
enum class RollbackHow : std::uint8_t { none, cut, checkpoint, rewind, replay };
const char* to_string(RollbackHow how);
struct RollbackReport {
  RollbackHow how = RollbackHow::none;
  std::int64_t tokens = 0;  // of which something ran again
  double seconds = 0;       // wall clock
};

// What sequences use of the state that an executor has taken.
struct StateUse {
  std::int64_t slots = 0, pages = 0;  // pages: of all stages
  std::int64_t blocks = 0;            // of rows kept for rewinds
  hal::Bytes bytes = 0;
  bool operator==(const StateUse&) const = default;
};

struct StageReport {
  std::string device;
  std::int64_t first = 0, last = 0;    // units
  double seconds = 0;                  // device time of all steps so far
  hal::Bytes resident = 0, state = 0;  // weights; slots and pages
  bool fixed_shapes = false;
};

// What an executor holds on a device now, in bytes.
struct DeviceReport {
  std::string device;
  hal::Bytes weights = 0;  // as its programs hold them
  hal::Bytes state = 0;    // slots and pages of all sequences
  hal::Bytes scratch = 0;  // one for all stages there, and one per part where experts are shared
  hal::Bytes io = 0;       // rows between stages and parts, step tables, logits: they grow with the largest step
};

// invalid_argument: a token outside [0, vocab), with its position.
hal::Status check_tokens(std::span<const std::int32_t> tokens, std::int64_t vocab);

class Executor {
 public:
  // One device per unit of the model. Neighbouring units of one device become one program.
  static hal::Result<std::unique_ptr<Executor>> open(models::Model model, std::vector<hal::DeviceRef> devices,
                                                     const ExecutorOptions& options);

  hal::Result<std::unique_ptr<Sequence>> create_sequence();
  // invalid_argument: a token outside [0, vocab), more rows than max_rows, a sequence twice, context exceeded: nothing
  // has run.
  hal::Result<StepResult> step(std::span<const StepItem> items);
  // Any number of tokens, in steps of at most max_rows. logits: of the last token, or of all. invalid_argument as step,
  // before the first of them.
  hal::Result<std::vector<float>> feed(Sequence& sequence, std::span<const std::int32_t> tokens, WantLogits logits);

  // The state of the present length is kept from now on, without a copy. Beyond options.checkpoints of a sequence the
  // oldest is dropped, and so are those of tokens that are rolled back. invalid_argument: this executor keeps none.
  hal::Status checkpoint(Sequence& sequence);
  // The last `tokens` leave the log. What runs after is what would have run had they never been there: bit for bit on
  // devices whose rows do not depend on those beside them, except where tokens are replayed in other portions than they
  // first ran in, or a step of more than ssm_scan's step_order_rows is cut within: its rows stay those of the whole
  // step. invalid_argument: the log is shorter. Any other error: the log is cut, and the sequence stale.
  //
  // With options.rewind steps make checkpoints of their own, so that going back to any of the last `rewind` tokens of
  // the longest the log has been needs no replay. But a step of more than `rewind` rows of the sequence, or of more
  // than scanned_rows() in all, keeps the state before it and no rows; and where a device takes only fixed shapes, or
  // declines the programs of a rewind, all of it is replays, from those checkpoints.
  hal::Result<RollbackReport> rollback(Sequence& sequence, std::int64_t tokens);
  // The longest length up to `length` to which rollback() gets without a replay.
  std::size_t reach(const Sequence& sequence, std::size_t length) const;
  // A second sequence with the same log and checkpoints, without a copy: both read the same state and the same pages,
  // and each writes its own. The last page, partly filled, is copied on the device by the first step of one of them.
  hal::Result<std::unique_ptr<Sequence>> fork(Sequence& sequence);

  hal::Result<SequenceState> save(const Sequence& sequence) const;
  // A new sequence with that state. invalid_argument: another model, another KV type, or too long for this executor's
  // context.
  hal::Result<std::unique_ptr<Sequence>> restore(const SequenceState& state);

  const models::Model& model() const { return model_; }
  const ExecutorOptions& options() const { return options_; }
  std::vector<StageReport> report() const;
  std::vector<DeviceReport> device_report() const;  // in the order of their first stages
  StateUse state_use() const;
  std::uint64_t steps() const { return steps_; }

 private:
  friend class Sequence;
  friend class Pipeline;
  Executor(models::Model model, const ExecutorOptions& options) : model_(std::move(model)), options_(options) {}
  hal::Status check(const StepItem& item) const;
  hal::Status check(std::span<const StepItem> items) const;
  hal::Status replay(Sequence& sequence);
  hal::Status run_again(Sequence& sequence, std::vector<std::int32_t> log);
  hal::Status go_back(Sequence& sequence, std::size_t length, RollbackReport& report);
  void cut(Sequence& sequence, std::size_t length);
  void use_slot(Sequence& sequence, std::int32_t slot);
  void keep(Sequence& sequence, bool automatic);
  void drop(const Sequence::Checkpoint& kept);
  Sequence::Checkpoint* keep_way_back(Sequence& sequence, std::int64_t rows, std::int64_t all);
  static const Sequence::Checkpoint* rows_to(const Sequence& sequence, std::size_t length);
  hal::Status rewind(Sequence& sequence, const Sequence::Checkpoint& from, const Sequence::Checkpoint& block);
  hal::Status replay_stale(std::span<const StepItem> items);
  hal::Result<StepResult> run(std::span<const StepItem> items);
  StepTables begin_step(std::span<const StepItem> items);  // end_step() follows, whatever happens
  hal::Result<StepResult> read_logits(std::span<const StepItem> items, const hal::Slice& logits) const;
  void end_step(std::span<const StepItem> items, bool done);  // into the logs, or stale
  hal::Status report_routing(std::int64_t rows) const;
  void forget(Sequence& sequence);

  models::Model model_;
  ExecutorOptions options_;
  std::vector<std::shared_ptr<SharedDevice>> devices_;  // in the order of their first stages
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<double> seconds_, other_seconds_;  // per stage; other: of the second device, where experts are shared
  NumberPool slots_{1};                          // slot 0 holds zeros
  NumberPool blocks_{0};
  bool recurrent_ = false, rewinds_ = false;  // any stage; all that are
  std::uint64_t next_sequence_ = 1, steps_ = 0;
  hal::Point last_step_;  // its end: the next begins after it, also on simulated clocks
};

// The largest logit, the lower index on a tie.
std::int32_t greedy(std::span<const float> logits);

}  // namespace switchyard::scheduler
