#include <algorithm>
#include <iterator>
#include <map>

#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

std::string padded(std::string text, std::size_t width, bool right = false) {
  if (text.size() < width) text.insert(right ? 0 : text.size(), width - text.size(), ' ');
  return text;
}

// numbers: the columns that hold them, from the third on.
std::string table(const std::vector<std::vector<std::string>>& lines, std::size_t numbers) {
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
      row += padded(line[i], width[i], i >= 2 && i < 2 + numbers) + (i + 1 < line.size() ? "  " : "");
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string energy(const Plan& plan, const PlannedLayer& l) {
  const auto power =
      std::find_if(plan.powers.begin(), plan.powers.end(), [&](const PowerUsed& p) { return p.device == l.device; });
  return amount_of(Quantity::energy, l.joules.value_or(0)) +
         (power == plan.powers.end() ? std::string() : " " + power->source);
}

// What a line shows apart from the name.
std::vector<std::string> cells(const Plan& plan, const PlannedLayer& l) {
  std::string second =
      l.runner_up ? l.runner_up->device + " " + milliseconds(l.runner_up->seconds) + " (" + l.runner_up->why + ")"
                  : "none";
  std::vector<std::string> cells{l.device, milliseconds(l.seconds), gigabytes(l.bytes)};
  if (!plan.powers.empty()) cells.push_back(energy(plan, l));
  cells.insert(cells.end(), {l.how + (l.detail.empty() ? "" : " (" + l.detail + ")"), second});
  return cells;
}

// Units whose names differ in their number only, as one line of the table.
struct Line {
  std::string before, after;  // "layer ", " (mamba)"
  std::vector<std::string> cells;
  std::vector<std::int64_t> numbers;  // rising
};

std::string name_of(const Line& line) {
  std::string ranges;
  for (std::size_t i = 0, end; i < line.numbers.size(); i = end) {
    end = i + 1;
    while (end < line.numbers.size() && line.numbers[end] == line.numbers[end - 1] + 1) ++end;
    ranges += (i ? ", " : "") + std::to_string(line.numbers[i]);
    if (end - i > 1) ranges += "-" + std::to_string(line.numbers[end - 1]);
  }
  return line.before + ranges + line.after;
}

std::vector<Line> lines_of(const Plan& plan) {
  std::vector<Line> lines;
  for (const PlannedLayer& l : plan.layers) {
    const auto digit = std::find_if(l.layer.begin(), l.layer.end(), is_digit);
    auto end = std::find_if_not(digit, l.layer.end(), is_digit);
    if (end - digit > 18) end = digit;  // no number of ours
    Line line{{l.layer.begin(), digit}, {end, l.layer.end()}, cells(plan, l), {}};
    auto same = std::find_if(lines.begin(), lines.end(), [&](const Line& k) {
      return digit != end && k.before == line.before && k.after == line.after && k.cells == line.cells;
    });
    if (same == lines.end()) same = lines.insert(lines.end(), std::move(line));
    if (digit != end) same->numbers.push_back(std::stoll(std::string(digit, end)));
  }
  return lines;
}

std::string limit_line(const KeptLimit& l) {
  std::string text = "limit " + l.what + ": " + amount_of(l, l.used) + " of " + amount_of(l, l.limit);
  if (l.better_without > 0) text += ", binds: without it " + percent(l.better_without) + " better";
  if (l.better_with_more > 0)
    text += (l.what == "elsewhere" ? ", with one more " : ", with a tenth more ") + percent(l.better_with_more);
  return text + "\n";
}

}  // namespace

std::string explain(const Plan& plan) {
  std::string text = plan.model + ": " + plan.mode + ", " + std::to_string(plan.sessions) +
                     (plan.sessions == 1 ? " session of " : " sessions of ") + std::to_string(plan.context) +
                     " tokens\n";
  if (!plan.fits) text += "DOES NOT FIT: " + plan.shortage + "\n";
  std::vector<std::vector<std::string>> lines{{"layer", "device", "time (each)", "bytes (each)"}};
  if (!plan.powers.empty()) lines[0].emplace_back("energy (each)");
  lines[0].insert(lines[0].end(), {"how", "runner-up"});
  for (const Line& line : lines_of(plan)) {
    lines.push_back({name_of(line)});
    lines.back().insert(lines.back().end(), line.cells.begin(), line.cells.end());
  }
  text += table(lines, plan.powers.empty() ? 2 : 3);
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
  text += memory_lines(plan.pools);
  text += "predicted: " + milliseconds(plan.step_seconds) +
          (plan.step_error ? " +- " + percent(*plan.step_error) : std::string()) + " per step of " +
          std::to_string(plan.step_rows) + " at " + std::to_string(plan.step_past) + " tokens";
  if (plan.groups > 1)
    text += ", " + std::to_string(plan.groups) + " groups in flight, a round of all sessions in " +
            milliseconds(plan.round_seconds);
  text += number(" (%.4g tokens/s)", plan.tokens_per_second) + "; a prompt of " + std::to_string(plan.prompt) + " in " +
          milliseconds(plan.prefill_seconds) + "\n";
  if (plan.step_joules) {
    text += "energy: " + amount_of(Quantity::energy, *plan.step_joules) + " per step, of";
    for (const PowerUsed& p : plan.powers)
      text += (&p == &plan.powers.front() ? " " : ", ") + (p.device.empty() ? "the machine at rest" : p.device) +
              number(" %.4g W (", p.watts) + p.source + (p.from.empty() ? "" : ": " + p.from) + ")";
    text += "\n";
  }
  for (const KeptLimit& l : plan.limits) text += limit_line(l);
  for (const More& m : plan.better_with)
    text += "with " + gigabytes(m.bytes) + " more in " + m.pool + ": " + percent(m.faster) + " faster\n";
  if (plan.fits)
    text += plan.optimal ? "proven best for these estimates\n"
                         : "no plan is better by more than " + percent(plan.gap) + " for these estimates\n";
  return text;
}

}  // namespace switchyard::scheduler
