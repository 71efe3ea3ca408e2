#include "scheduler/serve/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace switchyard::scheduler {
namespace {

using Json = nlohmann::json;
using Type = Metric::Type;

constexpr std::string_view session_label = "session", other = "other";

bool valid_name(std::string_view name, bool colon) {
  auto letter = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
  };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::size_t label_count(const Metric& metric) {
  return static_cast<std::size_t>(std::find(metric.labels.begin(), metric.labels.end(), nullptr) -
                                  metric.labels.begin());
}

bool valid(const Metric& metric) {
  const auto labels = std::span(metric.labels).first(label_count(metric));
  const auto& buckets = metric.buckets;
  return valid_name(metric.name, true) &&
         std::all_of(labels.begin(), labels.end(),
                     [](const char* l) { return valid_name(l, false) && std::string_view(l) != "le"; }) &&
         std::all_of(buckets.begin(), buckets.end(), [](double b) { return std::isfinite(b); }) &&
         std::is_sorted(buckets.begin(), buckets.end(), std::less_equal<>());
}

// What is no UTF-8 becomes a replacement character.
std::string utf8(std::string_view text) {
  return Json::parse(Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string escaped(std::string_view text, bool quotes) {
  std::string to;
  for (char c : text) {
    if (c == '\\' || (quotes && c == '"')) to += '\\';
    if (c == '\n')
      to += "\\n";
    else
      to += c;
  }
  return to;
}

// {a="b",le="1"}; le may be empty.
std::string braces(const Metric& metric, const std::vector<std::string>& values, const std::string& le) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i)
    text += (i ? "," : "") + std::string(metric.labels[i]) + "=\"" + escaped(values[i], true) + "\"";
  if (!le.empty()) text += (text.empty() ? "" : ",") + ("le=\"" + le + "\"");
  return text.empty() ? text : "{" + text + "}";
}

}  // namespace

const char* to_string(Type type) {
  switch (type) {
    case Type::counter: return "counter";
    case Type::gauge: return "gauge";
    case Type::histogram: return "histogram";
  }
  return "untyped";
}

Metrics::Metrics(MetricsOptions options) : options_(std::move(options)) {}

void Metrics::open_session(const std::string& session) {
  std::lock_guard lock(mutex_);
  if (sessions_.size() < options_.most_sessions && session != other) sessions_.insert(session);
}

void Metrics::close_session(const std::string& session) {
  std::lock_guard lock(mutex_);
  if (!sessions_.erase(session)) return;
  const std::string name = utf8(session);
  for (auto& [metric_name, family] : families_) {
    const Metric& m = family.metric;
    const auto label = static_cast<std::size_t>(
        std::find(m.labels.begin(), m.labels.begin() + label_count(m), session_label) - m.labels.begin());
    if (label == label_count(m)) continue;
    for (auto s = family.series.begin(); s != family.series.end();) {
      if (s->first[label] != name) {
        ++s;
        continue;
      }
      Values values = s->first;
      const Series closed = std::move(s->second);
      s = family.series.erase(s);
      if (m.type == Type::gauge) continue;
      values[label] = other;
      Series& sum = family.series[values];
      sum.value += closed.value;
      sum.counts.resize(closed.counts.size());
      for (std::size_t i = 0; i < closed.counts.size(); ++i) sum.counts[i] += closed.counts[i];
    }
  }
}

// mutex_ held. Null: nothing that can be counted.
Metrics::Series* Metrics::find(const Metric& metric, Type type, Labels labels) {
  if (metric.type != type || labels.size() != label_count(metric)) return nullptr;
  auto family = families_.find(std::string_view(metric.name));
  if (family == families_.end()) {
    if (!valid(metric)) return nullptr;
    family = families_.emplace(metric.name, Family{metric, {}}).first;
  }
  const Metric& known = family->second.metric;
  if (known.type != type || label_count(known) != labels.size()) return nullptr;
  Values values;
  for (std::string_view value : labels) {
    const bool closed = known.labels[values.size()] == session_label && !sessions_.count(value);
    values.push_back(closed ? std::string(other) : utf8(value));
  }
  auto& series = family->second.series;
  auto found = series.find(values);
  if (found == series.end()) {
    if (series.size() >= options_.most_series) std::fill(values.begin(), values.end(), other);
    found = series.try_emplace(std::move(values)).first;
    if (type == Type::histogram) found->second.counts.resize(known.buckets.size() + 1);
  }
  return &found->second;
}

void Metrics::add(const Metric& counter, Labels labels, double by) {
  if (!(by >= 0) || std::isinf(by)) return;
  std::lock_guard lock(mutex_);
  if (Series* series = find(counter, Type::counter, labels)) series->value += by;
}

void Metrics::set(const Metric& gauge, Labels labels, double value) {
  std::lock_guard lock(mutex_);
  if (Series* series = find(gauge, Type::gauge, labels)) series->value = value;
}

