#include "scheduler/plan/limits.h"

#include <algorithm>
#include <cmath>

#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

constexpr double longest = 1e4;               // seconds or joules of a limit
constexpr auto most = std::int64_t{1} << 44;  // of a row by one unit or move: beyond any limit, and sums stay exact
constexpr auto no_limit = std::int64_t{1} << 53;

bool is_time(Quantity q) { return q == Quantity::step || q == Quantity::prompt || q == Quantity::elsewhere_seconds; }

std::int64_t whole(Quantity q, double amount) {
  return static_cast<std::int64_t>(std::min(std::ceil(amount * scale_of(q)), static_cast<double>(most)));
}

hal::Status check_figures(const std::vector<LimitRow>& rows, const Problem& p) {
  for (const LimitRow& l : rows) {
    const bool may_be_zero = l.of == Quantity::elsewhere || l.of == Quantity::elsewhere_seconds;
    const double highest = scale_of(l.of) > 1 ? longest : static_cast<double>(most);
    if (!(l.limit > 0 || (may_be_zero && l.limit == 0)) || l.limit > highest)
      return hal::Error{hal::Code::invalid_argument, "limit of " + name_of(l) + ": " + number("%g", l.limit) +
                                                         "; expected " + (may_be_zero ? "0 or more" : "more than 0") +
                                                         ", at most " + number("%g", highest)};
    if (l.of != Quantity::pool) continue;
    std::string known;
    bool found = false;
    for (const Row& row : p.rows) {
      found = found || row.name == l.name;
      if (row.within.empty()) known += (known.empty() ? "" : ", ") + row.name;
    }
    for (const probes::Door* d : p.devices) {
      found = found || d->info.id == l.name;
      known += ", " + d->info.id;
    }
    if (!found)
      return hal::Error{hal::Code::not_found,
                        "limit of memory " + l.name + ": there are the pools and devices " + known};
  }
  return hal::ok();
}

hal::Status check_power(const PlanRequest& request, const Problem& p) {
  std::string missing, example;
  for (std::size_t d = 0; d < p.devices.size(); ++d) {
    bool used = false;
    for (std::size_t u = 0; u < p.places.size(); ++u) used = used || p.allows(u, d);
    if (!used || p.power[d]) continue;
    missing += (missing.empty() ? "" : ", ") + p.devices[d]->info.id;
    example += (example.empty() ? "" : ",") + p.devices[d]->info.id + "=WATTS";
  }
  if (missing.empty()) return hal::ok();
  return hal::Error{hal::Code::unsupported,
                    std::string(request.mode == Mode::energy ? "mode energy" : "a limit of energy") +
                        " needs the power that each device takes at work; nothing is known of " + missing +
                        "; declare it with --watts " + example + ", or as \"power\" in the profile"};
}

std::string phrase(const LimitRow& l, const PlanRequest& request) {
  const std::string amount = amount_of(l.of, l.limit);
  switch (l.of) {
    case Quantity::step: return "gives the next token in " + amount;
    case Quantity::prompt: return "reads a prompt of " + std::to_string(request.prompt) + " in " + amount;
    case Quantity::energy: return "makes a step with " + amount;
    case Quantity::memory: return "fits in " + amount;
    case Quantity::pool: return "fits in " + amount + " of " + l.name;
    case Quantity::elsewhere:
    case Quantity::elsewhere_seconds: return "runs at most " + amount + " elsewhere than asked";
  }
  return "";
}

std::string best(const LimitRow& l, const Least& least) {
  const std::string takes =
      (least.bound >= least.value * 0.99 ? " takes " : " found takes ") + amount_of(l.of, least.value);
  switch (l.of) {
    case Quantity::step: return "the fastest step" + takes;
    case Quantity::prompt: return "the fastest prompt" + takes;
    case Quantity::energy: return "the least energy" + takes;
    case Quantity::memory: return "the smallest" + takes;
    case Quantity::pool: return "the smallest" + takes + " of " + l.name;
    case Quantity::elsewhere:
    case Quantity::elsewhere_seconds: return "the closest to what was asked" + takes + " elsewhere";
  }
  return "";
}

}  // namespace

