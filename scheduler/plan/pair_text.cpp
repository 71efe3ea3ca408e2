// A pair plan as JSON and as a table.
#include <algorithm>
#include <cstdio>

#include "probes/json.h"
#include "scheduler/plan/pair.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;

Json placement_json(const PairPlacement& p) {
  Json j{{"fits", p.fits},
         {"shortage", p.shortage},
         {"seconds", p.seconds},
         {"prefill_seconds", p.prefill_seconds},
         {"step_seconds", p.step_seconds},
         {"handoff", {{"bytes", p.handoff_bytes}, {"seconds", p.handoff_seconds}}},
         {"bound_seconds", p.bound},
         {"gap", p.gap},
         {"optimal", p.optimal},
         {"memory", Json::array()},
         {"units", Json::array()}};
  for (const PoolUse& u : p.pools) {
    Json pool{{"pool", u.pool}, {"bytes", u.bytes}, {"capacity", u.capacity}};
    if (!u.within.empty()) pool["within"] = u.within;
    j["memory"].push_back(std::move(pool));
  }
  for (const PairedUnit& u : p.units)
    j["units"].push_back(
        {{"unit", u.unit},
         {"bytes", u.bytes},
         {"prefill", {{"device", u.prefill}, {"seconds", u.prefill_seconds}, {"how", u.prefill_how}}},
         {"decode", {{"device", u.decode}, {"seconds", u.step_seconds}, {"how", u.decode_how}}},
         {"handoff", {{"bytes", u.handoff_bytes}, {"seconds", u.handoff_seconds}, {"how", u.handoff_how}}}});
  return j;
}

Json pays_json(const Pays& p) {
  if (p.from == 0) return {{"pays", false}, {"monotone", p.monotone}};
  return {{"pays", true}, {"from", p.from}, {"to", p.to}, {"monotone", p.monotone}};
}

std::string time_of(double seconds) {
  return seconds < 1 ? milliseconds(seconds) : number(seconds < 1000 ? "%.3g s" : "%.0f s", seconds);
}

std::string megabytes(hal::Bytes bytes) { return number("%.4g MB", static_cast<double>(bytes) / 1e6); }

// All units of one kind with one pair of devices.
struct Line {
  std::string kind, prefill, decode;
  int units = 0;
  double prefill_seconds = 0, step_seconds = 0, handoff_seconds = 0;
  hal::Bytes handoff_bytes = 0, bytes = 0;
};

std::vector<Line> lines_of(const PairPlacement& p) {
  std::vector<Line> lines;
  for (const PairedUnit& u : p.units) {
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& l) {
      return l.kind == u.kind && l.prefill == u.prefill && l.decode == u.decode;
    });
    if (line == lines.end()) line = lines.insert(lines.end(), {u.kind, u.prefill, u.decode});
    ++line->units;
    line->prefill_seconds += u.prefill_seconds;
    line->step_seconds += u.step_seconds;
    line->handoff_seconds += u.handoff_seconds;
    line->handoff_bytes += u.handoff_bytes;
    line->bytes += u.bytes;
  }
  return lines;
}

std::string table(const PairPlacement& p) {
  char text[200];
  std::snprintf(text, sizeof text, "%-18s  %-12s %10s   %-12s %10s   %11s  %s\n", "units", "prefill", "prompt",
                "decode", "per token", "memory", "hand-off");
  std::string all = text;
  for (const Line& l : lines_of(p)) {
    std::snprintf(text, sizeof text, "%3d %-14s  %-12s %10s   %-12s %10s   %11s  %s\n", l.units, l.kind.c_str(),
                  l.prefill.c_str(), time_of(l.prefill_seconds).c_str(), l.decode.c_str(),
                  time_of(l.step_seconds).c_str(), gigabytes(l.bytes).c_str(),
                  l.handoff_bytes ? (megabytes(l.handoff_bytes) + " in " + time_of(l.handoff_seconds)).c_str() : "-");
    all += text;
  }
  return all;
}

