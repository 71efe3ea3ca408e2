// Worker: a thread and an Executor for the sessions of one placement. Internal to serve/.
#pragma once
#include <atomic>

#include "scheduler/serve/core.h"
#include "scheduler/serve/step_times.h"

namespace switchyard::scheduler {

class Worker : public std::enable_shared_from_this<Worker> {
 public:
  static hal::Result<std::shared_ptr<Worker>> open(Core& core, const Placement& placement);
  ~Worker();

  const Placement& placement() const { return placement_; }
  bool on_its_thread() const { return std::this_thread::get_id() == thread_id_; }

  // On the worker's thread. cached, or that the session has no state here, is for the caller to write down.
  hal::Status attach(std::uint64_t session, const SequenceState* state);
  hal::Result<SequenceState> state_of(std::uint64_t session) const;
  hal::Status fork(std::uint64_t session, std::uint64_t to);
  hal::Result<RollbackReport> rollback(std::uint64_t session, std::int64_t tokens);
  void detach(std::uint64_t session) { sequences_.erase(session); }

  // Core::mutex held.
  bool post(CommandRef command);  // false: retired
  void post_detach(std::uint64_t session);
  void wake() { wake_.notify_one(); }
  bool retired() const { return retired_; }
  std::deque<CommandRef> retire();             // what it will not do any more
  bool late() const { return watch_.late(); }  // the present step or command
  PlacementReport report() const;
  void stop();  // after the present step; join() without the mutex
  void join();

  std::vector<std::string> unwell() const;  // devices that do not answer

 private:
  struct Item {  // of the next step
    ConversationRef conversation;
    std::vector<std::int32_t> tokens;
    bool last = false;  // of the log: then its logits make the next token
  };
  Worker(Core& core, Placement placement) : core_(core.shared_from_this()), placement_(std::move(placement)) {}
  void loop();
  std::vector<Item> next_batch();
  void step(std::vector<Item> batch, std::unique_lock<std::mutex>& lock);
  void make_token(const ConversationRef& c, std::span<const float> logits);
  void keep(const ConversationRef& c);
  void failed(const std::vector<Item>& batch, const hal::Error& error);

  std::shared_ptr<Core> core_;
  Placement placement_;
  std::vector<hal::DeviceRef> devices_;  // each once
  std::unique_ptr<Executor> executor_;   // this and sequences_: the worker's thread alone
  std::map<std::uint64_t, std::unique_ptr<Sequence>> sequences_;
  int failures_ = 0;  // steps in a row

  // Guarded by Core::mutex.
  std::deque<CommandRef> commands_;
  CommandRef running_;
  std::condition_variable wake_;
  bool retired_ = false, stopping_ = false;
  Watchdog::Watch watch_;  // of the present step or command
  std::uint64_t steps_ = 0;
  double busy_seconds_ = 0;
  std::optional<StepTimes> times_;

  std::atomic<std::thread::id> thread_id_{};
  std::thread thread_;
};

}  // namespace switchyard::scheduler
