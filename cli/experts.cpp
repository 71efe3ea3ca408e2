// switchyard experts TRACE: how unevenly a model's experts are used, and which of them a fast device should hold.
#include <cmath>
#include <cstdio>

#include "cli/generate.h"
#include "probes/json.h"
#include "scheduler/experts/moves.h"

namespace switchyard::cli {
namespace {

using namespace scheduler;
using nlohmann::json;

struct Arguments {
  std::string trace, budget;
  ModelArguments model;
  double fast_us = 0, slow_us = 0, sync_us = 0, link_gb_s = 0, horizon = 10000;
  std::int64_t window = 256;
};

// "4GB", "512MiB", "40%" (of all experts).
hal::Bytes bytes_from(const std::string& text, hal::Bytes all) {
  char* unit = nullptr;
  const double value = std::strtod(text.c_str(), &unit);
  const std::pair<const char*, double> units[] = {
      {"B", 1}, {"MB", 1e6}, {"GB", 1e9}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"%", static_cast<double>(all) / 100}};
  for (auto [name, factor] : units)
    if (std::string(unit) == name && unit != text.c_str() && value > 0 && value * factor < 1e18)
      return static_cast<hal::Bytes>(value * factor);
  fail(usage, "--budget " + text + ": expected a size such as 4GB, 512MiB, or a share of all experts such as 40%");
}

RoutingTrace read_trace(const std::string& path) {
  auto loaded = load_trace(path);
  if (!loaded) fail(refused, hal::describe(loaded.error()));
  return std::move(loaded).value();
}

hal::Bytes all_experts(const RoutingTrace& trace) {
  hal::Bytes all = 0;
  for (hal::Bytes b : trace.expert_bytes) all += b * static_cast<hal::Bytes>(trace.shape.experts);
  return all;
}

// One way to choose, judged on the tokens it was chosen by, and on the later half when chosen by the earlier.
struct Row {
  std::string policy;
  std::int64_t experts;
  hal::Bytes bytes;
  double hits, later_hits, seconds, later_seconds;
};

Row judge(const std::string& name, const ExpertChoice& all, const ExpertChoice& early, const RoutingTrace& trace,
          const ExpertBudget& budget, const ExpertTimes& times) {
  const TraceView tokens = whole(trace), later = half(trace, true);
  return {name,
          all.count(),
          bytes_of(all, budget),
          hit_rate(tokens, all),
          hit_rate(later, early),
          cost_of(tokens, all, times),
          cost_of(later, early, times)};
}

json layers_json(const RoutingTrace& trace, std::string& text) {
  const UsageHistogram all = usage_of(whole(trace)), early = usage_of(half(trace, false)),
                       late = usage_of(half(trace, true));
  const std::int64_t tokens = trace.tokens();
  const UsageHistogram even = usage_of({&trace, 0, tokens, 2}), odd = usage_of({&trace, 1, tokens, 2});
  const int parts[] = {10, 25, 50};
  auto line = [&](const char* format, auto... values) {
    char buffer[160];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  line("%-6s %10s %10s %10s   %11s %11s\n", "layer", "top 10 %", "top 25 %", "top 50 %", "halves", "alternate");
  json layers = json::array();
  for (std::int64_t l = 0; l < trace.shape.layers; ++l) {
    json hottest = json::object();
    line("%-6lld", static_cast<long long>(l));
    for (int part : parts) {
      const auto n = std::max<std::int64_t>(1, std::llround(static_cast<double>(trace.shape.experts) * part / 100));
      const double share = share_of_hottest(all, l, n);
      hottest[std::to_string(part)] = share;
      line(" %8.1f %%", 100 * share);
    }
    const double halves = overlap(early, late, l), alternate = overlap(even, odd, l);
    line("   %9.1f %% %9.1f %%\n", 100 * halves, 100 * alternate);
    layers.push_back({{"layer", l},
                      {"share_of_hottest_percent", hottest},
                      {"overlap_halves", halves},
                      {"overlap_alternate", alternate},
                      {"counts", std::vector<std::uint64_t>(all.counts.begin() + l * trace.shape.experts,
                                                            all.counts.begin() + (l + 1) * trace.shape.experts)}});
  }
  text +=
      "top n %: the share of all choices that fell on the n % most used experts. halves: how alike the first and the "
      "second\n"
      "half of the trace use the experts; alternate: the same for every other token, which is as alike as so few "
      "tokens get.\n";
  return layers;
}

json policies_json(const Arguments& a, const RoutingTrace& trace, const ExpertBudget& budget, std::string& text) {
  const ExpertTimes times{a.fast_us * 1e-6, a.slow_us * 1e-6, a.sync_us * 1e-6};
  const bool timed = a.fast_us > 0;
  const TraceView tokens = whole(trace), early = half(trace, false), late = half(trace, true);
  const UsageHistogram usage = usage_of(tokens), before = usage_of(early);
  std::vector<Row> rows;
  for (ExpertPolicy p : expert_policies)
    rows.push_back(judge(to_string(p), choose(p, usage, budget), choose(p, before, budget), trace, budget, times));
  double best = 0, best_later = 0;
  if (timed) {
    const ExpertChoice exact = check(choose_exact(tokens, budget, times));
    rows.push_back(judge("exact", exact, check(choose_exact(early, budget, times)), trace, budget, times));
    best = cost_of(tokens, exact, times);
    best_later = cost_of(late, check(choose_exact(late, budget, times)), times);
  }
  char line[200];
  std::snprintf(line, sizeof line, "\n%-10s %8s %9s %9s %12s", "choice", "experts", "GB", "hits", "hits later");
  text += line;
  if (timed) {
    std::snprintf(line, sizeof line, " %12s %9s %12s %9s", "us/token", "to best", "us later", "to best");
    text += line;
  }
  text += "\n";
  json list = json::array();
  for (const Row& r : rows) {
    std::snprintf(line, sizeof line, "%-10s %8lld %9.3f %7.1f %% %10.1f %%", r.policy.c_str(),
                  static_cast<long long>(r.experts), static_cast<double>(r.bytes) / 1e9, 100 * r.hits,
                  100 * r.later_hits);
    text += line;
    json j{{"policy", r.policy},
           {"experts", r.experts},
           {"bytes", r.bytes},
           {"hit_rate", r.hits},
           {"hit_rate_later", r.later_hits}};
    if (timed) {
      std::snprintf(line, sizeof line, " %12.1f %9.3f %12.1f %9.3f", r.seconds * 1e6, r.seconds / best,
                    r.later_seconds * 1e6, r.later_seconds / best_later);
      text += line;
      j.update({{"seconds_per_token", r.seconds},
                {"ratio_to_exact", r.seconds / best},
                {"seconds_per_token_later", r.later_seconds},
                {"ratio_to_exact_later", r.later_seconds / best_later}});
    }
    text += "\n";
    list.push_back(std::move(j));
  }
  text +=
      "later: on the second half of the trace, chosen by the first; \"to best\" is against the exact choice of the "
      "half judged.\n";
  return list;
}

json replay_json(const Arguments& a, const RoutingTrace& trace, const ExpertBudget& budget, std::string& text) {
  const ExpertTimes times{a.fast_us * 1e-6, a.slow_us * 1e-6, a.sync_us * 1e-6};
  const ExpertChoice start = choose(ExpertPolicy::frequency, usage_of(half(trace, false)), budget);
  const Replayed r = replay(half(trace, true), start, budget, times, {a.horizon, a.link_gb_s * 1e9}, a.window);
  char line[240];
  std::snprintf(
      line, sizeof line,
      "\nsecond half, chosen by the first: kept %.1f us/token; exchanged every %lld tokens %.1f us/token with %lld "
      "moves of %.3f GB\n",
      r.fixed * 1e6, static_cast<long long>(a.window), r.adaptive * 1e6, static_cast<long long>(r.swaps),
      static_cast<double>(r.moved) / 1e9);
  text += line;
  return {{"window", a.window},
          {"horizon", a.horizon},
          {"link_bytes_per_second", a.link_gb_s * 1e9},
          {"seconds_kept", r.fixed},
          {"seconds_exchanged", r.adaptive},
          {"moves", r.swaps},
          {"bytes_moved", r.moved}};
}

void run(const Arguments& a, const Global& global) {
  if ((a.fast_us > 0) != (a.slow_us > 0)) fail(usage, "--fast-us and --slow-us belong together");
  if (a.budget.empty() && a.fast_us > 0) fail(usage, "--fast-us: needs --budget, the memory for experts");
  if (a.link_gb_s > 0 && a.fast_us <= 0) fail(usage, "--link-gb-s: needs --budget, --fast-us and --slow-us");
  const RoutingTrace trace = read_trace(a.trace);
  if (!a.model.model.empty())
    if (auto same = belongs_to(trace, a.model.load(true)); !same) fail(refused, hal::describe(same.error()));
  if (trace.tokens() < 2)
    fail(refused, a.trace + ": holds " + std::to_string(trace.tokens()) + " tokens, at least 2 are needed");
  const hal::Bytes all = all_experts(trace);

  char line[200];
  std::snprintf(line, sizeof line, "%s: %lld tokens in %zu steps; %lld layers, %lld of %lld experts, %.3f GB of them\n",
                trace.model.c_str(), static_cast<long long>(trace.tokens()), trace.step_rows.size(),
                static_cast<long long>(trace.shape.layers), static_cast<long long>(trace.shape.top_k),
                static_cast<long long>(trace.shape.experts), static_cast<double>(all) / 1e9);
  std::string text = line;
  json out{{"schema", "switchyard.experts/1"},
           {"model", {{"name", trace.model}, {"hash", probes::hash_text(trace.model_hash)}}},
           {"tokens", trace.tokens()},
           {"steps", trace.step_rows.size()},
           {"experts", trace.shape.experts},
           {"top_k", trace.shape.top_k},
           {"expert_bytes", trace.expert_bytes},
           {"layers", layers_json(trace, text)}};
  if (!a.budget.empty()) {
    const ExpertBudget budget{bytes_from(a.budget, all), trace.expert_bytes};
    out["budget_bytes"] = budget.bytes;
    if (a.fast_us > 0) out["times"] = {{"fast_us", a.fast_us}, {"slow_us", a.slow_us}, {"sync_us", a.sync_us}};
    out["policies"] = policies_json(a, trace, budget, text);
    if (a.link_gb_s > 0) out["replay"] = replay_json(a, trace, budget, text);
  }
  std::printf("%s", global.json ? (probes::text_of(out, 2) + "\n").c_str() : text.c_str());
}

}  // namespace

std::shared_ptr<const RoutingTrace> trace_of(const std::string& path, const models::Model& model) {
  auto trace = std::make_shared<const RoutingTrace>(read_trace(path));
  if (auto same = belongs_to(*trace, model); !same) fail(refused, path + ": " + hal::describe(same.error()));
  return trace;
}

void ExpertArguments::add_to(CLI::App& app) {
  auto* of = app.add_option("--experts", trace,
                            "a trace: the experts it used most stay on --device, as --expert-budget allows; with auto "
                            "the plan places experts by it");
  auto* size = app.add_option("--expert-budget", budget, "memory for experts there: 4GB, 512MiB, 40% of all");
  app.add_option("--expert-rest", rest, "the device of the others; both work at the same time")
      ->needs(of)
      ->capture_default_str();
  size->needs(of);
}

void ExpertArguments::place(Fleet& fleet, const models::Model& model, std::vector<hal::DeviceRef>& devices,
                            scheduler::StageOptions& options) const {
  if (budget.empty()) fail(usage, "--experts with --device: add --expert-budget, the memory for experts there");
  const auto read = trace_of(trace, model);
  const RoutingTrace& recorded = *read;
  const ExpertBudget memory{bytes_from(budget, all_experts(recorded)), recorded.expert_bytes};
  const ExpertChoice choice = choose(ExpertPolicy::frequency, usage_of(whole(recorded)), memory);
  const hal::DeviceRef other = fleet.open(rest);
  for (std::size_t u = 0; u < devices.size(); ++u) {
    const models::UnitPart part = models::part_of(model, static_cast<std::int64_t>(u));
    if (part.part != models::Part::feed_forward || devices[u] == other) continue;
    const std::vector<bool> here = choice.of_layer(part.layer);
    const auto count = std::count(here.begin(), here.end(), true);
    if (count == 0)
      devices[u] = other;
    else if (count < recorded.shape.experts)
      options.experts[part.layer] = {other, here};
  }
  char line[200];
  std::snprintf(line, sizeof line,
                "experts: %lld of %zu (%.3f GB) stay, which %.1f %% of the trace's choices fell on; others on %s",
                static_cast<long long>(choice.count()), recorded.shape.pairs(),
                static_cast<double>(bytes_of(choice, memory)) / 1e9, 100 * hit_rate(whole(recorded), choice),
                other->info().id.c_str());
  say(line);
}

void add_experts(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb =
      app.add_subcommand("experts", "how a model's experts are used, and which the fast device should hold");
  verb->add_option("trace", a->trace, "a file of `switchyard run --record-routing`")->required();
  verb->add_option("--budget", a->budget, "memory for experts on the fast device: 4GB, 512MiB, 40% of all");
  verb->add_option("--fast-us", a->fast_us, "one expert for one token on the fast device")->check(CLI::PositiveNumber);
  verb->add_option("--slow-us", a->slow_us, "the same on the slow device")->check(CLI::PositiveNumber);
  verb->add_option("--sync-us", a->sync_us, "for a layer that needs the slow device: there and back")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--link-gb-s", a->link_gb_s, "also exchange experts while the second half plays, over such a link")
      ->check(CLI::PositiveNumber);
  verb->add_option("--horizon", a->horizon, "tokens that an exchange is expected to serve")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--window", a->window, "tokens between two looks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--model", a->model.model, "refuse a trace of another model than this");
  verb->add_option("--weights", a->model.weights, "weight type of a built-in shape")->capture_default_str();
  verb->add_option("--seed", a->model.seed, "seed of a built-in shape's weights")->capture_default_str();
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
