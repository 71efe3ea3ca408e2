// A speculation plan as JSON and as a table.
#include <cstdio>

#include "probes/json.h"
#include "scheduler/plan/speculation.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;

Json choice_json(const DraftChoice& c) {
  return {{"drafted", c.drafted},
          {"overlapped", c.overlapped},
          {"tokens_per_round", c.tokens},
          {"round_seconds", c.seconds},
          {"speedup", c.speedup}};
}

const char* sort_of(const DraftChoice& c) { return c.drafted == 0 ? "" : c.overlapped ? "overlapped" : "sequential"; }

std::string placements(const SpeculationPlan& plan) {
  std::string text;
  char line[240];
  for (std::size_t i = 0; i < plan.placements.size(); ++i) {
    const SpeculationPlacement& p = plan.placements[i];
    if (!p.impossible.empty()) {
      text += "  draft " + (p.draft.empty() ? std::string("anywhere") : "on " + list(p.draft)) + ", " +
              (p.target_first ? "target first: " : "draft first: ") + p.impossible + "\n";
      continue;
    }
    std::snprintf(line, sizeof line,
                  "%c target on %-20s draft on %-20s %-12s  t_d %-9s t_T %-9s k %-2lld %-10s  x%.2f\n",
                  i == plan.chosen ? '*' : ' ', list(p.target).c_str(), list(p.draft).c_str(),
                  p.target_first ? "target first" : "draft first", milliseconds(p.draft_seconds).c_str(),
                  milliseconds(p.target_seconds[0]).c_str(), static_cast<long long>(p.best.drafted), sort_of(p.best),
                  p.best.speedup);
    text += line;
  }
  return text;
}

}  // namespace

std::string to_json(const SpeculationPlan& plan) {
  Json j{{"schema", "switchyard.speculation/1"},
         {"target", plan.target},
         {"draft", plan.draft},
         {"machine", plan.machine},
         {"acceptance", plan.acceptance},
         {"contention", plan.contention},
         {"rollback", plan.recurrent ? Json(to_string(plan.rollback)) : Json(nullptr)},
         {"alone_seconds", plan.alone_seconds},
         {"on", plan.on},
         {"pays_from", speculation_pays},
         {"chosen", plan.chosen < plan.placements.size() ? Json(plan.chosen) : Json(nullptr)},
         {"placements", Json::array()},
         {"by_drafted", Json::array()}};
  for (const SpeculationPlacement& p : plan.placements) {
    Json place{{"first", p.target_first ? "target" : "draft"}, {"target", p.target}, {"draft", p.draft}};
    if (p.impossible.empty()) {
      place["apart"] = p.apart;
      place["draft_seconds"] = p.draft_seconds;
      place["target_seconds"] = p.target_seconds;
      place["save_seconds"] = p.save_seconds;
      place["restore_seconds"] = p.restore_seconds;
      place["best"] = choice_json(p.best);
    } else {
      place["impossible"] = p.impossible;
    }
    j["placements"].push_back(std::move(place));
  }
  for (const DraftChoice& c : plan.by_drafted) j["by_drafted"].push_back(choice_json(c));
  return probes::text_of(j, 1) + "\n";
}

std::string explain(const SpeculationPlan& plan) {
  std::string text = plan.target + " with drafts of " + plan.draft + ": acceptance " + number("%.3g", plan.acceptance) +
                     ", contention " + number("%.3g", plan.contention) + "; state comes back by " +
                     (plan.recurrent ? to_string(plan.rollback) : "cutting the KV cache, free") + "\n" +
                     "alone: " + milliseconds(plan.alone_seconds) + " per token\n" + placements(plan);
  if (plan.chosen == plan.placements.size()) return text + "speculation stays off: the two cannot be placed together\n";
  char line[160];
  std::snprintf(line, sizeof line, "%3s  %-10s  %10s  %10s  %s\n", "k", "", "tokens", "round", "speed-up");
  text += line;
  for (const DraftChoice& c : plan.by_drafted) {
    std::snprintf(line, sizeof line, "%3lld  %-10s  %10.3f  %10s  x%.2f\n", static_cast<long long>(c.drafted),
                  sort_of(c), c.tokens, milliseconds(c.seconds).c_str(), c.speedup);
    text += line;
  }
  const SpeculationPlacement& p = plan.placements[plan.chosen];
  if (!plan.on)
    return text + "speculation stays off: the best is x" + number("%.2f", p.best.speedup) + ", below x" +
           number("%.2f", speculation_pays) + "\n";
  return text + "speculate: " + std::to_string(p.best.drafted) + " tokens on " + list(p.draft) + ", " +
         sort_of(p.best) + ": x" + number("%.2f", p.best.speedup) + ", " +
         number("%.4g", p.best.tokens / p.best.seconds) + " tokens/s\n";
}

}  // namespace switchyard::scheduler
