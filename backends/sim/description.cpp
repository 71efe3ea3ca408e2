#include "backends/sim/description.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace switchyard::backends::sim {
namespace {

using Json = nlohmann::json;

struct Bad {
  std::string text;
};

// Reads an object's fields one by one, and knows which were never asked for.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw Bad{where_ + " must be an object"};
  }
  template <class T>
  void get(const char* name, T& to) {
    seen_.emplace_back(name);
    auto at = json_.find(name);
    if (at == json_.end()) return;
    try {
      to = at->template get<T>();
    } catch (const Json::exception&) {
      throw Bad{where_ + name + " has the wrong type: " + at->dump()};
    }
  }
  // A word out of a list, as its index.
  std::size_t word(const char* name, const std::vector<std::string>& words, std::size_t otherwise) {
    std::string text;
    get(name, text);
    if (text.empty()) return otherwise;
    auto at = std::find(words.begin(), words.end(), text);
    if (at != words.end()) return static_cast<std::size_t>(at - words.begin());
    std::string list;
    for (const auto& w : words) list += (list.empty() ? "" : ", ") + w;
    throw Bad{where_ + name + " is " + text + ", allowed are: " + list};
  }
  Json object(const char* name) {
    seen_.emplace_back(name);
    auto at = json_.find(name);
    return at == json_.end() ? Json::object() : *at;
  }
  void finish() const {
    for (const auto& [name, value] : json_.items())
      if (std::find(seen_.begin(), seen_.end(), name) == seen_.end()) throw Bad{where_ + name + " is no known field"};
  }

 private:
  const Json& json_;
  std::string where_;
  std::vector<std::string> seen_;
};

void read_faults(const Json& json, Faults& f) {
  Fields in(json, "faults.");
  in.get("submission", f.submission);
  static const std::vector<std::string> codes{"device_lost", "timed_out", "internal"};
  static constexpr Code values[] = {Code::device_lost, Code::timed_out, Code::internal};
  f.submission_code = values[in.word("submission_code", codes, 0)];
  in.get("allocation", f.allocation);
  in.get("allocation_above", f.allocation_above);
  static const std::vector<std::string> ways{"", "crash", "hang", "missing"};
  f.discovery = ways[in.word("discovery", ways, 0)];
  in.get("open", f.open);
  in.get("compile", f.compile);
  in.get("wrong", f.wrong);
  in.get("delay_ms", f.delay_ms);
  in.finish();
}

Description read(const Json& json) {
  Description d;
  Fields in(json, "");
  std::string name;
  in.get("name", name);
  if (name.empty()) throw Bad{"name is missing"};
  d.info.id = "sim:" + name;
  d.info.name = "simulated " + name;
  d.info.vendor = "sim";
  d.info.driver = "sim 1";
  d.info.api = "sim";
  in.get("driver", d.info.driver);
  std::string chip;
  in.get("chip", chip);  // the same word: the same chip, for devices seen through two ids
  std::copy_n(chip.begin(), std::min(chip.size(), d.info.chip.size()), d.info.chip.begin());

  static const std::vector<std::string> kinds{"cpu", "igpu", "dgpu", "npu", "other"};
  d.info.kind = static_cast<Kind>(in.word("kind", kinds, 4));
  static const std::vector<std::string> formats{"call", "graph"};
  std::vector<std::string> given{"call"};
  in.get("formats", given);
  if (given.size() != 1) throw Bad{"formats must be [\"call\"] or [\"graph\"]"};
  if (given[0] != formats[0] && given[0] != formats[1])
    throw Bad{"formats is " + given[0] + ", allowed are: call, graph"};
  d.info.formats = {given[0] == formats[0] ? Format::call : Format::graph};
  in.get("features", d.info.features);

  Json heap = in.object("heap"), speeds = in.object("speeds"), limits = in.object("limits"),
       faults = in.object("faults");
  Fields h(heap, "heap.");
  d.heap.total = d.heap.budget = 4'000'000'000;
  h.get("total_bytes", d.heap.total);
  d.heap.budget = d.heap.total;
  h.get("budget_bytes", d.heap.budget);
  d.heap.host_visible = true;
  h.get("host_visible", d.heap.host_visible);
  h.finish();
  Fields s(speeds, "speeds.");
  s.get("memory_gb_s", d.speeds.memory_gb_s);
  s.get("compute_gflop_s", d.speeds.compute_gflop_s);
  s.get("link_gb_s", d.speeds.link_gb_s);
  s.get("launch_us", d.speeds.launch_us);
  if (!(d.speeds.memory_gb_s > 0 && d.speeds.compute_gflop_s > 0 && d.speeds.link_gb_s > 0 && d.speeds.launch_us >= 0))
    throw Bad{"speeds must be above 0"};
  s.finish();
  Fields l(limits, "limits.");
  d.info.limits.max_buffer = d.info.limits.max_binding = d.heap.total;
  l.get("max_buffer_bytes", d.info.limits.max_buffer);
  d.info.limits.max_binding = d.info.limits.max_buffer;
  l.get("align_bytes", d.info.limits.align);
  l.get("queues", d.info.limits.queues);
  l.get("compute_units", d.info.limits.compute_units);
  l.finish();
  read_faults(faults, d.faults);

  static const std::vector<std::string> clocks{"real", "logical"}, roundings{"f32", "f16"};
  d.logical_clock = in.word("clock", clocks, 0) == 1;
  d.half = in.word("rounding", roundings, 0) == 1;
  if (d.half && !d.takes_graphs()) throw Bad{"rounding is f16, which only a device of formats [\"graph\"] can do"};
  in.get("min_group_nodes", d.min_group_nodes);
  in.get("only_ops", d.only_ops);
  in.finish();
  return d;
}

}  // namespace

Result<Description> read_description(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) return Error{Code::io, file + ": cannot be read"};
  try {
    return read(Json::parse(stream));
  } catch (const Bad& bad) {
    return Error{Code::invalid_argument, file + ": " + bad.text};
  } catch (const Json::exception& bad) {
    return Error{Code::invalid_argument, file + ": " + bad.what()};
  }
}

}  // namespace switchyard::backends::sim
