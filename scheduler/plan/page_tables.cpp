// What stands below the picture of a plan: memory as bars, and all of the plan as tables.
#include <algorithm>

#include "scheduler/plan/html.h"
#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler::html {
namespace {

std::string line(const char* cell, const std::vector<std::string>& columns) {
  std::string text = "<tr>";
  for (const std::string& c : columns) text += "<" + std::string(cell) + ">" + c + "</" + cell + ">";
  return text + "</tr>\n";
}

}  // namespace

std::string host_or(const std::string& device) { return device.empty() ? "host" : device; }

std::string memory_bars(const Plan& plan) {
  constexpr double length = 420;
  std::string text = "<h2>Memory</h2>\n";
  for (const PoolUse& p : plan.pools) {
    const double used = static_cast<double>(p.bytes), capacity = static_cast<double>(p.capacity),
                 scale = length / std::max({used, capacity, 1.0});
    const bool over = p.bytes > p.capacity;
    auto bar = [&](const char* kind, double from, double to) {
      return "<rect class=\"" + std::string(kind) + "\" x=\"" + number("%.1f", from * scale) + "\" y=\"0\" width=\"" +
             number("%.1f", (to - from) * scale) + "\" height=\"14\"/>";
    };
    text += "<div class=\"pool\"><span>" + escaped(p.pool) +
            (p.within.empty() ? "" : " <small>limit within " + escaped(p.within) + "</small>") +
            "</span><svg width=\"420\" height=\"14\" role=\"img\" aria-label=\"share used\">" +
            bar("all", 0, capacity) + bar("used", 0, std::min(used, capacity)) +
            (over ? bar("over", capacity, used) : "") + "</svg><span" + (over ? " class=\"bad\"" : "") + ">" +
            amount(used) + " of " + amount(capacity) + (p.capacity ? ", " + percentage(used / capacity) : "") +
            "</span></div>\n";
  }
  return text;
}

std::string tables(const Plan& plan, double total) {
  std::vector<std::string> reasons;  // each once, numbered
  std::string text = "<h2>The same as tables</h2>\n<table><caption>Units</caption>\n" +
                     line("th", {"unit", "device", "time", "share", "bytes", "how", "runner-up", "refused by"});
  for (const PlannedLayer& l : plan.layers) {
    std::string refused, second = "none";
    for (const Refusal& r : l.refused) {
      const std::string reason = r.device + " " + r.code + ": " + r.detail;
      auto found = std::find(reasons.begin(), reasons.end(), reason);
      if (found == reasons.end()) found = reasons.insert(found, reason);
      refused += (refused.empty() ? "" : ", ") + escaped(r.device) + " <span title=\"" + escaped(r.detail) + "\">" +
                 escaped(r.code) + "</span> [" + whole(found - reasons.begin() + 1) + "]";
    }
    if (l.runner_up)
      second =
          escaped(l.runner_up->device) + " " + duration(l.runner_up->seconds) + " (" + escaped(l.runner_up->why) + ")";
    text += line("td", {escaped(l.layer), escaped(l.device), duration(l.seconds),
                        percentage(total > 0 ? l.seconds / total : 0), amount(static_cast<double>(l.bytes)),
                        escaped(l.how + (l.detail.empty() ? "" : " (" + l.detail + ")")), second, refused});
  }
  text += "</table>\n";
  if (!reasons.empty()) text += "<p>Refused because:</p>\n<ol>\n";
  for (const std::string& r : reasons) text += "<li>" + escaped(r) + "</li>\n";
  if (!reasons.empty()) text += "</ol>\n";
  text += "<table><caption>Moves</caption>\n" + line("th", {"before", "from", "to", "time", "bytes", "how"});
  for (const Move& m : plan.moves)
    text += line("td", {escaped(m.before), escaped(host_or(m.from)), escaped(host_or(m.to)), duration(m.seconds),
                        amount(m.bytes), escaped(m.how)});
  text += "</table>\n<table><caption>Memory</caption>\n" + line("th", {"pool", "used", "capacity", "limit within"});
  for (const PoolUse& p : plan.pools)
    text += line("td", {escaped(p.pool), amount(static_cast<double>(p.bytes)), amount(static_cast<double>(p.capacity)),
                        escaped(p.within)});
  text += "</table>\n";
  if (plan.limits.empty()) return text;
  text += "<table><caption>Limits</caption>\n" +
          line("th", {"limit", "used", "of", "better without it", "with a tenth (a unit) more"});
  for (const KeptLimit& l : plan.limits)
    text += line("td", {escaped(l.what), amount_of(l, l.used), amount_of(l, l.limit), percentage(l.better_without),
                        percentage(l.better_with_more)});
  return text + "</table>\n";
}

}  // namespace switchyard::scheduler::html
