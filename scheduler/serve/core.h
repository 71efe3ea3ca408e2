// What an Engine's threads share. Internal to serve/.
#pragma once
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "scheduler/serve/engine.h"
#include "scheduler/serve/health.h"
#include "scheduler/serve/placement.h"
#include "scheduler/serve/watchdog.h"

namespace switchyard::scheduler {

class Worker;
using Clock = std::chrono::steady_clock;

// What a Session stands for. Everything is guarded by Core::mutex, but `log` may be read without it by the session's
// worker while it is busy with it: nobody changes it then.
struct Conversation {
  std::uint64_t id = 0;
  SessionOptions options;
  Where where;
  std::int64_t context = 0;
  std::vector<std::int32_t> log;
  std::shared_ptr<Worker> worker;  // null: it is on its way, or waits for a device
  bool parked = false;             // no device takes it at present
  Clock::time_point try_again{};   // then
  bool busy = false;               // in a step, or its next token is being chosen
  bool closed = false;
  std::int64_t cached = 0;  // of the log, what the worker's state covers
  std::int64_t read = 0;    // of the log, what some worker's did

  // The submission under way, or the last one.
  bool active = false;
  Generation generation;
  OnPiece on_piece;
  std::size_t from = 0;   // of the log, where its tokens begin
  std::size_t shown = 0;  // of the log, what may be given
  std::size_t given = 0;  // of the log, what next() and on_piece have had
  std::optional<Finish> finish;
  std::optional<hal::Error> error;
  bool told = true;     // its end has been given too
  bool giving = false;  // somebody is calling on_piece

  std::shared_ptr<const SequenceState> kept;  // its state when it was last copied to the host
  Clock::time_point submitted{};
  Clock::time_point ready_since{};  // when it last had rows to feed and was in no step
  SessionStats stats;
  std::condition_variable changed;

  std::int64_t made() const { return static_cast<std::int64_t>(log.size() - from); }  // by the submission
  // The last token of all is read with the submission that goes on from it.
  std::int64_t rows_left() const {
    return static_cast<std::int64_t>(log.size()) - cached - (active && generation.max_tokens > 0 ? 0 : 1);
  }
  bool ready() const { return active && worker && rows_left() > 0; }
};
using ConversationRef = std::shared_ptr<Conversation>;

// What a worker does for somebody between two steps. done: its result; none: it was not done, the worker has retired.
struct Command {
  std::function<hal::Status(Worker&)> work;  // holds what it needs: whoever waits may have given up
  std::promise<std::optional<hal::Status>> done;
};
using CommandRef = std::shared_ptr<Command>;

struct Core : std::enable_shared_from_this<Core> {
  Core(models::Model model, probes::Devices& devices, std::optional<probes::Profile> profile,
       const EngineOptions& options);

  hal::Result<Placement> place(const Where& where);
  // The worker of this placement; opens it. Several threads may ask.
  hal::Result<std::shared_ptr<Worker>> worker_of(const Placement& placement);
  void event(Event::What what, std::uint64_t session, std::string where, std::string text) const;
  // Of a session at a placement.
  void count(const Metric& counter, std::uint64_t session, const std::string& where, double by = 1) const;

  // Does `work` on the worker's thread between steps and waits. None: it has retired.
  std::optional<hal::Status> call(const std::shared_ptr<Worker>& worker, std::function<hal::Status(Worker&)> work);
  // The same on the worker of a session, wherever it is then. unavailable: no device takes the session at present.
  hal::Status on_worker(const ConversationRef& c, const std::function<hal::Status(Worker&)>& work);
  // A new session goes to a worker; a state for it may be given.
  hal::Status settle(const ConversationRef& c, std::shared_ptr<const SequenceState> state);
  // A session without a worker goes on where it can, from what was kept of it; else it waits.
  void resume(const ConversationRef& c, const std::string& why);
  hal::Result<MoveReport> move(const ConversationRef& c, const Where& where);
  std::set<std::string> resting() const;
  // These devices have failed: they are left alone for a while, and opened anew then.
  void rest(const std::vector<std::string>& failed, Failure failure, const std::string& why);
  // And with them the worker: its sessions go on elsewhere.
  void retire(Worker& worker, const std::vector<std::string>& failed, Failure failure, const std::string& why);
  void watch(const std::stop_token& stop);
  void give(const ConversationRef& c);  // what has not been given yet, to its callback

  // mutex held.
  void end(Conversation& c, std::optional<Finish> finish, std::optional<hal::Error> error);

  models::Model model;
  probes::Devices& devices;
  EngineOptions options;
  Placer placer;
  Health health;
  Watchdog watchdog;

  std::mutex opening;  // one placement is opened at a time; taken before `mutex`
  std::mutex mutex;
  std::condition_variable moved;  // a session has got or lost its worker
  std::condition_variable_any woken;
  bool closing = false;
  std::uint64_t next_id = 1;
  std::map<std::vector<std::string>, std::shared_ptr<Worker>> workers;  // by the devices of the units
  std::map<std::uint64_t, ConversationRef> conversations;
  std::jthread watcher;
};

// It carries out an empty submission, and soon.
bool answers(hal::Device& device);

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

hal::Error closed_error(const Conversation& c);

// Mutex held.
SessionStats stats_of(const Conversation& c);
std::vector<std::int32_t> take_shown(Conversation& c);  // what may be given and was not

}  // namespace switchyard::scheduler
