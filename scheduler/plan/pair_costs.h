// What the two phases of a unit cost on each device, for any length of the prompt, and the memory they take. Internal
// to plan/.
#pragma once
#include <tuple>

#include "scheduler/plan/pair.h"
#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {

// All of it must outlive it. Devices are numbers in `problem`; a device < 0 is the host. One thread at a time.
class PairCosts {
 public:
  PairCosts(CostModel& cost, const PairRequest& request, const Problem& problem);

  // Of a unit on a device that takes it. prompt: n tokens.
  Estimate prefill(std::size_t unit, std::size_t device, std::int64_t prompt);
  Estimate decode(std::size_t unit, std::size_t device, std::int64_t prompt);  // one step of the middle of the output
  Estimate handoff(std::size_t unit, std::size_t from, std::size_t to, std::int64_t prompt) const;
  // Of hidden rows at the border before a unit; unit == units: after the last.
  Estimate prefill_move(std::size_t border, std::int64_t from, std::int64_t to, std::int64_t prompt) const;
  Estimate decode_move(std::size_t border, std::int64_t from, std::int64_t to) const;

  // Of one session after so many tokens: state_u grows evenly from what an empty one takes to `state` at the context.
  hal::Bytes state_after(std::size_t unit, std::int64_t tokens) const;

  // Units that cost the same: the first of them, and how many.
  const std::vector<std::pair<std::size_t, double>>& alike() const { return alike_; }

 private:
  Estimate at(std::size_t unit, std::size_t device, const probes::Step& step);
  std::string id(std::int64_t device) const;

  CostModel& cost_;
  const PairRequest& request_;
  const Problem& problem_;
  std::vector<std::size_t> same_as_;  // [unit]: the first that costs the same
  std::vector<std::pair<std::size_t, double>> alike_;
  std::map<std::tuple<std::size_t, std::size_t, std::int64_t, std::int64_t>, Estimate> known_;
};

// The memory ledger of pairs. What is taken once has a bit, as in Chain: first the devices, then their copies of
// constants of several units, then what copies on devices that read each other's weights have in common. Request and
// problem must outlive it.
class PairMemory {
 public:
  PairMemory(const PairRequest& request, const Problem& problem);

  // Of a unit with this pair of devices: what it alone takes of every row, and its bits.
  std::vector<std::int64_t> takes(std::size_t unit, std::size_t prefill, std::size_t decode) const;
  std::uint64_t used(std::size_t unit, std::size_t prefill, std::size_t decode) const;

  const std::vector<std::vector<std::int64_t>>& fixed() const { return fixed_; }  // [bit][row]
  void add_fixed(std::uint64_t used, std::vector<std::int64_t>& taken) const;

 private:
  bool one_copy(std::size_t one, std::size_t other) const;

  const PairRequest& request_;
  const Problem& problem_;
  std::vector<std::vector<std::int64_t>> fixed_;
  std::vector<std::uint64_t> bits_;  // [copy]
};

// Where whole-model splits pay, for every two devices.
std::vector<BreakEven> break_evens(const PairRequest& request, const Problem& problem, PairCosts& costs,
                                   const PairMemory& memory, std::int64_t longest);

}  // namespace switchyard::scheduler
