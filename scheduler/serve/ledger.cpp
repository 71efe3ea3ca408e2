#include "scheduler/serve/ledger.h"

#include <algorithm>

#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

using hal::Bytes;

// Of each way the candidate that saves enough and least, in the order of the ways.
std::string alternatives(std::span<const Candidate> candidates, Bytes missing) {
  std::vector<const Candidate*> best;
  const Candidate* most = nullptr;
  for (const Candidate& c : candidates) {
    if (!most || c.saves > most->saves) most = &c;
    if (c.saves < missing) continue;
    auto same = std::find_if(best.begin(), best.end(), [&](const Candidate* b) { return b->way == c.way; });
    if (same == best.end())
      best.push_back(&c);
    else if (c.saves < (*same)->saves)
      *same = &c;
  }
  if (!most) return "";
  if (best.empty()) return "; not even " + most->text + " fits, which saves " + gigabytes(most->saves);
  std::string text;
  for (const Candidate* c : best) text += (text.empty() ? "; " : ", or ") + c->text;
  return text + " would fit";
}

// "chat 9.00 GB (weights 8.00 GB, kv 1.00 GB), ...", most first.
std::string holders(const std::vector<LedgerRow::Held>& held) {
  constexpr std::size_t most_named = 4;
  struct Owner {
    Bytes bytes = 0;
    std::map<Use, Bytes> uses;
  };
  std::map<std::string, Owner> owners;
  for (const LedgerRow::Held& h : held) {
    Owner& owner = owners[h.holder.owner];
    owner.bytes += h.bytes;
    owner.uses[h.holder.use] += h.bytes;
  }
  std::vector<std::pair<std::string, Owner>> sorted(owners.begin(), owners.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.second.bytes > b.second.bytes; });
  std::string text;
  for (std::size_t i = 0; i < std::min(sorted.size(), most_named); ++i) {
    std::string uses;
    for (const auto& [use, bytes] : sorted[i].second.uses)
      uses += (uses.empty() ? "" : ", ") + std::string(to_string(use)) + " " + gigabytes(bytes);
    text += (i ? ", " : "") + sorted[i].first + " " + gigabytes(sorted[i].second.bytes) + " (" + uses + ")";
  }
  if (sorted.size() > most_named) {
    Bytes rest = 0;
    for (std::size_t i = most_named; i < sorted.size(); ++i) rest += sorted[i].second.bytes;
    text += ", " + std::to_string(sorted.size() - most_named) + " more " + gigabytes(rest);
  }
  return text.empty() ? "nobody" : text;
}

}  // namespace

const char* to_string(Use use) {
  switch (use) {
    case Use::weights: return "weights";
    case Use::state: return "state";
    case Use::kv: return "kv";
    case Use::scratch: return "scratch";
    case Use::prefix_cache: return "prefix_cache";
  }
  return "?";
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  Reservation taken(std::move(other));
  swap(taken);
  return *this;
}

void Reservation::swap(Reservation& other) noexcept {
  std::swap(ledger_, other.ledger_);
  std::swap(device_, other.device_);
  std::swap(holder_, other.holder_);
  std::swap(bytes_, other.bytes_);
}

hal::Status Reservation::grow(Bytes bytes, std::span<const Candidate> candidates) {
  if (!ledger_) return hal::Error{hal::Code::invalid_argument, "grow of a reservation of nothing"};
  HAL_CHECK(ledger_->take(device_, bytes, holder_, candidates, true));
  bytes_ += bytes;
  return hal::ok();
}

void Reservation::shrink(Bytes bytes) {
  bytes = std::min(bytes, bytes_);
  if (!bytes) return;
  bytes_ -= bytes;
  ledger_->give(device_, bytes, holder_);
}

std::shared_ptr<Ledger> Ledger::make(const probes::Machine& machine, LedgerOptions options) {
  std::shared_ptr<Ledger> ledger(new Ledger(std::move(options)));
  auto add_row = [&](const std::string& name, const std::string& within, Bytes total, Bytes budget) {
    Row& row = ledger->rows_.emplace_back();
    row.name = name;
    row.within = within;
    row.total = total;
    row.limit = budget ? budget : total;
  };
  for (const probes::Pool& pool : machine.pools) add_row(pool.name, "", pool.total, pool.budget);
  for (const probes::Door* door : machine.doors()) {
    auto& of = ledger->rows_of_[door->info.id];
    const std::string& pool = machine.chip_of(door->info.id)->pool;
    const auto found = std::find_if(ledger->rows_.begin(), ledger->rows_.end(),
                                    [&](const Row& row) { return row.within.empty() && row.name == pool; });
    if (found == ledger->rows_.end()) continue;
    of.push_back(static_cast<std::size_t>(found - ledger->rows_.begin()));
    const Bytes own = door->budget ? door->budget : door->total;
    if (!own || own >= found->limit) continue;
    of.push_back(ledger->rows_.size());
    add_row(door->info.id, pool, door->total, door->budget);
  }
  return ledger;
}

