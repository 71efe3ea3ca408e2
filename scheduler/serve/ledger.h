// Ledger: who holds how much of each memory pool, over all engines of a process. Bytes are reserved here before they
// are allocated: what does not fit is refused with numbers, and no two engines are promised the same gigabyte.
//
//   A device's bytes count in its pool and, where the device may take less than the pool has, in a row of its own too
//   (the rows of plan/). A row's limit is what the machine's description says, or, once it is watched, what other
//   applications leave. When they leave less than is reserved, poll() stops admitting, then asks the owners for memory:
//   caches first, then sessions that can move, then whatever can shrink.
// Any thread. Callbacks run on the thread whose call causes them, no lock of the ledger held; they must not throw.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <tuple>

#include "probes/machine.h"
#include "scheduler/serve/now.h"

namespace switchyard::scheduler {

enum class Use : std::uint8_t { weights, state, kv, scratch, prefix_cache };
inline constexpr Use all_uses[] = {Use::weights, Use::state, Use::kv, Use::scratch, Use::prefix_cache};
const char* to_string(Use use);

struct Holder {
  std::string owner;  // an engine's or model's name
  Use use = Use::state;
};

// A smaller request that could be made instead: {"context", "a context of 3072 instead of 4096", 420'000'000}. A
// refusal names, of each way, the one that fits and saves least.
struct Candidate {
  std::string way, text;
  hal::Bytes saves = 0;
};

class Ledger;

// Bytes of a device, given back when it dies. Holds its ledger. One thread at a time.
class Reservation {
 public:
  Reservation() = default;  // of nothing; grow is refused
  Reservation(Reservation&& other) noexcept { swap(other); }
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { shrink(bytes_); }

  hal::Bytes bytes() const { return bytes_; }
  const std::string& device() const { return device_; }
  // By so many bytes. out_of_memory: as Ledger::reserve, and nothing has changed; but what runs already may grow while
  // nothing new is admitted.
  hal::Status grow(hal::Bytes bytes, std::span<const Candidate> candidates = {});
  void shrink(hal::Bytes bytes);  // by so many bytes, at most all

 private:
  friend class Ledger;
  void swap(Reservation& other) noexcept;
  std::shared_ptr<Ledger> ledger_;
  std::string device_;
  Holder holder_;
  hal::Bytes bytes_ = 0;
};

// A row's memory now.
struct Reading {
  hal::Bytes available = 0;  // may still be taken without hurting others
  hal::Bytes used = 0;       // taken by this process, of what is reserved
  double stalled = 0;        // share of the last seconds in which some task waited for memory, 0 to 1
};
using BudgetReader = std::function<hal::Result<Reading>()>;  // an error: the last reading stays

enum class ReliefOrder : std::uint8_t { drop_caches, move_sessions, shrink };
const char* to_string(ReliefOrder order);

// Somebody who can give memory of a device back. free: at least so many bytes are wanted; returns those it has given
// back, and those that it will within LedgerOptions::settle.
struct Relief {
  ReliefOrder order = ReliefOrder::drop_caches;
  std::string device, what;
  std::function<hal::Bytes(hal::Bytes wanted)> free;
};

// Ends a callback when it dies, and waits for one that runs: hold no lock then that the callback takes.
using Registration = std::shared_ptr<const void>;

// What poll() or reclaim() did.
struct LedgerAction {
  // stopped, resumed: admitting. relieved: by one Relief. exhausted: all were asked and it was not enough.
  enum class Type : std::uint8_t { stopped, relieved, exhausted, resumed };
  Type type = Type::stopped;
  std::chrono::nanoseconds time{};
  std::string row;
  std::string what;                  // relieved: "drop_caches: prefix cache of chat"
  hal::Bytes wanted = 0, freed = 0;  // stopped, exhausted: wanted is what is missing
  double stalled = 0;                // stopped
};
std::string describe(const LedgerAction& action);

struct LedgerOptions {
  Now now = steady_now;
  double margin = 0.02;  // of a row's limit: freed beyond what is missing, so that the next dip finds room
  std::chrono::nanoseconds patience = std::chrono::seconds(2);  // sessions move or shrink for no shorter lack
  std::chrono::nanoseconds settle = std::chrono::seconds(2);    // between two rounds of asking
  std::chrono::nanoseconds calm = std::chrono::seconds(10);     // without any lack, before admitting goes on
  double stalled = 0.1;  // more of Reading::stalled is a lack, though only of caches
  std::function<void(const LedgerAction&)> on_action;
};

struct LedgerRow {
  struct Held {
    std::string device;
    Holder holder;
    hal::Bytes bytes = 0;
  };
  std::string name, within;                                   // a pool; or a device, within its pool
  hal::Bytes total = 0, limit = 0, reserved = 0, others = 0;  // others: that other applications use, if it is watched
  double stalled = 0;
  bool admitting = true;
  std::vector<Held> held;  // by device, owner and use
  hal::Bytes left() const { return limit - std::min(limit, reserved); }
};

class Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  static std::shared_ptr<Ledger> make(const probes::Machine& machine, LedgerOptions options = {});

