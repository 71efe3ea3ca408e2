#include "scheduler/serve/metrics.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/serve/prometheus_parser.h"
#include "tests/serve/small_machine.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::gb;
using Labels = std::map<std::string, std::string>;

std::map<std::string, test::ParsedFamily> parsed(const Metrics& metrics) {
  const std::string text = metrics.prometheus();
  try {
    return test::PrometheusParser::parse(text);
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what() << "\n" << text;
    return {};
  }
}

double value(const Metrics& metrics, const Metric& metric, const Labels& labels) {
  const auto families = parsed(metrics);
  const auto family = families.find(metric.name);
  if (family == families.end()) return -1;
  const auto sample = family->second.samples.find(labels);
  return sample == family->second.samples.end() ? -1 : sample->second;
}

TEST(MetricsParser, TakesWhatIsRightAndNothingElse) {
  auto takes = [](const std::string& text) {
    try {
      (void)test::PrometheusParser::parse(text);
      return true;
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  const std::string head = "# HELP a_total b\n# TYPE a_total counter\n";
  EXPECT_TRUE(takes(""));
  EXPECT_TRUE(takes(head + "a_total 1\n"));
  EXPECT_TRUE(takes(head + "a_total{x=\"1\\\\\\n\\\"\",y=\"\"} 1e+06\n"));
  for (const std::string wrong :
       {"a_total 1", "a_total 1 \n", "a_total  1\n", "a_total{x=1} 1\n", "a_total{x=\"\\q\"} 1\n",
        "a_total{x=\"1\"y=\"1\"} 1\n", "a_total{x=\"\n\"} 1\n", "a_total{1=\"\"} 1\n", "a_total{x=\"1\",x=\"2\"} 1\n",
        "a_total 1\na_total 1\n", "b_total 1\n", "a_total -1\n", "a_total nan\n", "a_total_sum 1\n", "", "\n"})
    EXPECT_FALSE(takes(head + wrong)) << wrong;
  EXPECT_FALSE(takes("a_total 1\n"));
  EXPECT_FALSE(takes("# TYPE a_total counter\na_total 1\n"));
  EXPECT_FALSE(takes("# HELP a b\n# TYPE a counter\na 1\n"));
  const std::string histogram = "# HELP h b\n# TYPE h histogram\n";
  EXPECT_TRUE(takes(histogram + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"));
  EXPECT_FALSE(takes(histogram + "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"));
  EXPECT_FALSE(takes(histogram + "h_bucket{le=\"1\"} 1\nh_sum 3\nh_count 1\n"));
  EXPECT_FALSE(takes(histogram + "h_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 3\n"));
  EXPECT_FALSE(takes(histogram + "h_bucket{le=\"+Inf\"} 2\nh_count 2\n"));
}

TEST(Metrics, ExactText) {
  Metrics metrics;
  metrics.open_session("a \"b\"\\\n");
  metrics.add(metric::made_tokens, {"a \"b\"\\\n", "cpu:0"}, 3);
  metrics.add(metric::made_tokens, {"a \"b\"\\\n", "cpu:0"});
  metrics.set(metric::queue_length, {}, 2);
  static constexpr double bounds[] = {0.1, 2};
  static constexpr Metric latency{"app_seconds", Metric::Type::histogram, "A \"help\\\n\".", {"x"}, bounds};
  metrics.observe(latency, {"y"}, 0.1);
  metrics.observe(latency, {"y"}, 0.5);
  metrics.observe(latency, {"y"}, 3);
  EXPECT_EQ(metrics.prometheus(),
            "# HELP app_seconds A \"help\\\\\\n\".\n"
            "# TYPE app_seconds histogram\n"
            "app_seconds_bucket{x=\"y\",le=\"0.1\"} 1\n"
            "app_seconds_bucket{x=\"y\",le=\"2\"} 2\n"
            "app_seconds_bucket{x=\"y\",le=\"+Inf\"} 3\n"
            "app_seconds_sum{x=\"y\"} 3.6\n"
            "app_seconds_count{x=\"y\"} 3\n"
            "# HELP switchyard_made_tokens_total Tokens made.\n"
            "# TYPE switchyard_made_tokens_total counter\n"
            "switchyard_made_tokens_total{session=\"a \\\"b\\\"\\\\\\n\",device=\"cpu:0\"} 4\n"
            "# HELP switchyard_queue_length Sessions waiting for memory.\n"
            "# TYPE switchyard_queue_length gauge\n"
            "switchyard_queue_length 2\n");
  parsed(metrics);
}

TEST(Metrics, AllOfThemAreValid) {
  Metrics metrics;
  for (const Metric* m :
       {&metric::prompt_tokens, &metric::made_tokens, &metric::replays, &metric::replayed_tokens, &metric::rollbacks,
        &metric::moves, &metric::moved_bytes, &metric::waits, &metric::wait_seconds, &metric::faults}) {
    EXPECT_TRUE(std::string(m->name).ends_with("_total"));
    metrics.add(*m, {"1", "2"});
  }
  metrics.set(metric::sessions, {}, 1);
  metrics.observe(metric::admission_seconds, {"queued"}, 1);
  metrics.step("cpu:0", 0.02, 0.01);
  metrics.step("cpu:0", 0.03, 0);
  metrics.event("move", "session 1", "cpu:0 -> card:0");
  const auto families = parsed(metrics);
  EXPECT_EQ(families.size(), 10u + 2 + 4 + 1);
  EXPECT_EQ(families.at("switchyard_steps_total").samples.at({{"device", "cpu:0"}}), 2);
  EXPECT_EQ(families.at("switchyard_step_seconds").counts.at({{"device", "cpu:0"}}), 2);
  EXPECT_DOUBLE_EQ(families.at("switchyard_step_seconds").samples.at({{"device", "cpu:0"}}), 0.05);
  const auto& ratio = families.at("switchyard_step_measured_over_predicted_ratio");
  EXPECT_EQ(ratio.counts.at({{"device", "cpu:0"}}), 1);
  EXPECT_EQ(ratio.buckets.at({{"device", "cpu:0"}}).at(1.5), 0);
  EXPECT_EQ(ratio.buckets.at({{"device", "cpu:0"}}).at(2), 1);
  EXPECT_EQ(families.at("switchyard_events_total").samples.at({{"kind", "move"}}), 1);
}

TEST(Metrics, WhatMakesNoSenseIsLeftOut) {
  Metrics metrics;
  metrics.add(metric::steps, {"a"}, -1);
  metrics.add(metric::steps, {"a"}, std::nan(""));
  metrics.add(metric::steps, {"a"}, INFINITY);
  metrics.add(metric::steps, {});
  metrics.add(metric::steps, {"a", "b"});
  metrics.set(metric::steps, {"a"}, 1);
  metrics.observe(metric::steps, {"a"}, 1);
  metrics.observe(metric::step_seconds, {"a"}, std::nan(""));
  static constexpr double falling[] = {2, 1};
  for (const Metric& m :
       {Metric{"0a", metric::gauge, ""}, Metric{"a-b", metric::gauge, ""}, Metric{"", metric::gauge, ""},
        Metric{"a", metric::gauge, "", {"le"}}, Metric{"a", metric::gauge, "", {"x:y"}}})
    m.labels[0] ? metrics.set(m, {"x"}, 1) : metrics.set(m, {}, 1);
  metrics.observe(Metric{"a", metric::histogram, "", {}, falling}, {}, 1);
  EXPECT_EQ(metrics.prometheus(), "");
  metrics.add(metric::steps, {"a"});
  static constexpr Metric same{"switchyard_steps_total", metric::gauge, "of another type"};
  metrics.set(same, {}, 1);
  EXPECT_EQ(value(metrics, metric::steps, {{"device", "a"}}), 1);
}

TEST(Metrics, NumbersKeepTheirValue) {
  for (const double number : {0.0, 1e-9, 0.1, 1.0 / 3, 123456789012.0, 9007199254740991.0, 1e300, -5.5}) {
    Metrics metrics;
    metrics.set(metric::sessions, {}, number);
    EXPECT_EQ(value(metrics, metric::sessions, {}), number);
  }
  Metrics metrics;
  metrics.set(metric::sessions, {}, -INFINITY);
  EXPECT_EQ(value(metrics, metric::sessions, {}), -INFINITY);
  EXPECT_TRUE(nlohmann::json::parse(metrics.json())["metrics"][0]["series"][0]["value"].is_null());
}

TEST(Metrics, NamesThatAreNoTextDoNoHarm) {
  Metrics metrics;
  const std::string name = "\xff\xfe s\xc3";
  metrics.open_session(name);
  metrics.add(metric::made_tokens, {name, "cpu:0"}, 2);
  metrics.event("fault", name, name);
  EXPECT_EQ(
      value(metrics, metric::made_tokens, {{"session", "\xef\xbf\xbd\xef\xbf\xbd s\xef\xbf\xbd"}, {"device", "cpu:0"}}),
      2);
  EXPECT_TRUE(nlohmann::json::parse(metrics.json()).is_object());
  metrics.close_session(name);
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "other"}, {"device", "cpu:0"}}), 2);
}