hal::Result<Reservation> Ledger::reserve(const std::string& device, Bytes bytes, const Holder& holder,
                                         std::span<const Candidate> candidates) {
  HAL_CHECK(take(device, bytes, holder, candidates, false));
  Reservation made;
  made.ledger_ = shared_from_this();
  made.device_ = device;
  made.holder_ = holder;
  made.bytes_ = bytes;
  return made;
}

hal::Status Ledger::take(const std::string& device, Bytes bytes, const Holder& holder,
                         std::span<const Candidate> candidates, bool running) {
  std::lock_guard lock(mutex_);
  const auto rows = rows_of_.find(device);
  if (rows == rows_of_.end()) {
    std::string known;
    for (const auto& of : rows_of_) known += " " + of.first;
    return hal::Error{hal::Code::not_found, "device " + device + " is not one of this machine:" + known};
  }
  const std::string asked =
      holder.owner + " asked for " + gigabytes(bytes) + " of " + to_string(holder.use) + " on " + device;
  const Row* tight = nullptr;
  Bytes missing = 0;
  for (std::size_t r : rows->second) {
    const Row& row = rows_[r];
    if (bytes && !running && !row.admitting)
      return hal::Error{
          hal::Code::out_of_memory,
          row.name + " admits nothing for now, because other applications need memory: " + gigabytes(row.reserved) +
              " are reserved of " + gigabytes(row.limit) + " that they leave; " + asked};
    if (bytes > row.left() && bytes - row.left() > missing) {
      tight = &row;
      missing = bytes - row.left();
    }
  }
  if (tight) {
    std::vector<LedgerRow::Held> held;
    const auto index = static_cast<std::size_t>(tight - rows_.data());
    for (const auto& [key, of] : held_) {
      const auto& in = rows_of_[std::get<0>(key)];
      if (std::find(in.begin(), in.end(), index) != in.end())
        held.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, of});
    }
    const std::string others = tight->reader ? "; other applications use " + gigabytes(tight->others) : "";
    return hal::Error{hal::Code::out_of_memory, gigabytes(missing) + " short in " + tight->name +
                                                    alternatives(candidates, missing) + " (" + asked + "; " +
                                                    gigabytes(tight->left()) + " left of " + gigabytes(tight->limit) +
                                                    "; held by " + holders(held) + others + ")"};
  }
  for (std::size_t r : rows->second) rows_[r].reserved += bytes;
  if (bytes) held_[{device, holder.owner, holder.use}] += bytes;
  return hal::ok();
}

void Ledger::give(const std::string& device, Bytes bytes, const Holder& holder) {
  {
    std::lock_guard lock(mutex_);
    for (std::size_t r : rows_of_.find(device)->second) rows_[r].reserved -= bytes;
    const auto held = held_.find({device, holder.owner, holder.use});
    held->second -= bytes;
    if (!held->second) held_.erase(held);
  }
  wake();
}

std::vector<LedgerRow> Ledger::snapshot() const {
  std::lock_guard lock(mutex_);
  std::vector<LedgerRow> rows(rows_.begin(), rows_.end());
  for (const auto& [key, bytes] : held_)
    for (std::size_t r : rows_of_.find(std::get<0>(key))->second)
      rows[r].held.push_back({std::get<0>(key), {std::get<1>(key), std::get<2>(key)}, bytes});
  return rows;
}

hal::Result<std::shared_ptr<Ledger>> process_ledger(const probes::Machine& machine) {
  static std::mutex mutex;
  static std::weak_ptr<Ledger> shared;
  static std::string machine_key;
  std::lock_guard lock(mutex);
  const std::string key = probes::key(machine);
  if (auto ledger = shared.lock()) {
    if (key == machine_key) return ledger;
    return hal::Error{hal::Code::invalid_argument, "this process has a ledger of another machine (" + machine_key +
                                                       ", asked for " + key + "); make one with Ledger::make"};
  }
  auto ledger = Ledger::make(machine);
  shared = ledger;
  machine_key = key;
  return ledger;
}

}  // namespace switchyard::scheduler