std::vector<LimitRow> limit_rows(const Limits& limits) {
  std::vector<LimitRow> rows;
  auto add = [&](Quantity of, const auto& limit) {
    if (limit) rows.push_back({of, "", static_cast<double>(*limit)});
  };
  add(Quantity::step, limits.step_seconds);
  add(Quantity::prompt, limits.prefill_seconds);
  add(Quantity::energy, limits.joules);
  add(Quantity::memory, limits.bytes);
  for (const auto& [name, bytes] : limits.pools) rows.push_back({Quantity::pool, name, static_cast<double>(bytes)});
  add(Quantity::elsewhere, limits.fallbacks);
  add(Quantity::elsewhere_seconds, limits.fallback_seconds);
  return rows;
}

double scale_of(Quantity q) { return is_time(q) || q == Quantity::energy ? 1e9 : 1; }

std::string name_of(const LimitRow& l) {
  switch (l.of) {
    case Quantity::step: return "step";
    case Quantity::prompt: return "prompt";
    case Quantity::energy: return "energy";
    case Quantity::memory: return "memory";
    case Quantity::pool: return "memory " + l.name;
    case Quantity::elsewhere: return "elsewhere";
    case Quantity::elsewhere_seconds: return "seconds elsewhere";
  }
  return "";
}

std::string amount_of(Quantity q, double x) {
  if (q == Quantity::elsewhere) return number("%.0f", x) + (x == 1 ? " unit" : " units");
  const bool bytes = scale_of(q) == 1;
  const double unit = bytes ? (x >= 1e9 ? 1e9 : 1e6) : x >= 1 ? 1 : 1e-3;
  const char* name = bytes                   ? (x >= 1e9 ? " GB" : " MB")
                     : q == Quantity::energy ? (x >= 1 ? " J" : " mJ")
                                             : (x >= 1 ? " s" : " ms");
  x /= unit;
  if (x > 0) {
    const double step = std::pow(10, std::floor(std::log10(x)) - 3);
    x = std::ceil(x / step * (1 - 1e-12)) * step;
  }
  return number("%.4g", x) + name;
}

std::string amount_of(const KeptLimit& kept, double x) {
  const bool bytes = kept.what.starts_with("memory");
  return amount_of(bytes                      ? Quantity::memory
                   : kept.what == "energy"    ? Quantity::energy
                   : kept.what == "elsewhere" ? Quantity::elsewhere
                                              : Quantity::step,
                   x);
}

hal::Status check_limits(const PlanRequest& request, const Problem& p) {
  const Limits& limits = request.limits;
  HAL_CHECK(check_figures(limit_rows(limits), p));
  if (limits.fall_back() && request.device.empty() && request.pins.empty())
    return hal::Error{hal::Code::invalid_argument,
                      "a limit of what runs elsewhere, and neither a device nor a pin says where it should run"};
  if (request.strict && limits.fall_back() && limits.fallbacks.value_or(1) > 0)
    return hal::Error{hal::Code::invalid_argument, "strict lets no unit run elsewhere, and a limit lets some"};
  if (limits.joules && p.groups > 1)
    return hal::Error{hal::Code::invalid_argument, "a limit of energy is for one step at a time, asked are " +
                                                       std::to_string(p.groups) + " groups in flight"};
  if (limits.joules || request.mode == Mode::energy) return check_power(request, p);
  return hal::ok();
}

