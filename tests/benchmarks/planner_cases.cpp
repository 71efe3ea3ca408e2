// Problems for the planner and its answers, as JSON on stdout, for scripts/bench_planner: real shapes on described
// machines, with kernels a little better or worse than described and layers scaled so that the model fills a given
// share of the memory. The same seed gives the same problems everywhere.
#include <time.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "models/shapes/shapes.h"
#include "probes/described.h"
#include "scheduler/plan/problem.h"
#include "scheduler/run/place.h"
#include "tests/support/rules.h"

namespace {

using namespace switchyard;
using namespace switchyard::scheduler;
using Json = nlohmann::json;

template <class T>
T must(hal::Result<T> result) {
  if (!result) throw std::runtime_error(hal::describe(result.error()));
  return std::move(*result);
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Standard distributions differ between libraries; these do not.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  double unit() { return static_cast<double>(random_() >> 11) / 9007199254740992.0; }
  double normal() {  // twelve uniform ones: near enough
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += unit();
    return sum;
  }

 private:
  std::mt19937_64 random_;
};

void vary_speeds(Posed& posed, const std::vector<Unit>& units, Dice& dice) {
  std::map<std::pair<std::string, std::size_t>, double> factor;
  for (std::size_t u = 0; u < posed.chain.units.size(); ++u)
    for (std::size_t i = 0; i < posed.chain.units[u].size(); ++i) {
      auto [f, fresh] = factor.try_emplace({units[u].kind, posed.devices[u][i]}, 1);
      if (fresh) f->second = std::exp(0.12 * dice.normal());
      posed.chain.units[u][i].cost *= f->second;
    }
}

// As if the model had as many more bytes in each layer, and took as much longer, as fill this share of the memory. What
// devices take once stays; constants of several units, of which a device keeps one copy, grow with the model.
void fill_memory(Posed& posed, const Problem& problem, double fill) {
  auto largest = [](const auto& takes) { return static_cast<double>(*std::max_element(takes.begin(), takes.end())); };
  Chain& c = posed.chain;
  double need = 0, have = 0;
  for (const auto& options : c.units) need += largest(options.front().takes);
  for (std::size_t copy = 0; copy < problem.copies.size(); ++copy)
    if (problem.copies[copy].device == 0) need += static_cast<double>(problem.copies[copy].bytes);
  for (const Row& row : problem.rows)
    if (row.within.empty()) have += static_cast<double>(row.capacity);
  for (std::size_t d = 0; d < c.places; ++d) have -= largest(c.fixed[d]);
  const double larger = fill * have / need;
  auto grow = [&](std::vector<std::int64_t>& takes) {
    for (auto& bytes : takes) bytes = static_cast<std::int64_t>(static_cast<double>(bytes) * larger);
  };
  for (auto& options : c.units)
    for (Option& o : options) {
      o.cost *= larger;
      grow(o.takes);
    }
  for (std::size_t copy = c.places; copy < c.devices; ++copy) grow(c.fixed[copy]);
}

// The begin of the chain, with so few placements that all can be tried.
void cut_small(Posed& posed) {
  Chain& c = posed.chain;
  std::size_t units = 0;
  for (double placements = 1; units < c.units.size() && placements * static_cast<double>(c.units[units].size()) < 2e5;
       ++units)
    placements *= static_cast<double>(c.units[units].size());
  c.border[units] = c.border.back();
  c.border.resize(units + 1);
  c.units.resize(units);
}

Json brute_force(const Chain& c) {
  double best = never;
  Placement x(c.units.size(), 0);
  for (std::size_t u = 0; u < x.size();) {
    if (const double cost = cost_of(c, x); cost < best && fits(c, x)) best = cost;
    for (u = 0; u < x.size() && ++x[u] == c.units[u].size(); ++u) x[u] = 0;
  }
  return best < never ? Json(best) : Json();
}

Json chain_json(const Chain& c) {
  Json units = Json::array();
  for (const auto& options : c.units) {
    Json list = Json::array();
    for (const Option& o : options) list.push_back({o.cost, o.place, o.devices, o.takes});
    units.push_back(list);
  }
  Json moves = Json::array();
  for (const Moves& m : c.moves) moves.push_back(m.cost);
  return {{"places", c.places}, {"devices", c.devices}, {"limit", c.limit},  {"fixed", c.fixed},
          {"units", units},     {"moves", moves},       {"border", c.border}};
}

Json answer(const Chain& chain, const ChainOptions& options) {
  const double begin = cpu_seconds();
  const ChainResult r = solve(chain, options);
  const double seconds = cpu_seconds() - begin;
  return {{"effort", options.effort},
          {"fits", r.fits},
          {"cost", r.fits ? Json(r.cost) : Json()},
          {"bound", std::isfinite(r.bound) ? Json(r.bound) : Json()},
          {"optimal", r.optimal},
          {"cpu_seconds", seconds}};
}

Json answers(const Chain& chain, const std::vector<double>& efforts) {
  Json list = Json::array();
  for (double effort : efforts) list.push_back(answer(chain, {effort}));
  return list;
}

struct Change {
  std::string name;
  Chain chain;
};

// What may happen to a placed model: the fastest device becomes slower, any one faster, the fastest one's memory
// smaller.
std::vector<Change> changes(const Chain& chain, Dice& dice) {
  std::vector<Change> list;
  auto scale = [&](const char* name, std::size_t place, double factor) {
    Chain& c = list.emplace_back(Change{name, chain}).chain;
    for (auto& options : c.units)
      for (Option& o : options)
        if (o.place == place) o.cost *= factor;
  };
  std::map<std::size_t, double> saved;  // by place, against each unit's dearest option
  for (const auto& options : chain.units) {
    double dearest = 0;
    for (const Option& o : options) dearest = std::max(dearest, o.cost);
    for (const Option& o : options) saved[o.place] += dearest - o.cost;
  }
  const std::size_t fastest = std::max_element(saved.begin(), saved.end(), [](const auto& a, const auto& b) {
                                return a.second < b.second;
                              })->first;
  scale("slower", fastest, 1.1 + 0.9 * dice.unit());
  scale("faster", dice.below(chain.places), 0.9 - 0.4 * dice.unit());
  const double share = 0.98 - 0.13 * dice.unit();
  Chain& less = list.emplace_back(Change{"less memory", chain}).chain;
  for (std::size_t r = 0; r < chain.rows(); ++r)
    if (chain.fixed[fastest][r] > 0)
      less.limit[r] = static_cast<std::int64_t>(share * static_cast<double>(less.limit[r]));
  return list;
}

// After each change: staying, planning again from the answer before, and planning afresh.
Json replans(const Chain& chain, const std::vector<double>& efforts, Dice dice) {
  Json list = Json::array();
  const ChainResult before = solve(chain);
  if (!before.fits) return list;
  for (const Change& change : changes(chain, dice)) {
    const Chain& c = change.chain;
    list.push_back({{"change", change.name},
                    {"stay", fits(c, before.placement) ? Json(cost_of(c, before.placement)) : Json()},
                    {"again", answer(c, {replan_effort, &before})},
                    {"afresh", answers(c, efforts)}});
  }
  return list;
}

struct Arguments {
  std::vector<std::string> machines;
  int count = 100;
  std::uint64_t seed = 1;
  std::vector<double> efforts{1};
};

void run(const Arguments& a) {
  std::vector<std::filesystem::path> files;
  for (const std::string& folder : a.machines) {
    const std::size_t before = files.size();
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    if (files.size() == before) throw std::runtime_error(folder + ": no described machine (*.json) in it");
  }
  std::sort(files.begin(), files.end());
  const std::vector<std::string> models = models::shape_names();
  Dice dice(a.seed);
  Json cases = Json::array();
  for (int i = 0; i < a.count; ++i) {
    const auto& file = files[dice.below(files.size())];
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    const probes::Described machine = must(probes::described_from_json(text.str()));
    models::LoadOptions load;
    load.no_data = true;
    load.weights = dice.below(2) ? hal::DType::q4_k : hal::DType::q8_0;
    models::Model model = must(models::load_shape(models[dice.below(models.size())], load));
    StageOptions stage;
    stage.context = std::int64_t{2048} << (2 * dice.below(4));
    stage.activations = kernels::Activations::rounded;
    stage.kv = hal::DType::f16;
    PlanRequest request = request_for(model, stage);
    request.sessions = std::int64_t{1} << (2 * dice.below(3));
    request.mode = dice.below(3) ? Mode::latency : dice.below(2) ? Mode::throughput : Mode::ttft;
    const double fill = std::array{0.5, 0.7, 0.9, 0.97}[dice.below(4)];
    CostModel cost(machine.profile);
    Claims claims(machine.claim);
    const Problem problem = must(pose(machine.machine, cost, claims, request));
    Posed posed = problem.chain(cost, request, request.mode);
    const bool small = i % 5 == 4;
    if (small) cut_small(posed);
    vary_speeds(posed, request.units, dice);
    fill_memory(posed, problem, fill);
    test::Roles roles;
    for (const probes::Door* d : problem.devices) roles.device.push_back(d->info.kind);
    for (const Unit& u : request.units) roles.experts.push_back(u.kind == "experts");
    Json rules = Json::object();
    for (const test::Rule& rule : test::all_rules()) {
      const auto x = rule.place(posed.chain, roles);
      rules[rule.name] = x ? Json(cost_of(posed.chain, *x)) : Json();
    }
    cases.push_back(
        {{"machine", machine.name},
         {"model", model.name},
         {"weights", hal::to_string(load.weights)},
         {"context", stage.context},
         {"sessions", request.sessions},
         {"mode", to_string(request.mode)},
         {"fill", fill},
         {"units", posed.chain.units.size()},
         {"devices", posed.chain.places},
         {"results", answers(posed.chain, a.efforts)},
         {"replans", replans(posed.chain, a.efforts, Dice(a.seed + 1000 * static_cast<std::uint64_t>(i + 1)))},
         {"rules", rules},
         {"chain", chain_json(posed.chain)}});
    if (small) cases.back()["brute_force"] = brute_force(posed.chain);
    std::cerr << "\r" << i + 1 << " of " << a.count << std::flush;
  }
  std::cerr << "\n";
  Json what = Json::object();
  for (const test::Rule& rule : test::all_rules()) what[rule.name] = rule.what;
  std::cout
      << Json{{"schema", "switchyard.planner_cases/1"}, {"seed", a.seed}, {"rules", what}, {"cases", cases}}.dump()
      << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"problems for the planner and its answers, as JSON"};
  Arguments a;
  app.add_option("machines", a.machines, "folders of described machines")->required();
  app.add_option("--count", a.count)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", a.seed)->capture_default_str();
  app.add_option("--effort", a.efforts, "of the planner; may be repeated")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(a);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
  return 0;
}
