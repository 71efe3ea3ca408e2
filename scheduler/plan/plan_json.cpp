#include "probes/json.h"
#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;
constexpr std::string_view schema = "switchyard.plan/2";
constexpr std::size_t most_experts = 65536;  // as in a routing trace

Json layer_json(const PlannedLayer& l) {
  Json j{{"layer", l.layer},
         {"device", l.device},
         {"seconds", l.seconds},
         {"bytes", l.bytes},
         {"how", l.how},
         {"detail", l.detail},
         {"runner_up", nullptr},
         {"refused", Json::array()},
         {"error", l.error ? Json(*l.error) : Json()}};
  if (l.joules) j["joules"] = *l.joules;
  if (l.runner_up)
    j["runner_up"] = {{"device", l.runner_up->device}, {"seconds", l.runner_up->seconds}, {"why", l.runner_up->why}};
  if (l.experts) {
    j["experts"] = {{"device", l.experts->device},
                    {"count", l.experts->chosen.size()},
                    {"here", Json::array()},
                    {"step_seconds", l.experts->step_seconds},
                    {"prefill_seconds", l.experts->prefill_seconds}};
    for (std::size_t e = 0; e < l.experts->chosen.size(); ++e)
      if (l.experts->chosen[e]) j["experts"]["here"].push_back(e);
  }
  for (const Refusal& r : l.refused)
    j["refused"].push_back({{"device", r.device}, {"code", r.code}, {"detail", r.detail}});
  return j;
}

std::optional<double> share(const Json& j, const char* key) {
  const Json value = j.value(key, Json());
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

PlannedLayer layer_from(const Json& j) {
  PlannedLayer l{j.at("layer"),
                 j.at("device"),
                 j.at("seconds"),
                 j.at("bytes"),
                 j.at("how"),
                 j.at("detail"),
                 {},
                 {},
                 share(j, "error"),
                 share(j, "joules"),
                 {}};
  if (const Json& r = j.at("runner_up"); !r.is_null())
    l.runner_up = RunnerUp{r.at("device"), r.at("seconds"), r.at("why")};
  if (const auto e = j.find("experts"); e != j.end()) {
    const auto count = e->at("count").get<std::size_t>();
    if (count > most_experts) throw std::invalid_argument("experts: " + std::to_string(count) + " of a layer");
    l.experts = PlannedExperts{e->at("device"), std::vector<bool>(count, false), e->at("step_seconds"),
                               e->at("prefill_seconds")};
    for (const Json& here : e->at("here")) l.experts->chosen.at(here.get<std::size_t>()) = true;
  }
  for (const Json& r : j.at("refused")) l.refused.push_back({r.at("device"), r.at("code"), r.at("detail")});
  return l;
}

Plan read(const Json& j) {
  Plan p;
  p.model = j.at("model").at("name");
  p.model_hash = std::stoull(j.at("model").at("hash").get<std::string>(), nullptr, 16);
  p.machine = j.at("machine");
  p.mode = j.at("mode");
  p.context = j.at("context");
  p.sessions = j.at("sessions");
  p.fits = j.at("fits");
  p.shortage = j.at("shortage");
  p.total_bytes = j.at("memory").at("total_bytes");
  for (const Json& m : j.at("memory").at("pools"))
    p.pools.push_back({m.at("pool"), m.at("bytes"), m.at("capacity"), m.value("within", std::string())});
  const Json& predicted = j.at("predicted");
  p.step_seconds = predicted.at("step_seconds");
  p.step_rows = predicted.at("step_rows");
  p.step_past = predicted.at("step_past");
  p.step_error = share(predicted, "step_error");
  p.groups = predicted.value("groups", std::int64_t{1});
  p.round_seconds = predicted.value("round_seconds", p.step_seconds);
  p.prefill_seconds = predicted.at("prefill_seconds");
  p.prompt = predicted.at("prefill_tokens");
  p.tokens_per_second = predicted.at("tokens_per_second");
  p.step_joules = share(predicted, "step_joules");
  for (const Json& w : j.value("power", Json::array()))
    p.powers.push_back({w.at("device"), w.at("watts"), w.at("source"), w.at("from")});
  for (const Json& l : j.value("limits", Json::array()))
    p.limits.push_back({l.at("what"), l.at("limit"), l.at("used"), l.at("better_without"), l.at("better_with_more")});
  p.objective = j.at("objective");
  p.objective_bound = j.at("objective_bound");
  p.lower_bound_seconds = j.at("lower_bound_seconds");
  p.gap = j.at("gap");
  p.optimal = j.at("optimal");
  for (const Json& l : j.at("layers")) p.layers.push_back(layer_from(l));
  for (const Json& m : j.at("moves"))
    p.moves.push_back({m.at("before"), m.at("from"), m.at("to"), m.at("bytes"), m.at("seconds"), m.at("how")});
  for (const Json& b : j.at("better_with")) p.better_with.push_back({b.at("pool"), b.at("bytes"), b.at("faster")});
  return p;
}

}  // namespace