void add_limits(const Limits& limits, CostModel& cost, const Problem& p, const PlanRequest& request, Posed& posed) {
  Chain& c = posed.chain;
  const std::size_t before = c.rows(), k = c.places + 1;
  posed.limits = limit_rows(limits);
  std::vector<const LimitRow*> added;
  for (LimitRow& l : posed.limits) {
    if (l.of == Quantity::step && p.groups > 1) continue;
    l.row = c.rows();
    c.limit.push_back(static_cast<std::int64_t>(std::floor(l.limit * scale_of(l.of))));
    added.push_back(&l);
    const bool bytes = l.of == Quantity::memory || l.of == Quantity::pool;
    for (std::size_t bit = 0; bit < c.devices; ++bit) {
      const bool device = bit < p.devices.size();
      const std::size_t d = device ? bit : p.copies[bit - p.devices.size()].device;
      const hal::Bytes once = device ? p.fixed[d] : p.copies[bit - p.devices.size()].bytes;
      c.fixed[bit].push_back(bytes && p.counts(l.name, d) ? static_cast<std::int64_t>(once) : 0);
    }
    for (std::size_t u = 0; u < c.units.size(); ++u)
      for (std::size_t i = 0; i < c.units[u].size(); ++i) {
        const std::size_t d = posed.devices[u][i];
        const bool counts = l.of != Quantity::pool || p.counts(l.name, d);
        const ExpertOption* experts = p.experts_of(posed, u, i);
        const double amount = experts ? p.of_experts(l.of, *experts, l.name) : counts ? p.of_unit(l.of, u, d) : 0;
        c.units[u][i].takes.push_back(whole(l.of, amount));
      }
  }
  if (std::none_of(added.begin(), added.end(), [](const LimitRow* l) { return scale_of(l->of) > 1; })) return;
  for (std::size_t u = 0; u <= c.units.size(); ++u) {
    auto& takes = c.moves[c.border[u]].takes;
    if (!takes.empty()) continue;  // of a border that is alike
    takes.assign(k * k * c.rows(), 0);
    for (std::size_t from = 0; from < k; ++from)
      for (std::size_t to = 0; to < k; ++to) {
        auto device = [&](std::size_t place) {
          return place == c.host() ? std::int64_t{-1} : static_cast<std::int64_t>(place);
        };
        for (std::size_t i = 0; i < added.size(); ++i)
          takes[(from * k + to) * c.rows() + before + i] =
              whole(added[i]->of, p.of_move(cost, request, added[i]->of, u, device(from), device(to)));
      }
  }
}

void lift(const LimitRow& l, Chain& c) {
  if (l.row) c.limit[*l.row] = no_limit;
}

Least least_of(const Chain& chain, const LimitRow& l, double effort) {
  constexpr int halves = 12;
  constexpr double close = 1.002;
  Chain c = chain;
  const std::size_t r = *l.row;
  c.limit[r] = no_limit;
  for (auto& options : c.units)
    for (Option& o : options) o.cost = static_cast<double>(o.takes[r]);
  for (Moves& m : c.moves)
    for (std::size_t i = 0; i < m.cost.size(); ++i)
      m.cost[i] = m.takes.empty() ? 0 : static_cast<double>(m.takes[i * c.rows() + r]);
  ChainResult last = solve(c, {effort});
  if (!last.fits) return {};
  auto taken = [&](const ChainResult& x) { return static_cast<double>(taken_by(c, x.placement)[r]); };
  double value = taken(last), proven = last.bound, low = last.bound;
  // What devices take once is in the row and not in the cost: by halves, until it is known too.
  for (int i = 0; i < halves && value > low * close; ++i) {
    const double middle = std::floor((low + value) / 2);
    c.limit[r] = static_cast<std::int64_t>(middle);
    ChainResult next = solve(c, {effort / halves, &last});
    if (next.fits) {
      value = taken(next);
      last = std::move(next);
    } else {
      low = middle + 1;
      if (next.bound == never) proven = std::max(proven, low);
    }
  }
  return {value / scale_of(l.of), proven / scale_of(l.of)};
}

hal::Error impossible(const PlanRequest& request, const std::vector<LimitRow>& limits, const std::vector<Least>& kept,
                      const std::vector<Least>& alone, bool proven) {
  std::string asked, with_others, by_itself;
  for (std::size_t i = 0; i < limits.size(); ++i) {
    asked += (i ? " and " : "") + phrase(limits[i], request);
    if (kept[i].value < never) with_others += "; " + best(limits[i], kept[i]);
    if (alone[i].value < never) by_itself += "; " + best(limits[i], alone[i]);
  }
  std::string text = (proven ? "no plan " : "no plan was found that ") + asked;
  if (limits.size() == 1)
    text += by_itself;
  else if (!with_others.empty())
    text += "; with the other limits kept" + with_others.replace(0, 1, ":");
  else
    text += "; each by itself" + by_itself.replace(0, 1, ":");
  return {hal::Code::unsupported, text};
}

}  // namespace switchyard::scheduler
