// Admission: where a session goes that does not fit on its device. Its ways are tried in order: its own device,
// another, the host's memory for its KV pages; then it waits for memory that is released; then the application may take
// it somewhere else (a remote endpoint).
//
//   The queue is fair: higher priority first, then who came first, and nobody overtakes the head, however little he
//   wants, so that a large session is not starved by small ones.
// No thread of its own: whoever runs the sessions calls poll(). Any thread.
#pragma once
#include <atomic>
#include <thread>

#include "scheduler/serve/ledger.h"

namespace switchyard::scheduler {

enum class Route : std::uint8_t { own_device, other_device, host_paged, queued, overflow, refused };
const char* to_string(Route route);

// A way to take a session; the caller gives them in order of preference. take: reserves all that it needs, or says why
// it cannot. It must not call the Admission.
struct Way {
  Route route = Route::own_device;  // one of the first three
  std::string device;
  std::function<hal::Result<std::vector<Reservation>>()> take;
};

struct AdmissionRequest {
  std::string name;  // of the session, for reasons
  int priority = 0;  // higher first
  std::vector<Way> ways;
  bool may_wait = true;
};

struct Decision {
  std::uint64_t id = 0;  // of the request
  Route route = Route::refused;
  std::string device;
  std::vector<Reservation> held;  // of the first three routes
  std::string reason;             // why none of the ways before this one
};

struct AdmissionOptions {
  Now now = steady_now;
  std::size_t longest_queue = 64;
  std::chrono::nanoseconds longest_wait = std::chrono::seconds(60);
  // Takes a session elsewhere, or says why not. Empty: nowhere.
  std::function<hal::Status(const AdmissionRequest& request, const std::string& reason)> overflow;
  // After memory was released while sessions wait: poll() may admit some. As Ledger::on_release; nor
  // may it take a lock that is held when the Admission is called.
  std::function<void()> wake;
};

class Admission {
 public:
  Admission(std::shared_ptr<Ledger> ledger, AdmissionOptions options = {});

  // At once: one of the ways, queued, overflow or refused. Behind others of its priority or above it does not try its
  // ways, but waits.
  Decision admit(AdmissionRequest request);
  // Those whose waiting has ended, in turn: admitted, or after longest_wait overflow or refused. Cheap while nothing
  // was released.
  std::vector<Decision> poll();
  bool cancel(std::uint64_t id);  // false: it does not wait
  std::size_t waiting() const;

 private:
  struct Waiting {
    std::uint64_t id = 0;
    AdmissionRequest request;
    std::chrono::nanoseconds since{};
    std::string reason;  // of the last try
  };
  bool tried(AdmissionRequest& request, Decision& decision);
  void admit_heads(std::vector<Decision>& decisions);
  void released();
  Decision beyond(const AdmissionRequest& request, Decision decision) const;

  std::shared_ptr<Ledger> ledger_;
  AdmissionOptions options_;
  mutable std::mutex mutex_;    // of the queue; held while ways are tried, so that turns are kept
  std::vector<Waiting> queue_;  // next first
  std::uint64_t next_ = 1;
  std::atomic<bool> released_ = false, any_waiting_ = false;  // released_: since the head was last tried
  std::atomic<std::thread::id> trying_{};  // what this thread gives back is only what a failed try had taken
  Registration on_release_;                // ends first
};

}  // namespace switchyard::scheduler
