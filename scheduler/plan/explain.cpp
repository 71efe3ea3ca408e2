#include <algorithm>
#include <cstdio>
#include <iterator>
#include <map>

#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {
namespace {

std::string padded(std::string text, std::size_t width, bool right = false) {
  if (text.size() < width) text.insert(right ? 0 : text.size(), width - text.size(), ' ');
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::size_t> width;
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (i >= width.size()) width.push_back(0);
      width[i] = std::max(width[i], line[i].size());
    }
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i)
      row += padded(line[i], width[i], i == 2 || i == 3) + (i + 1 < line.size() ? "  " : "");
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

std::string percent(double x) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * x);
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "layer 0 (mamba)", "layer 4 (mamba)" -> "layer 0-4 (mamba)"; names that differ elsewhere: "a .. b".
std::string range(const std::string& a, const std::string& b) {
  if (a == b) return a;
  std::size_t front = 0, back = 0;
  while (front < a.size() && front < b.size() && a[front] == b[front]) ++front;
  while (front > 0 && is_digit(a[front - 1])) --front;
  while (back < a.size() - front && back < b.size() - front && a[a.size() - 1 - back] == b[b.size() - 1 - back] &&
         !is_digit(a[a.size() - 1 - back]))
    ++back;
  std::string from = a.substr(front, a.size() - front - back), to = b.substr(front, b.size() - front - back);
  if (from.empty() || to.empty() || !std::all_of(from.begin(), from.end(), is_digit) ||
      !std::all_of(to.begin(), to.end(), is_digit))
    return a + " .. " + b;
  return a.substr(0, front) + from + "-" + to + a.substr(a.size() - back);
}

// What a line shows apart from the name.
std::vector<std::string> cells(const PlannedLayer& l) {
  std::string second =
      l.runner_up ? l.runner_up->device + " " + milliseconds(l.runner_up->seconds) + " (" + l.runner_up->why + ")"
                  : "none";
  return {l.device, milliseconds(l.seconds), gigabytes(l.bytes),
          l.how + (l.detail.empty() ? "" : " (" + l.detail + ")"), second};
}

std::string kind_of(const std::string& name) {
  std::string kind;
  std::copy_if(name.begin(), name.end(), std::back_inserter(kind), [](char c) { return !is_digit(c); });
  return kind;
}

}  // namespace

std::string explain(const Plan& plan) {
  std::string text = plan.model + ": " + plan.mode + ", " + std::to_string(plan.sessions) +
                     (plan.sessions == 1 ? " session of " : " sessions of ") + std::to_string(plan.context) +
                     " tokens\n";
  if (!plan.fits) text += "DOES NOT FIT: " + plan.shortage + "\n";
  std::vector<std::vector<std::string>> lines{{"layer", "device", "time (each)", "bytes (each)", "how", "runner-up"}};
  for (std::size_t i = 0; i < plan.layers.size();) {
    std::size_t end = i + 1;
    const auto line = cells(plan.layers[i]);
    while (end < plan.layers.size() && kind_of(plan.layers[end].layer) == kind_of(plan.layers[i].layer) &&
           cells(plan.layers[end]) == line)
      ++end;
    lines.push_back({range(plan.layers[i].layer, plan.layers[end - 1].layer)});
    lines.back().insert(lines.back().end(), line.begin(), line.end());
    i = end;
  }
  text += table(lines);
  for (const Move& m : plan.moves)
    text += "move before " + m.before + ": " + (m.from.empty() ? "host" : m.from) + " -> " +
            (m.to.empty() ? "host" : m.to) + ", " + milliseconds(m.seconds) + " (" + m.how + ")\n";
  // The same reason for many layers is one line.
  std::map<std::string, std::vector<std::string>> reasons;
  for (const PlannedLayer& l : plan.layers)
    for (const Refusal& r : l.refused) reasons[r.device + " " + r.code + ": " + r.detail].push_back(l.layer);
  for (const auto& [reason, layers] : reasons)
    text += "refused by " + reason + " [" + layers.front() +
            (layers.size() > 1 ? " and " + std::to_string(layers.size() - 1) + " more" : "") + "]\n";
  for (const PoolUse& u : plan.pools)
    text += "memory " + u.pool + (u.within.empty() ? "" : " (limit within " + u.within + ")") + ": " +
            gigabytes(u.bytes) + " of " + gigabytes(u.capacity) + "\n";
  text += "predicted: " + milliseconds(plan.step_seconds) + " per step of " + std::to_string(plan.step_rows) + " at " +
          std::to_string(plan.step_past) + " tokens";
  char rate[32];
  std::snprintf(rate, sizeof rate, " (%.4g tokens/s)", plan.tokens_per_second);
  text += rate + std::string("; a prompt of ") + std::to_string(plan.prompt) + " in " +
          milliseconds(plan.prefill_seconds) + "\n";
  if (plan.fits)
    text += plan.optimal ? "proven best for these estimates\n"
                         : "no plan is better by more than " + percent(plan.gap) + " for these estimates\n";
  return text;
}

}  // namespace switchyard::scheduler