TEST(Metrics, ClosedSessionsAreSummedUnderOther) {
  Metrics metrics;
  static constexpr double bounds[] = {1};
  static constexpr Metric times{"app_times", metric::histogram, "x", {"device", "session"}, bounds};
  static constexpr Metric length{"app_length", metric::gauge, "x", {"session"}};
  for (const std::string session : {"1", "2"}) {
    metrics.open_session(session);
    metrics.add(metric::made_tokens, {session, "cpu:0"}, 10);
    metrics.add(metric::made_tokens, {session, "card:0"}, 1);
    metrics.observe(times, {"cpu:0", session}, 0.5);
    metrics.observe(times, {"cpu:0", session}, 5);
    metrics.set(length, {session}, 7);
  }
  metrics.close_session("1");
  metrics.close_session("1");
  metrics.add(metric::made_tokens, {"1", "cpu:0"}, 5);  // late
  metrics.add(metric::made_tokens, {"unheard of", "cpu:0"}, 100);
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "other"}, {"device", "cpu:0"}}), 115);
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "other"}, {"device", "card:0"}}), 1);
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "2"}, {"device", "cpu:0"}}), 10);
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "1"}, {"device", "cpu:0"}}), -1);
  EXPECT_EQ(value(metrics, length, {{"session", "1"}}), -1);
  EXPECT_EQ(value(metrics, length, {{"session", "2"}}), 7);
  metrics.close_session("2");
  const auto families = parsed(metrics);
  EXPECT_EQ(families.count("app_length"), 0u);
  const auto& histogram = families.at("app_times");
  ASSERT_EQ(histogram.counts.size(), 1u);
  EXPECT_EQ(histogram.counts.at({{"session", "other"}, {"device", "cpu:0"}}), 4);
  EXPECT_EQ(histogram.buckets.at({{"session", "other"}, {"device", "cpu:0"}}).at(1), 2);
  EXPECT_EQ(histogram.samples.at({{"session", "other"}, {"device", "cpu:0"}}), 11);
}