std::string to_json(const Plan& p) {
  Json j{{"schema", schema},
         {"model", {{"name", p.model}, {"hash", probes::hash_text(p.model_hash)}}},
         {"machine", p.machine},
         {"mode", p.mode},
         {"context", p.context},
         {"sessions", p.sessions},
         {"fits", p.fits},
         {"shortage", p.shortage},
         {"memory", {{"total_bytes", p.total_bytes}, {"pools", Json::array()}}},
         {"predicted",
          {{"step_seconds", p.step_seconds},
           {"step_rows", p.step_rows},
           {"step_past", p.step_past},
           {"step_error", p.step_error ? Json(*p.step_error) : Json()},
           {"groups", p.groups},
           {"round_seconds", p.round_seconds},
           {"prefill_seconds", p.prefill_seconds},
           {"prefill_tokens", p.prompt},
           {"tokens_per_second", p.tokens_per_second}}},
         {"objective", p.objective},
         {"objective_bound", p.objective_bound},
         {"lower_bound_seconds", p.lower_bound_seconds},
         {"gap", p.gap},
         {"optimal", p.optimal},
         {"layers", Json::array()},
         {"moves", Json::array()},
         {"better_with", Json::array()}};
  if (p.step_joules) j["predicted"]["step_joules"] = *p.step_joules;
  for (const PowerUsed& w : p.powers)
    j["power"].push_back({{"device", w.device}, {"watts", w.watts}, {"source", w.source}, {"from", w.from}});
  for (const KeptLimit& l : p.limits)
    j["limits"].push_back({{"what", l.what},
                           {"limit", l.limit},
                           {"used", l.used},
                           {"better_without", l.better_without},
                           {"better_with_more", l.better_with_more}});
  for (const PoolUse& u : p.pools) {
    Json pool{{"pool", u.pool}, {"bytes", u.bytes}, {"capacity", u.capacity}};
    if (!u.within.empty()) pool["within"] = u.within;
    j["memory"]["pools"].push_back(pool);
  }
  for (const PlannedLayer& l : p.layers) j["layers"].push_back(layer_json(l));
  for (const Move& m : p.moves)
    j["moves"].push_back({{"before", m.before},
                          {"from", m.from},
                          {"to", m.to},
                          {"bytes", m.bytes},
                          {"seconds", m.seconds},
                          {"how", m.how}});
  for (const More& m : p.better_with)
    j["better_with"].push_back({{"pool", m.pool}, {"bytes", m.bytes}, {"faster", m.faster}});
  return probes::text_of(j, 1) + "\n";
}

hal::Result<Plan> plan_from_json(std::string_view text) {
  Json j = Json::parse(text, nullptr, false);
  if (j.is_discarded() || !j.is_object()) return hal::Error{hal::Code::io, "plan: not a JSON object"};
  try {
    if (std::string found = j.value("schema", std::string("none")); found != schema)
      return hal::Error{hal::Code::io, "plan: schema is " + found + ", this build reads " + std::string(schema)};
    return read(j);
  } catch (const std::exception& e) {  // of the JSON library, and of a hash that is no number
    return hal::Error{hal::Code::io, std::string("plan: ") + e.what()};
  }
}

}  // namespace switchyard::scheduler