std::string sum(const char* name, const PairPlacement& p, std::int64_t output) {
  if (!p.fits) return std::string(name) + ": DOES NOT FIT: " + p.shortage + "\n";
  std::string text = std::string(name) + ": " + time_of(p.seconds) + " = prompt " + time_of(p.prefill_seconds) +
                     " + tokens " + time_of(p.step_seconds * static_cast<double>(output));
  if (p.handoff_bytes) text += " + hand-off " + time_of(p.handoff_seconds) + " (" + megabytes(p.handoff_bytes) + ")";
  return text + (p.optimal ? "; proven best for these estimates\n"
                           : "; at most " + number("%.2g", 100 * p.gap) + " % above the best\n");
}

std::string words(const Pays& p, std::int64_t longest) {
  if (p.from == 0) return "never";
  if (p.from == 1 && p.to == longest) return "always";
  const std::string from = std::to_string(p.from), to = std::to_string(p.to);
  return (p.to == longest ? "from " + from
          : p.from == 1   ? "up to " + to
                          : from + " to " + to) +
         (p.monotone ? "" : ", not monotone");
}

std::string break_evens(const PairPlan& plan) {
  if (plan.break_even.empty()) return "no other device: both phases run where they are\n";
  std::string text = "the whole model's prompt on one device and its tokens on another: for which prompts, of 1 to " +
                     std::to_string(plan.longest) + ", that is faster than all on one of the two\n";
  auto cell = [](const std::string& word, std::size_t width) {
    return word + std::string(width - std::min(width, word.size()) + 2, ' ');
  };
  auto row = [&](const std::string& prefill, const std::string& decode, const std::string& over_decode,
                 const std::string& over_prefill, const std::string& over_both) {
    text += cell(prefill, 12) + cell(decode, 12) + cell(over_decode, 24) + cell(over_prefill, 24) + over_both + "\n";
  };
  row("prefill", "decode", "all on the decode one", "all on the prefill one", "either");
  for (const BreakEven& e : plan.break_even) {
    if (e.impossible.empty())
      row(e.prefill, e.decode, words(e.over_decode, plan.longest), words(e.over_prefill, plan.longest),
          words(e.over_both, plan.longest));
    else
      text += cell(e.prefill, 12) + cell(e.decode, 12) + "not possible: " + e.impossible + "\n";
  }
  return text;
}

}  // namespace

std::string to_json(const PairPlan& plan) {
  Json j{{"schema", "switchyard.pair/1"},
         {"model", plan.model},
         {"machine", plan.machine},
         {"prompt", plan.prompt},
         {"output", plan.output},
         {"context", plan.context},
         {"sessions", plan.sessions},
         {"best", placement_json(plan.best)},
         {"single", placement_json(plan.single)},
         {"split", plan.best.split()},
         {"gain", plan.best.fits ? Json(plan.gain()) : Json(nullptr)},
         {"break_even", {{"from", 1}, {"to", plan.longest}, {"pairs", Json::array()}}}};
  for (const BreakEven& e : plan.break_even) {
    Json pair{{"prefill", e.prefill}, {"decode", e.decode}};
    if (e.impossible.empty()) {
      pair["over_decode_device"] = pays_json(e.over_decode);
      pair["over_prefill_device"] = pays_json(e.over_prefill);
      pair["over_both"] = pays_json(e.over_both);
    } else {
      pair["impossible"] = e.impossible;
    }
    j["break_even"]["pairs"].push_back(std::move(pair));
  }
  return probes::text_of(j, 1) + "\n";
}

std::string explain(const PairPlan& plan) {
  std::string text = plan.model + ": a prompt of " + std::to_string(plan.prompt) + " tokens, then " +
                     std::to_string(plan.output) + "; memory for " + std::to_string(plan.sessions) +
                     (plan.sessions == 1 ? " session of " : " sessions of ") + std::to_string(plan.context) +
                     " tokens\n" + table(plan.best) + sum("phases placed apart", plan.best, plan.output) +
                     sum("one placement for both", plan.single, plan.output);
  if (plan.best.fits) {
    const double gain = plan.gain() - 1;
    if (!plan.best.split())
      text += plan.best.optimal ? "no split is faster\n" : "no faster split was found\n";
    else if (gain < simple_enough)
      text += "the split gains " + number("%.2g", 100 * gain) +
              " %: less than measurements can tell apart, use the one placement\n";
    else
      text += "the split gains " + number("%.3g", 100 * gain) + " %\n";
  }
  return text + memory_lines(plan.best.pools) + break_evens(plan);
}

}  // namespace switchyard::scheduler