// Sessions come and go, thousands of them: few lines, and no count is lost.
TEST(Metrics, LabelsStayFew) {
  std::mt19937 random(7);
  MetricsOptions options;
  options.most_sessions = 16;
  Metrics metrics(options);
  std::vector<std::string> open;
  double sum = 0;
  for (int i = 0; i < 5000; ++i) {
    open.push_back("session " + std::to_string(i));
    metrics.open_session(open.back());
    for (const std::string& session : open) {
      metrics.add(metric::made_tokens, {session, i % 2 ? "cpu:0" : "card:0"});
      ++sum;
    }
    if (open.size() < 40) continue;
    for (int n = 0; n < 30; ++n) {
      std::swap(open[random() % open.size()], open.back());
      metrics.close_session(open.back());
      open.pop_back();
    }
  }
  const auto samples = parsed(metrics).at("switchyard_made_tokens_total").samples;
  EXPECT_LE(samples.size(), 2u * 17);
  double total = 0;
  for (const auto& sample : samples) total += sample.second;
  EXPECT_EQ(total, sum);

  options.most_series = 10;
  Metrics few(options);
  for (int i = 0; i < 100; ++i) few.add(metric::steps, {"device " + std::to_string(i)});
  EXPECT_LE(parsed(few).at("switchyard_steps_total").samples.size(), 11u);
  EXPECT_EQ(value(few, metric::steps, {{"device", "other"}}), 90);
}

