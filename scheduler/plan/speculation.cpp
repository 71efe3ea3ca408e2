// The arithmetic of a round, and measured acceptance.
#include "scheduler/plan/speculation.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace switchyard::scheduler {

double expected_tokens(double a, std::int64_t drafted) {
  double tokens = 0, reached = 1;  // a sum, which also holds at a = 1
  for (std::int64_t j = 0; j <= drafted; ++j, reached *= a) tokens += reached;
  return tokens;
}

namespace {

// The mean, over the rounds that fall short, of what `after` accepted tokens cost; others cost nothing.
template <class Cost>
double when_short(double a, std::int64_t drafted, Cost cost) {
  double sum = 0, reached = 1;
  for (std::int64_t after = 0; after < drafted; ++after, reached *= a) sum += reached * (1 - a) * cost(after);
  return sum;
}

double way_back(const RoundCosts& c, std::int64_t accepted) {
  return c.restore + (c.replay ? c.target(accepted + 1) : 0);
}

}  // namespace

double sequential_seconds(const RoundCosts& c, double a, std::int64_t k) {
  if (k == 0) return c.target(1);
  return static_cast<double>(k) * c.draft + c.save + c.target(k + 1) +
         when_short(a, k, [&](std::int64_t j) { return way_back(c, j); });
}

double overlapped_seconds(const RoundCosts& c, double a, std::int64_t k) {
  if (k == 0) return c.target(1);
  const double verify = c.contention * c.target(k + 1), again = static_cast<double>(k) * c.draft,
               ahead = c.contention * static_cast<double>(k + 1) * c.draft, all = std::pow(a, k);
  const double short_rounds = when_short(a, k, [&](std::int64_t j) {
    const double back = way_back(c, j);
    return verify + (back > 0 ? c.contention * std::max(back, again) : again);
  });
  return c.save + short_rounds + all * (a * std::max(verify, ahead) + (1 - a) * (verify + again));
}

hal::Result<Acceptance> acceptance_from(std::string_view text) {
  Acceptance found;
  std::vector<std::int64_t> tried, accepted;
  std::int64_t last = 0, line = 0;
  bool refused = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    if (row.empty() || row.front() == '#') continue;
    auto wrong = [&](const std::string& why) {
      return hal::Error{hal::Code::io, "acceptance, line " + std::to_string(line) + ": " + why};
    };
    std::int64_t position = 0;
    const auto [comma, error] = std::from_chars(row.data(), row.data() + row.size(), position);
    const std::string_view rest = row.substr(static_cast<std::size_t>(comma - row.data()));
    if (error != std::errc{} || (rest != ",0" && rest != ",1"))
      return wrong("'" + std::string(row.substr(0, 40)) + "'; expected POSITION,ACCEPTED such as 1,1 or 2,0");
    if (position != 1 && position != last + 1)
      return wrong("position " + std::to_string(position) + " after " + std::to_string(last) +
                   "; expected the next, or 1 for a new round");
    if (position == 1) refused = false;
    last = position;
    const bool taken = rest == ",1";
    if (refused && taken) return wrong("position " + std::to_string(position) + " is accepted behind a refused one");
    if (refused) continue;
    refused = !taken;
    const auto at = static_cast<std::size_t>(position - 1);
    if (at >= tried.size()) {
      tried.push_back(0);
      accepted.push_back(0);
    }
    ++tried[at];
    accepted[at] += taken;
    ++found.tried;
    found.accepted += taken;
  }
  if (found.tried == 0) return hal::Error{hal::Code::io, "acceptance: no drafted tokens in it"};
  for (std::size_t i = 0; i < tried.size(); ++i)
    found.at.push_back(static_cast<double>(accepted[i]) / static_cast<double>(tried[i]));
  return found;
}

const char* to_string(Rollback rollback) {
  switch (rollback) {
    case Rollback::slots: return "slots";
    case Rollback::rows: return "rows";
    case Rollback::host: return "host";
  }
  return "unknown";
}

hal::Result<Rollback> rollback_from(std::string_view name) {
  for (Rollback r : {Rollback::slots, Rollback::rows, Rollback::host})
    if (name == to_string(r)) return r;
  return hal::Error{hal::Code::invalid_argument, "rollback '" + std::string(name) + "'; there are: slots, rows, host"};
}

}  // namespace switchyard::scheduler