void Metrics::observe(const Metric& histogram, Labels labels, double value) {
  if (!std::isfinite(value)) return;
  std::lock_guard lock(mutex_);
  Series* series = find(histogram, Type::histogram, labels);
  if (!series) return;
  const auto& bounds = families_.find(std::string_view(histogram.name))->second.metric.buckets;
  const auto at = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  ++series->counts[static_cast<std::size_t>(at)];
  series->value += value;
}

void Metrics::step(std::string_view device, double seconds, double predicted_seconds) {
  add(metric::steps, {device});
  observe(metric::step_seconds, {device}, seconds);
  if (!(predicted_seconds > 0)) return;
  observe(metric::step_predicted_seconds, {device}, predicted_seconds);
  observe(metric::step_ratio, {device}, seconds / predicted_seconds);
}

void Metrics::event(std::string_view kind, std::string_view subject, std::string_view text) {
  add(metric::events, {kind});
  std::lock_guard lock(mutex_);
  events_.push_back({options_.now(), utf8(kind), utf8(subject), utf8(text)});
  if (events_.size() > options_.most_events) events_.pop_front();
}

std::vector<MetricEvent> Metrics::recent() const {
  std::lock_guard lock(mutex_);
  return {events_.begin(), events_.end()};
}

std::string Metrics::prometheus() const {
  std::lock_guard lock(mutex_);
  std::string text;
  const auto line = [&](std::initializer_list<std::string_view> parts) {
    for (std::string_view part : parts) text += part;
    text += '\n';
  };
  for (const auto& [name, family] : families_) {
    const Metric& m = family.metric;
    if (family.series.empty()) continue;
    line({"# HELP ", name, " ", escaped(m.help, false)});
    line({"# TYPE ", name, " ", to_string(m.type)});
    for (const auto& [values, series] : family.series) {
      const std::string labels = braces(m, values, "");
      if (m.type != Type::histogram) {
        line({name, labels, " ", number(series.value)});
        continue;
      }
      std::uint64_t below = 0;
      for (std::size_t i = 0; i < series.counts.size(); ++i) {
        below += series.counts[i];
        const std::string le = i < m.buckets.size() ? number(m.buckets[i]) : "+Inf";
        line({name, "_bucket", braces(m, values, le), " ", std::to_string(below)});
      }
      line({name, "_sum", labels, " ", number(series.value)});
      line({name, "_count", labels, " ", std::to_string(below)});
    }
  }
  return text;
}

std::string Metrics::json() const {
  std::lock_guard lock(mutex_);
  const auto in_seconds = [](std::chrono::nanoseconds t) { return std::chrono::duration<double>(t).count(); };
  Json metrics = Json::array(), events = Json::array();
  for (const auto& [name, family] : families_) {
    const Metric& m = family.metric;
    Json all = Json::array();
    for (const auto& [values, series] : family.series) {
      Json one{{"labels", Json::object()}};
      for (std::size_t i = 0; i < values.size(); ++i) one["labels"][m.labels[i]] = values[i];
      one[m.type == Type::histogram ? "sum" : "value"] = series.value;
      if (m.type == Type::histogram) one["counts"] = series.counts;
      all.push_back(std::move(one));
    }
    Json metric{{"name", name}, {"type", to_string(m.type)}, {"help", m.help}, {"series", std::move(all)}};
    if (m.type == Type::histogram) metric["buckets"] = std::vector<double>(m.buckets.begin(), m.buckets.end());
    metrics.push_back(std::move(metric));
  }
  for (const MetricEvent& e : events_)
    events.push_back({{"seconds", in_seconds(e.time)}, {"kind", e.kind}, {"subject", e.subject}, {"text", e.text}});
  return Json{{"schema", "switchyard.metrics/1"},
              {"seconds", in_seconds(options_.now())},
              {"metrics", std::move(metrics)},
              {"events", std::move(events)}}
      .dump(2, ' ', false, Json::error_handler_t::replace);
}

void show(Metrics& metrics, const std::vector<LedgerRow>& rows) {
  for (const LedgerRow& row : rows) {
    const bool is_pool = row.within.empty();
    const std::string_view pool = is_pool ? row.name : row.within, device = is_pool ? std::string_view() : row.name;
    metrics.set(metric::limit_bytes, {pool, device}, static_cast<double>(row.limit));
    metrics.set(metric::others_bytes, {pool, device}, static_cast<double>(row.others));
    metrics.set(metric::admitting, {pool, device}, row.admitting);
    if (!is_pool) continue;  // its bytes are among the pool's
    std::map<Use, hal::Bytes> bytes;
    for (const LedgerRow::Held& held : row.held) bytes[held.holder.use] += held.bytes;
    for (Use use : all_uses)
      metrics.set(metric::reserved_bytes, {pool, to_string(use)}, static_cast<double>(bytes[use]));
  }
}

void show(Metrics& metrics, const std::vector<DeviceHealth>& devices) {
  for (const DeviceHealth& d : devices) metrics.set(metric::usable, {d.device}, d.state != HealthState::quarantined);
}

}  // namespace switchyard::scheduler
