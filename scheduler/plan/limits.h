// Limits of a request: as rows of the chain, in words, and what to change where no plan keeps them. Internal to plan/.
#pragma once
#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {

// Errors as make_plan: figures that make no sense, names that are not there, what contradicts the mode or the pins.
hal::Status check_limits(const PlanRequest& request, const Problem& problem);

std::vector<LimitRow> limit_rows(const Limits& limits);

// Appends the rows. Time and energy are whole nanoseconds and nanojoules, rounded so that what fits is within them.
void add_limits(const Limits& limits, CostModel& cost, const Problem& problem, const PlanRequest& request,
                Posed& posed);
void lift(const LimitRow& limit, Chain& chain);  // as if it had not been asked for

double scale_of(Quantity quantity);                  // units of its row in a second, joule, byte or unit
std::string name_of(const LimitRow& limit);          // as KeptLimit::what
std::string amount_of(Quantity quantity, double x);  // "30 ms", "6 GB": four digits, rounded up
std::string amount_of(const KeptLimit& kept, double x);

// The least of a row that any placement within the other limits takes, and a bound that none is below.
struct Least {
  double value = never, bound = 0;  // value: never: no such placement was found
};
Least least_of(const Chain& chain, const LimitRow& limit, double effort);

// "no plan reads a prompt of 512 in 100 ms; the fastest prompt takes 310 ms". kept: the least of each limit with the
// others kept; alone: by itself. proven: that there is none.
hal::Error impossible(const PlanRequest& request, const std::vector<LimitRow>& limits, const std::vector<Least>& kept,
                      const std::vector<Least>& alone, bool proven);

}  // namespace switchyard::scheduler
