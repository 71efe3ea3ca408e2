// The ledger's callbacks, and what it does when other applications take memory.
#include <algorithm>

#include "scheduler/plan/text.h"
#include "scheduler/serve/ledger.h"

namespace switchyard::scheduler {

using hal::Bytes;

const char* to_string(ReliefOrder order) {
  switch (order) {
    case ReliefOrder::drop_caches: return "drop_caches";
    case ReliefOrder::move_sessions: return "move_sessions";
    case ReliefOrder::shrink: return "shrink";
  }
  return "?";
}

std::string describe(const LedgerAction& action) {
  switch (action.type) {
    case LedgerAction::Type::stopped:
      return action.row + ": stopped admitting: " + gigabytes(action.wanted) + " more reserved than others leave, " +
             std::to_string(static_cast<int>(action.stalled * 100)) + " % of the time stalled";
    case LedgerAction::Type::relieved:
      return action.row + ": " + action.what + ": " + gigabytes(action.freed) + " of " + gigabytes(action.wanted) +
             " wanted";
    case LedgerAction::Type::exhausted:
      return action.row + ": all were asked, " + gigabytes(action.wanted) + " still missing";
    case LedgerAction::Type::resumed: return action.row + ": admitting again";
  }
  return "?";
}

Registration Ledger::add(Hooks Ledger::*hooks, std::shared_ptr<Hook> hook) {
  std::lock_guard lock(mutex_);
  (this->*hooks).push_back(hook);
  return Registration(nullptr, [ledger = weak_from_this(), hooks, hook = std::move(hook)](const void*) {
    {
      std::lock_guard running(hook->running);
      hook->gone = true;
    }
    const auto of = ledger.lock();
    if (!of) return;
    std::lock_guard of_list(of->mutex_);
    std::erase(of.get()->*hooks, hook);
  });
}

hal::Result<Registration> Ledger::add_relief(Relief relief) {
  if (!rows_of_.count(relief.device))  // constant
    return hal::Error{hal::Code::not_found, "relief by " + relief.what + ": no device " + relief.device};
  auto hook = std::make_shared<Hook>();
  hook->relief = std::move(relief);
  return add(&Ledger::reliefs_, std::move(hook));
}

Registration Ledger::on_release(std::function<void()> wake) {
  auto hook = std::make_shared<Hook>();
  hook->wake = std::move(wake);
  return add(&Ledger::wakers_, std::move(hook));
}

void Ledger::wake() const {
  Hooks wakers;
  {
    std::lock_guard lock(mutex_);
    wakers = wakers_;
  }
  for (const auto& hook : wakers) {
    std::lock_guard running(hook->running);
    if (!hook->gone) hook->wake();
  }
}

void Ledger::tell(LedgerAction action) const {
  if (!options_.on_action) return;
  action.time = options_.now();
  options_.on_action(action);
}

Ledger::Hooks Ledger::reliefs_of(std::size_t row, ReliefOrder up_to) const {
  std::lock_guard lock(mutex_);
  Hooks hooks;
  for (const auto& hook : reliefs_) {
    const auto& rows = rows_of_.find(hook->relief.device)->second;
    if (hook->relief.order <= up_to && std::find(rows.begin(), rows.end(), row) != rows.end()) hooks.push_back(hook);
  }
  std::stable_sort(hooks.begin(), hooks.end(),
                   [](const auto& a, const auto& b) { return a->relief.order < b->relief.order; });
  return hooks;
}

Ledger::Answer Ledger::ask(const Need& need) {
  Answer answer;
  {
    std::lock_guard lock(mutex_);
    const Row& row = rows_[need.row];
    answer.wanted = row.reserved - std::min(row.reserved, need.goal);
  }
  for (const auto& hook : reliefs_of(need.row, need.up_to)) {
    if (answer.freed >= answer.wanted) break;
    const Bytes wanted = answer.wanted - answer.freed;
    Bytes got = 0;
    {
      std::lock_guard running(hook->running);
      if (hook->gone) continue;
      got = hook->relief.free(wanted);
    }
    if (got)
      tell({LedgerAction::Type::relieved,
            {},
            rows_[need.row].name,
            std::string(to_string(hook->relief.order)) + ": " + hook->relief.what,
            wanted,
            got});
    answer.freed += got;
  }
  return answer;
}

Bytes Ledger::reclaim(const std::string& device, Bytes bytes, ReliefOrder up_to) {
  const auto rows = rows_of_.find(device);
  if (rows == rows_of_.end()) return 0;
  Bytes freed = 0;
  for (std::size_t r : rows->second) {
    std::unique_lock lock(mutex_);
    const Bytes limit = rows_[r].limit;
    lock.unlock();
    freed += ask({r, limit - std::min(limit, bytes), up_to}).freed;
  }
  return freed;
}

hal::Status Ledger::watch(const std::string& name, bool of_device, BudgetReader reader) {
  std::lock_guard lock(mutex_);
  std::string known;
  for (Row& row : rows_) {
    if (row.within.empty() == of_device) continue;
    known += " " + row.name;
    if (row.name != name) continue;
    row.reader = std::move(reader);
    return hal::ok();
  }
  return hal::Error{hal::Code::not_found,
                    (of_device ? "no device with a limit of its own: " : "no pool: ") + name + "; there are:" + known};
}

Bytes Ledger::margin(const Row& row) const {
  return static_cast<Bytes>(options_.margin * static_cast<double>(row.limit));
}

// True: somebody who waits may find room now.
bool Ledger::apply(std::size_t index, const Reading& reading, std::vector<Need>& needs,
                   std::vector<LedgerAction>& actions) {
  Row& row = rows_[index];
  const auto now = options_.now();
  const Bytes before = row.limit, ours = reading.available + reading.used;
  row.limit = row.total ? std::min(row.total, ours) : ours;
  row.others = row.total - std::min(row.total, ours);
  row.stalled = reading.stalled;
  const Bytes missing = row.reserved - std::min(row.reserved, row.limit);
  if (!missing) row.lacking_since.reset();
  if (!missing && row.stalled <= options_.stalled) {
    row.exhausted = false;
    if (row.admitting) return row.limit > before;
    if (!row.calm_since) row.calm_since = now;
    if (now - *row.calm_since < options_.calm) return false;
    row.admitting = true;
    actions.push_back({LedgerAction::Type::resumed, {}, row.name, "", 0, 0});
    return true;
  }
  row.calm_since.reset();
  if (row.admitting) actions.push_back({LedgerAction::Type::stopped, {}, row.name, "", missing, 0, row.stalled});
  row.admitting = false;
  if (missing && !row.lacking_since) row.lacking_since = now;
  if (row.asked_at && now - *row.asked_at < options_.settle) return false;
  row.asked_at = now;
  const bool lasting = missing && now - *row.lacking_since >= options_.patience;
  const Bytes most = std::min(row.reserved, row.limit);
  needs.push_back(
      {index, most - std::min(most, margin(row)), lasting ? ReliefOrder::shrink : ReliefOrder::drop_caches});
  return false;
}

void Ledger::poll() {
  std::vector<BudgetReader> readers;
  {
    std::lock_guard lock(mutex_);
    if (polling_) return;
    polling_ = true;
    for (const Row& row : rows_) readers.push_back(row.reader);
  }
  bool more = false;
  std::vector<Need> needs;
  std::vector<LedgerAction> actions;
  for (std::size_t r = 0; r < readers.size(); ++r) {
    if (!readers[r]) continue;
    const auto reading = readers[r]();
    if (!reading) continue;
    std::lock_guard lock(mutex_);
    more = apply(r, *reading, needs, actions) || more;
  }
  for (LedgerAction& action : actions) tell(std::move(action));
  for (const Need& need : needs) {
    const Answer answer = ask(need);
    std::unique_lock lock(mutex_);
    Row& row = rows_[need.row];
    if (row.reserved <= row.limit) row.lacking_since.reset();
    const Bytes missing = answer.wanted - std::min(answer.wanted, answer.freed + margin(row));
    if (need.up_to != ReliefOrder::shrink || !missing || std::exchange(row.exhausted, true)) continue;
    lock.unlock();
    tell({LedgerAction::Type::exhausted, {}, row.name, "", missing, answer.freed});
  }
  {
    std::lock_guard lock(mutex_);
    polling_ = false;
  }
  if (more) wake();
}

}  // namespace switchyard::scheduler
