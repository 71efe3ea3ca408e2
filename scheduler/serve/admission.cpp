#include "scheduler/serve/admission.h"

#include <algorithm>

namespace switchyard::scheduler {

const char* to_string(Route route) {
  switch (route) {
    case Route::own_device: return "own_device";
    case Route::other_device: return "other_device";
    case Route::host_paged: return "host_paged";
    case Route::queued: return "queued";
    case Route::overflow: return "overflow";
    case Route::refused: return "refused";
  }
  return "?";
}

Admission::Admission(std::shared_ptr<Ledger> ledger, AdmissionOptions options)
    : ledger_(std::move(ledger)), options_(std::move(options)) {
  on_release_ = ledger_->on_release([this] { released(); });
}

void Admission::released() {
  if (trying_ == std::this_thread::get_id()) return;
  released_ = true;
  if (any_waiting_ && options_.wake) options_.wake();
}

// Fills in route, device and what is held, or why nothing would take it.
bool Admission::tried(AdmissionRequest& request, Decision& decision) {
  struct Trying {
    std::atomic<std::thread::id>& id;
    explicit Trying(std::atomic<std::thread::id>& of) : id(of) { id = std::this_thread::get_id(); }
    ~Trying() { id = std::thread::id(); }
  } trying(trying_);
  decision.reason.clear();
  for (Way& way : request.ways) {
    auto taken = way.take();
    if (taken) {
      decision.route = way.route;
      decision.device = way.device;
      decision.held = std::move(*taken);
      return true;
    }
    decision.reason += (decision.reason.empty() ? "" : "; ") + std::string(to_string(way.route)) + " " + way.device +
                       ": " + hal::describe(taken.error());
  }
  return false;
}

Decision Admission::beyond(const AdmissionRequest& request, Decision decision) const {
  decision.route = Route::refused;
  if (!options_.overflow) return decision;
  const hal::Status taken = options_.overflow(request, decision.reason);
  if (taken)
    decision.route = Route::overflow;
  else
    decision.reason += "; overflow: " + hal::describe(taken.error());
  return decision;
}

Decision Admission::admit(AdmissionRequest request) {
  Decision decision;
  {
    std::lock_guard lock(mutex_);
    decision.id = next_++;
    const auto place = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const Waiting& w) { return w.request.priority < request.priority; });
    const auto before = place - queue_.begin();
    const bool was_released = !before && released_.exchange(false);
    if (before)
      decision.reason = std::to_string(before) + " before it in the queue, first " + queue_.front().request.name;
    const bool fits = !before && tried(request, decision);
    if (!fits && request.may_wait && queue_.size() < options_.longest_queue) {
      decision.route = Route::queued;
      queue_.insert(place, {decision.id, std::move(request), options_.now(), decision.reason});
      any_waiting_ = true;
      if (released_ && options_.wake) options_.wake();  // meanwhile
      return decision;
    }
    if (was_released) released_ = true;  // the head has not been tried
    if (fits) return decision;
    if (request.may_wait) decision.reason += "; the queue is full (" + std::to_string(queue_.size()) + ")";
  }
  return beyond(request, std::move(decision));
}

void Admission::admit_heads(std::vector<Decision>& decisions) {
  while (!queue_.empty()) {
    Decision decision;
    decision.id = queue_.front().id;
    if (!tried(queue_.front().request, decision)) {
      queue_.front().reason = decision.reason;
      return;
    }
    decisions.push_back(std::move(decision));
    queue_.erase(queue_.begin());
  }
}

std::vector<Decision> Admission::poll() {
  std::vector<Decision> decisions;
  std::vector<Waiting> expired;
  {
    std::lock_guard lock(mutex_);
    if (released_.exchange(false)) admit_heads(decisions);
    const auto late = options_.now() - options_.longest_wait;
    const auto first = std::stable_partition(queue_.begin(), queue_.end(), [&](auto& w) { return w.since > late; });
    std::move(first, queue_.end(), std::back_inserter(expired));
    queue_.erase(first, queue_.end());
    if (!expired.empty()) admit_heads(decisions);  // another may be first now
    any_waiting_ = !queue_.empty();
  }
  for (Waiting& w : expired) {
    Decision decision;
    decision.id = w.id;
    decision.reason = w.reason + "; waited " +
                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options_.longest_wait).count()) +
                      " s";
    decisions.push_back(beyond(w.request, std::move(decision)));
  }
  return decisions;
}

bool Admission::cancel(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const Waiting& w) { return w.id == id; });
  if (found == queue_.end()) return false;
  queue_.erase(found);
  any_waiting_ = !queue_.empty();
  released();  // another may be first now
  return true;
}

std::size_t Admission::waiting() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

}  // namespace switchyard::scheduler
