// Metrics: what engines count, as Prometheus' text (exposition format 0.0.4) and as
// JSON ("switchyard.metrics/1"), and a ring of what happened lately. The application serves them.
//
//   A metric is a constant: those below, or the application's own, which must outlive the Metrics. Labels are given
//   in the order in which it names them, and stay few: only open sessions have a line of their own, the first `most_sessions` of
//   them; whatever the others count is summed under session="other", so that no counter ever goes back.
// Any thread.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/serve/health.h"
#include "scheduler/serve/ledger.h"

namespace switchyard::scheduler {

struct Metric {
  enum class Type : std::uint8_t { counter, gauge, histogram };
  const char* name;  // [a-zA-Z_:][a-zA-Z0-9_:]*; a counter's ends in _total
  Type type;
  const char* help;
  std::array<const char*, 3> labels{};  // [a-zA-Z_][a-zA-Z0-9_]*, not "le"; null after the last
  std::span<const double> buckets{};    // of a histogram: upper bounds, rising; +Inf is added
};
const char* to_string(Metric::Type type);

namespace metric {

inline constexpr double seconds[] = {1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2,
                                     0.1,  0.25,   0.5,  1,    2.5,    5,    10,   30,     60};
inline constexpr double ratios[] = {0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 5, 10};

inline constexpr auto counter = Metric::Type::counter, gauge = Metric::Type::gauge, histogram = Metric::Type::histogram;
inline constexpr Metric prompt_tokens{
    "switchyard_prompt_tokens_total", counter, "Tokens read for the first time.", {"session", "device"}};
inline constexpr Metric made_tokens{"switchyard_made_tokens_total", counter, "Tokens made.", {"session", "device"}};
inline constexpr Metric replays{
    "switchyard_replays_total", counter, "Times a session's log was read again.", {"session", "device"}};
inline constexpr Metric replayed_tokens{
    "switchyard_replayed_tokens_total", counter, "Tokens read again.", {"session", "device"}};
inline constexpr Metric rollbacks{
    "switchyard_rollbacks_total", counter, "Times a session went back to a shorter log.", {"session", "device"}};
inline constexpr Metric moves{
    "switchyard_moves_total", counter, "Moves of a session to the device.", {"session", "device"}};
inline constexpr Metric moved_bytes{
    "switchyard_moved_bytes_total", counter, "Bytes of state moved to the device.", {"session", "device"}};
inline constexpr Metric waits{
    "switchyard_waits_total", counter, "Times a session with work waited for a step.", {"session", "device"}};
inline constexpr Metric wait_seconds{
    "switchyard_wait_seconds_total", counter, "Seconds a session with work waited for steps.", {"session", "device"}};
inline constexpr Metric faults{"switchyard_faults_total", counter, "Failures of the device.", {"device", "kind"}};
inline constexpr Metric steps{"switchyard_steps_total", counter, "Steps done.", {"device"}};
inline constexpr Metric step_seconds{
    "switchyard_step_seconds", histogram, "Seconds of a step, measured.", {"device"}, seconds};
inline constexpr Metric step_predicted_seconds{
    "switchyard_step_predicted_seconds", histogram, "Seconds of a step, predicted.", {"device"}, seconds};
inline constexpr Metric step_ratio{"switchyard_step_measured_over_predicted_ratio",
                                   histogram,
                                   "Measured over predicted seconds of a step.",
                                   {"device"},
                                   ratios};
inline constexpr Metric sessions{"switchyard_sessions", gauge, "Open sessions."};
inline constexpr Metric queue_length{"switchyard_queue_length", gauge, "Sessions waiting for memory."};
inline constexpr Metric admission_seconds{
    "switchyard_admission_seconds", histogram, "Seconds from asking to being admitted.", {"route"}, seconds};
inline constexpr Metric reserved_bytes{"switchyard_reserved_bytes", gauge, "Bytes reserved.", {"pool", "use"}};
inline constexpr Metric limit_bytes{
    "switchyard_limit_bytes", gauge, "Bytes that may be reserved; device: empty for the pool's.", {"pool", "device"}};
inline constexpr Metric others_bytes{
    "switchyard_others_bytes", gauge, "Bytes that other applications use.", {"pool", "device"}};
inline constexpr Metric admitting{
    "switchyard_admitting", gauge, "1 while the pool admits sessions.", {"pool", "device"}};
inline constexpr Metric usable{"switchyard_device_usable", gauge, "0 while the device is quarantined.", {"device"}};
inline constexpr Metric events{"switchyard_events_total", counter, "Events by kind.", {"kind"}};

}  // namespace metric

// Something that happened. kind: one of few words ("move", "fault", "quarantine", "relief").
struct MetricEvent {
  std::chrono::nanoseconds time{};
  std::string kind, subject, text;
};

struct MetricsOptions {
  Now now = steady_now;
  std::size_t most_sessions = 64, most_events = 256;
  std::size_t most_series = 1024;  // of one metric; beyond, all labels are "other"
};

class Metrics {
 public:
  using Labels = std::initializer_list<std::string_view>;
  explicit Metrics(MetricsOptions options = {});

  void open_session(const std::string& session);
  void close_session(const std::string& session);  // its counts are summed under "other", its gauges end
  // Numbers that make no sense (a negative count, no number) and a wrong count of labels are left out: counting never
  // fails.
  void add(const Metric& counter, Labels labels, double by = 1);
  void set(const Metric& gauge, Labels labels, double value);
  void observe(const Metric& histogram, Labels labels, double value);
  // A step of a device: steps, its seconds and, where it was predicted (above 0), how that compares.
  void step(std::string_view device, double seconds, double predicted_seconds);
  void event(std::string_view kind, std::string_view subject, std::string_view text);  // counted too

  std::vector<MetricEvent> recent() const;  // oldest first
  std::string prometheus() const;
  std::string json() const;

 private:
  using Values = std::vector<std::string>;  // of the labels
  struct Series {
    double value = 0;                   // of a histogram: the sum
    std::vector<std::uint64_t> counts;  // per bucket, not summed up; the last is beyond all
  };
  struct Family {
    Metric metric;
    std::map<Values, Series> series;
  };
  Series* find(const Metric& metric, Metric::Type type, Labels labels);

  MetricsOptions options_;
  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> sessions_;          // with lines of their own
  std::map<std::string, Family, std::less<>> families_;  // by name
  std::deque<MetricEvent> events_;
};

// Gauges of pools and devices, as they are now.
void show(Metrics& metrics, const std::vector<LedgerRow>& rows);
void show(Metrics& metrics, const std::vector<DeviceHealth>& devices);

}  // namespace switchyard::scheduler