TEST(Metrics, JsonSaysTheSame) {
  test::FakeClock clock;
  MetricsOptions options;
  options.now = clock.now();
  options.most_events = 2;
  Metrics metrics(options);
  metrics.step("cpu:0", 0.02, 0.01);
  clock.pass(1.5);
  for (const std::string text : {"first", "second", "third"}) metrics.event("fault", "cpu:0", text);
  clock.pass(1);
  const auto json = nlohmann::json::parse(metrics.json());
  EXPECT_EQ(json["schema"], "switchyard.metrics/1");
  EXPECT_EQ(json["seconds"], 2.5);
  ASSERT_EQ(json["events"].size(), 2u) << "the last ones";
  EXPECT_EQ(json["events"][0],
            (nlohmann::json{{"seconds", 1.5}, {"kind", "fault"}, {"subject", "cpu:0"}, {"text", "second"}}));
  EXPECT_EQ(metrics.recent()[1].text, "third");
  std::set<std::string> names;
  for (const auto& metric : json["metrics"]) {
    names.insert(metric["name"]);
    if (metric["name"] == "switchyard_step_seconds") {
      EXPECT_EQ(metric["type"], "histogram");
      EXPECT_EQ(metric["buckets"].size() + 1, metric["series"][0]["counts"].size());
      EXPECT_EQ(metric["series"][0]["sum"], 0.02);
      EXPECT_EQ(metric["series"][0]["labels"], (nlohmann::json{{"device", "cpu:0"}}));
    }
    if (metric["name"] == "switchyard_events_total") {
      EXPECT_EQ(metric["series"][0]["value"], 3);
    }
  }
  std::set<std::string> expected;
  for (const auto& family : parsed(metrics)) expected.insert(family.first);
  EXPECT_EQ(names, expected);
}

TEST(Metrics, ShowsTheLedgerAndTheHealthOfDevices) {
  Metrics metrics;
  const auto ledger = Ledger::make(test::small_machine());
  auto held = ledger->reserve("inner:0", 2 * gb, {"chat", Use::kv});
  show(metrics, ledger->snapshot());
  EXPECT_EQ(value(metrics, metric::reserved_bytes, {{"pool", "host"}, {"use", "kv"}}), 2e9);
  EXPECT_EQ(value(metrics, metric::limit_bytes, {{"pool", "host"}, {"device", "inner:0"}}), 6e9);
  EXPECT_EQ(value(metrics, metric::limit_bytes, {{"pool", "host"}, {"device", ""}}), 16e9);
  EXPECT_EQ(value(metrics, metric::admitting, {{"pool", "card:0"}, {"device", ""}}), 1);
  held->shrink(2 * gb);
  show(metrics, ledger->snapshot());
  EXPECT_EQ(value(metrics, metric::reserved_bytes, {{"pool", "host"}, {"use", "kv"}}), 0);
  Health health;
  health.report_failure("card:0", Failure::hung, "");
  show(metrics, health.list());
  EXPECT_EQ(value(metrics, metric::usable, {{"device", "card:0"}}), 0);
}

TEST(Metrics, ManyThreads) {
  Metrics metrics;
  std::atomic<bool> done = false;
  std::thread looks([&] {
    double last = 0;
    while (!done) {
      double now = 0;
      const auto families = parsed(metrics);
      if (const auto family = families.find("switchyard_made_tokens_total"); family != families.end())
        for (const auto& sample : family->second.samples) now += sample.second;
      EXPECT_GE(now, last) << "a sum over sessions never goes back";
      last = now;
      EXPECT_TRUE(nlohmann::json::parse(metrics.json()).is_object());
    }
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int s = 0; s < 50; ++s) {
        const std::string session = std::to_string(t) + "/" + std::to_string(s);
        metrics.open_session(session);
        for (int i = 0; i < 20; ++i) {
          metrics.add(metric::made_tokens, {session, "cpu:0"});
          metrics.step("cpu:0", 1e-3, 1e-3);
        }
        metrics.event("close", session, "");
        metrics.close_session(session);
      }
    });
  for (auto& thread : threads) thread.join();
  done = true;
  looks.join();
  EXPECT_EQ(value(metrics, metric::made_tokens, {{"session", "other"}, {"device", "cpu:0"}}), 4 * 50 * 20);
  EXPECT_EQ(value(metrics, metric::steps, {{"device", "cpu:0"}}), 4 * 50 * 20);
}

}  // namespace
}  // namespace switchyard