  // Before the memory is allocated. not_found: no such device. out_of_memory: what was asked, what is there, who holds
  // how much, and the least of the candidates that would fit; or that nothing is admitted now. 0 bytes always fit.
  hal::Result<Reservation> reserve(const std::string& device, hal::Bytes bytes, const Holder& holder,
                                   std::span<const Candidate> candidates = {});
  // Asks the reliefs of the device's rows, up to that order, until `bytes` more would fit; returns what they gave.
  // Hold no lock that a relief takes.
  hal::Bytes reclaim(const std::string& device, hal::Bytes bytes, ReliefOrder up_to);

  // From now on a pool, or a device with a row of its own, is limited by what is read. not_found: no such row.
  hal::Status watch_pool(const std::string& pool, BudgetReader reader) { return watch(pool, false, std::move(reader)); }
  hal::Status watch_device(const std::string& id, BudgetReader reader) { return watch(id, true, std::move(reader)); }
  hal::Result<Registration> add_relief(Relief relief);  // not_found: no such device
  // Called after memory may have become free, also wherever a Reservation dies or shrinks: it should only wake
  // somebody, who then tries again, and take no lock that is held while memory is given back (release a semaphore, for
  // instance).
  Registration on_release(std::function<void()> wake);
  // Reads all watched rows and acts. Some times a second is enough. While one call runs, others return at once.
  void poll();

  std::vector<LedgerRow> snapshot() const;

 private:
  friend class Reservation;
  using Key = std::tuple<std::string, std::string, Use>;  // device, owner, use
  struct Row : LedgerRow {
    BudgetReader reader;
    std::optional<std::chrono::nanoseconds> lacking_since, calm_since, asked_at;
    bool exhausted = false;
  };
  struct Hook {  // a callback; running is held while it runs, which may end its own registration
    std::recursive_mutex running;
    bool gone = false;
    Relief relief;
    std::function<void()> wake;
  };
  struct Need {
    std::size_t row;
    hal::Bytes goal;  // of Row::reserved
    ReliefOrder up_to;
  };
  struct Answer {
    hal::Bytes wanted = 0, freed = 0;
  };
  using Hooks = std::vector<std::shared_ptr<Hook>>;

  explicit Ledger(LedgerOptions options) : options_(std::move(options)) {}
  hal::Status take(const std::string& device, hal::Bytes bytes, const Holder& holder,
                   std::span<const Candidate> candidates, bool running);
  hal::Status watch(const std::string& row, bool of_device, BudgetReader reader);
  void give(const std::string& device, hal::Bytes bytes, const Holder& holder);
  Registration add(Hooks Ledger::*hooks, std::shared_ptr<Hook> hook);
  Hooks reliefs_of(std::size_t row, ReliefOrder up_to) const;
  Answer ask(const Need& need);
  hal::Bytes margin(const Row& row) const;
  bool apply(std::size_t row, const Reading& reading, std::vector<Need>& needs, std::vector<LedgerAction>& actions);
  void tell(LedgerAction action) const;
  void wake() const;

  LedgerOptions options_;
  mutable std::mutex mutex_;  // of all below
  bool polling_ = false;
  std::vector<Row> rows_;
  std::map<std::string, std::vector<std::size_t>, std::less<>> rows_of_;  // by device
  std::map<Key, hal::Bytes> held_;
  Hooks reliefs_, wakers_;
};

// The one ledger of engines that were given none. Made for the first machine asked with, and lives as long as somebody
// holds it. invalid_argument: it is held for another machine.
hal::Result<std::shared_ptr<Ledger>> process_ledger(const probes::Machine& machine);

}  // namespace switchyard::scheduler
