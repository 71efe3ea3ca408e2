#include "scheduler/drift/observed.h"

#include <algorithm>

#include "probes/json.h"

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;
constexpr std::string_view schema = "switchyard.observed/1";

double median(const std::vector<double>& x) { return x.empty() ? 0 : probes::summarize(x, 1, 0).median; }

Json stage_json(const ObservedStage& s) {
  return {{"device", s.device},          {"first", s.first},         {"last", s.last},         {"units", s.units},
          {"phase", to_string(s.phase)}, {"predicted", s.predicted}, {"measured", s.measured}, {"ratio", s.ratio},
          {"samples", s.samples},        {"drift", s.drift},         {"factor", s.factor}};
}

ObservedStage stage_from(const Json& j) {
  const std::string phase = j.at("phase");
  if (phase != "prefill" && phase != "decode") throw std::invalid_argument("phase is '" + phase + "'");
  return {j.at("device"),
          j.at("first"),
          j.at("last"),
          j.at("units"),
          phase == "prefill" ? Phase::prefill : Phase::decode,
          j.at("predicted"),
          j.at("measured"),
          j.at("ratio"),
          j.at("samples"),
          j.at("drift"),
          j.at("factor")};
}

Observed run_from(const Json& j) {
  if (const std::string found = j.value("schema", std::string("none")); found != schema)
    throw std::invalid_argument("schema is " + found + ", this build reads " + std::string(schema));
  Observed run;
  run.model = j.at("model").at("name");
  run.model_hash = std::stoull(j.at("model").at("hash").get<std::string>(), nullptr, 16);
  run.machine = j.at("machine");
  run.mode = j.at("mode");
  run.objective = j.at("objective");
  for (const Json& s : j.at("stages")) run.stages.push_back(stage_from(s));
  return run;
}

}  // namespace

const char* to_string(Phase phase) { return phase == Phase::prefill ? "prefill" : "decode"; }

std::string to_json_line(const Observed& run) {
  Json j{{"schema", schema},           {"model", {{"name", run.model}, {"hash", probes::hash_text(run.model_hash)}}},
         {"machine", run.machine},     {"mode", run.mode},
         {"objective", run.objective}, {"stages", Json::array()}};
  for (const ObservedStage& s : run.stages) j["stages"].push_back(stage_json(s));
  return probes::text_of(j) + "\n";
}

hal::Result<std::vector<Observed>> observed_from_json_lines(std::string_view text) {
  std::vector<Observed> runs;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      runs.push_back(run_from(Json::parse(one)));
    } catch (const std::exception& e) {  // of the JSON library, and of what is no such line
      return hal::Error{hal::Code::io, "observed: line " + std::to_string(line) + ": " + e.what()};
    }
  }
  return runs;
}

StepObserver::StepObserver(const Executor& executor, const probes::Profile* profile)
    : executor_(executor), profile_(profile ? *profile : probes::Profile{}) {
  const std::vector<Unit> units = units_of(executor.model(), executor.options());
  for (const StageReport& stage : executor.report()) {
    std::map<std::string, Work> same;
    const bool shared = shared_experts(executor.options(), executor.model(), stage.first, stage.last);
    for (std::int64_t u = stage.first; u < stage.last && !shared; ++u) {  // costs are of whole units
      const hal::Segment& segment = units[static_cast<std::size_t>(u)].segment;
      Work& work = same.try_emplace(probes::unit_key(segment), Work{segment, 0}).first->second;
      ++work.count;
    }
    work_.emplace_back();
    for (auto& [key, work] : same) work_.back().push_back(std::move(work));
    seconds_.push_back(stage.seconds);
  }
  samples_.resize(work_.size());
}

double StepObserver::predicted(std::size_t stage, const probes::Step& asked) {
  probes::Step step = asked;
  constexpr std::int64_t alike = 64;  // pasts that close take the same time, and every step would be one more to keep
  step.past = step.past / alike * alike + std::min(step.past, alike / 2);
  auto [known, fresh] =
      known_.try_emplace({static_cast<std::int64_t>(stage), step.rows, step.sequences, step.past, step.logits}, 0.0);
  if (!fresh) return known->second;
  const std::string device = executor_.report()[stage].device;
  for (const Work& work : work_[stage]) {
    const auto estimate = cost_.unit(device, work.segment, step);
    if (!estimate) return known->second = 0;
    known->second += work.count * estimate->seconds;
  }
  return known->second;
}

void StepObserver::after(Phase phase, const probes::Step& step) {
  const std::vector<StageReport> report = executor_.report();
  for (std::size_t i = 0; i < report.size(); ++i) {
    const double measured = report[i].seconds - seconds_[i], expected = predicted(i, step);
    seconds_[i] = report[i].seconds;
    Samples& samples = samples_[i][static_cast<std::size_t>(phase)];
    samples.measured.push_back(measured);
    samples.predicted.push_back(expected);
    if (expected > 0) samples.ratio.push_back(measured / expected);
    if (phase == Phase::decode) monitor_.add(report[i].device, std::to_string(i), expected, measured);
  }
}

std::vector<ObservedStage> StepObserver::stages() const {
  std::vector<ObservedStage> all;
  const std::vector<StageReport> report = executor_.report();
  for (Phase phase : {Phase::prefill, Phase::decode})
    for (std::size_t i = 0; i < report.size(); ++i) {
      const Samples& samples = samples_[i][static_cast<std::size_t>(phase)];
      if (samples.measured.empty()) continue;
      ObservedStage s{report[i].device,
                      models::unit_name(executor_.model(), report[i].first),
                      models::unit_name(executor_.model(), report[i].last - 1),
                      report[i].last - report[i].first,
                      phase,
                      median(samples.predicted),
                      median(samples.measured),
                      median(samples.ratio),
                      static_cast<std::int64_t>(samples.measured.size()),
                      "",
                      1};
      const DriftDetector* detector = monitor_.find(s.device, std::to_string(i));
      if (phase == Phase::decode && detector) {
        s.drift = to_string(detector->state());
        s.factor = detector->factor();
      }
      all.push_back(std::move(s));
    }
  return all;
}

}  // namespace switchyard::scheduler
