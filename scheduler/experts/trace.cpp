#include "scheduler/experts/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <numeric>

#include "models/formats/file.h"
#include "models/formats/json.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/weights.h"
#include "probes/json.h"

namespace switchyard::scheduler {
namespace {

using hal::Code;
using hal::Error;
using models::Json;

constexpr std::string_view schema = "switchyard.routing/1";
// With most_pairs, the bytes of all experts stay below 2^63.
constexpr std::int64_t most_experts = 65536, most_layers = 65536;
constexpr std::uint64_t most_pairs = UINT64_C(1) << 22, most_expert_bytes = UINT64_C(1) << 40;
constexpr std::size_t longest_header = 1 << 20;

// Little-endian numbers of `width` bytes, whatever the machine.
void put(std::string& to, std::uint32_t value, int width) {
  for (int i = 0; i < width; ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}
std::uint32_t get(std::span<const std::byte> from, std::size_t at, int width) {
  std::uint32_t value = 0;
  for (int i = 0; i < width; ++i)
    value |= std::to_integer<std::uint32_t>(from[at + static_cast<std::size_t>(i)]) << (8 * i);
  return value;
}

hal::Bytes expert_bytes_of(const models::LayerWeights& w) {
  hal::Bytes bytes = 0;
  for (const models::Weight* m : {&w.experts_gate, &w.experts_up, &w.experts_gate_up, &w.experts_down})
    if (m->present()) bytes += static_cast<hal::Bytes>(m->shape[1]) * hal::row_bytes(m->dtype, m->shape[2]);
  return bytes;
}

std::string too_many(const ExpertShape& s) {
  return std::to_string(s.layers) + " layers of " + std::to_string(s.experts) + " experts, expected at most " +
         std::to_string(most_pairs) + " in all";
}

// The header's numbers, refused unless they can be true together.
struct Header {
  RoutingTrace trace;
  std::int64_t steps = 0, tokens = 0;
  int id_bytes = 1;
};
hal::Result<Header> header_from(const Json& j, const std::string& name) {
  Header h;
  std::string missing;
  auto number = [&](const char* key, std::int64_t least, std::int64_t most) -> std::int64_t {
    if (j.contains(key) && j[key].is_number_unsigned() &&
        j[key].get<std::uint64_t>() <= static_cast<std::uint64_t>(most))
      if (auto n = j[key].get<std::int64_t>(); n >= least) return n;
    if (missing.empty())
      missing = std::string(key) + " is " + (j.contains(key) ? models::json_text(j[key]) : "absent") + ", expected " +
                std::to_string(least) + " .. " + std::to_string(most);
    return 0;
  };
  if (!j.is_object() || !j.contains("schema") || j["schema"] != schema)
    return Error{Code::io, name + ": is no routing trace of " + std::string(schema) + ": schema is " +
                               (j.is_object() && j.contains("schema") ? models::json_text(j["schema"]) : "absent")};
  RoutingTrace& t = h.trace;
  t.shape.layers = number("layers", 1, most_layers);
  t.shape.experts = number("experts", 1, most_experts);
  t.shape.top_k = number("top_k", 1, std::max<std::int64_t>(t.shape.experts, 1));
  if (missing.empty() && t.shape.pairs() > most_pairs) missing = too_many(t.shape);
  h.steps = number("steps", 0, INT64_C(1) << 40);
  h.tokens = number("tokens", 0, INT64_C(1) << 40);
  h.id_bytes = static_cast<int>(number("id_bytes", 1, 2));
  if (missing.empty() && h.id_bytes == 1 && t.shape.experts > 256)
    missing = "id_bytes is 1, with more than 256 experts";
  if (missing.empty() && (!j.contains("model") || !j["model"].is_string())) missing = "model is no text";
  if (missing.empty()) {
    const Json hash = j.value("model_hash", Json());
    const std::string text = hash.is_string() ? hash.get<std::string>() : "";
    if (text.size() != 16 || text.find_first_not_of("0123456789abcdef") != std::string::npos)
      missing = "model_hash is " + models::json_text(hash) + ", expected 16 hexadecimal digits";
    else
      t.model_hash = std::stoull(text, nullptr, 16);
  }
  if (missing.empty()) {
    const Json bytes = j.value("expert_bytes", Json());
    bool right = bytes.is_array() && bytes.size() == static_cast<std::size_t>(t.shape.layers);
    for (std::size_t l = 0; right && l < bytes.size(); ++l) {
      right = bytes[l].is_number_unsigned() && bytes[l].get<std::uint64_t>() - 1 < most_expert_bytes;
      if (right) t.expert_bytes.push_back(bytes[l].get<hal::Bytes>());
    }
    if (!right)
      missing =
          "expert_bytes must be " + std::to_string(t.shape.layers) + " positive numbers of at most 2^40, one per layer";
  }
  if (!missing.empty()) return Error{Code::io, name + ": header: " + missing};
  t.model = j["model"];
  return h;
}

hal::Result<RoutingTrace> parse(std::span<const std::byte> bytes, const std::string& name) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const std::size_t look = std::min(bytes.size(), longest_header);
  const void* end = look ? std::memchr(text, '\n', look) : nullptr;
  if (!end)
    return Error{Code::io,
                 name + ": is no routing trace: no line of JSON in its first " + std::to_string(look) + " bytes"};
  const std::size_t header_bytes = static_cast<std::size_t>(static_cast<const char*>(end) - text);
  HAL_TRY(Json j, models::parse_json({text, header_bytes}, name));
  HAL_TRY(Header h, header_from(j, name));
  RoutingTrace t = std::move(h.trace);

  std::uint64_t ids_bytes = 0;  // what does not fit into 63 bits fits into no file
  const bool fits =
      models::multiply(static_cast<std::uint64_t>(h.tokens),
                       static_cast<std::uint64_t>(t.shape.layers * t.shape.top_k * h.id_bytes), ids_bytes);
  const std::uint64_t expected = header_bytes + 1 + static_cast<std::uint64_t>(h.steps) * 4 + ids_bytes;
  if (!fits || expected != bytes.size())
    return Error{Code::io, name + ": has " + std::to_string(bytes.size()) + " bytes; its header says " +
                               std::to_string(h.steps) + " steps of " + std::to_string(h.tokens) + " tokens" +
                               (fits ? ", which are " + std::to_string(expected) : std::string()) + ": it was " +
                               (!fits || expected > bytes.size() ? "cut" : "written to after its end")};
  std::size_t at = header_bytes + 1;
  std::uint64_t rows = 0;
  for (std::int64_t s = 0; s < h.steps; ++s, at += 4) {
    t.step_rows.push_back(get(bytes, at, 4));
    rows += t.step_rows.back();
  }
  if (rows != static_cast<std::uint64_t>(h.tokens))
    return Error{Code::io, name + ": its steps have " + std::to_string(rows) + " rows, its header says " +
                               std::to_string(h.tokens) + " tokens"};
  const auto k = static_cast<std::size_t>(t.shape.top_k), each = k * static_cast<std::size_t>(t.shape.layers);
  const std::size_t ids = each * static_cast<std::size_t>(h.tokens);
  t.chosen.reserve(ids);
  for (std::size_t i = 0; i < ids; ++i, at += static_cast<std::size_t>(h.id_bytes)) {
    const std::uint32_t id = get(bytes, at, h.id_bytes);
    const auto first = t.chosen.end() - static_cast<std::ptrdiff_t>(i % k);
    const bool twice = std::find(first, t.chosen.end(), id) != t.chosen.end();
    if (id >= static_cast<std::uint32_t>(t.shape.experts) || twice)
      return Error{Code::io, name + ": token " + std::to_string(i / each) + ", layer " + std::to_string(i % each / k) +
                                 " chose expert " + std::to_string(id) +
                                 (twice ? " twice" : " of " + std::to_string(t.shape.experts)) + " (byte " +
                                 std::to_string(at) + ")"};
    t.chosen.push_back(static_cast<std::uint16_t>(id));
  }
  return t;
}

}  // namespace

std::int64_t RoutingTrace::tokens() const {
  return std::accumulate(step_rows.begin(), step_rows.end(), std::int64_t{0});
}

hal::Status RoutingTrace::add(const StepRouting& step) {
  HAL_CHECK(check(step, shape));
  step_rows.push_back(static_cast<std::uint32_t>(step.rows));
  chosen.insert(chosen.end(), step.chosen.begin(), step.chosen.end());
  return hal::ok();
}

hal::Result<RoutingTrace> trace_for(const models::Model& model) {
  RoutingTrace trace;
  trace.model = model.name;
  trace.model_hash = model.content_hash;
  trace.shape = expert_shape(model);
  if (trace.shape.experts == 0 || trace.shape.experts > most_experts)
    return Error{Code::unsupported, "routing: " + model.name + " has " + std::to_string(trace.shape.experts) +
                                        " experts per layer, expected 1 .. " + std::to_string(most_experts)};
  if (trace.shape.pairs() > most_pairs)
    return Error{Code::unsupported, "routing: " + model.name + " has " + too_many(trace.shape)};
  for (const models::LayerWeights& w : model.layers) trace.expert_bytes.push_back(expert_bytes_of(w));
  return trace;
}

hal::Status belongs_to(const RoutingTrace& trace, const models::Model& model) {
  if (trace.model_hash == model.content_hash && trace.shape == expert_shape(model)) return hal::ok();
  return Error{Code::invalid_argument, "the trace is of " + trace.model + " (" + std::to_string(trace.model_hash) +
                                           "), this model is " + model.name + " (" +
                                           std::to_string(model.content_hash) + "): record one with it"};
}

hal::Status save(const RoutingTrace& trace, const std::string& path) {
  const int id_bytes = trace.shape.experts <= 256 ? 1 : 2;
  const Json header{{"schema", schema},
                    {"model", trace.model},
                    {"model_hash", probes::hash_text(trace.model_hash)},
                    {"layers", trace.shape.layers},
                    {"experts", trace.shape.experts},
                    {"top_k", trace.shape.top_k},
                    {"expert_bytes", trace.expert_bytes},
                    {"steps", trace.step_rows.size()},
                    {"tokens", trace.tokens()},
                    {"id_bytes", id_bytes}};
  std::string text = probes::text_of(header) + "\n";
  for (std::uint32_t rows : trace.step_rows) put(text, rows, 4);
  for (std::uint16_t id : trace.chosen) put(text, id, id_bytes);
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return Error{Code::io, path + ": cannot be written: " + std::strerror(errno)};
  return hal::ok();
}

hal::Result<RoutingTrace> load_trace(const std::string& path) {
  HAL_TRY(models::FileRef file, models::File::open(path));
  return parse(file->bytes(), path);
}

TraceView whole(const RoutingTrace& trace) { return {&trace, 0, trace.tokens()}; }

TraceView half(const RoutingTrace& trace, bool second) {
  const std::int64_t tokens = trace.tokens(), middle = tokens / 2;
  return second ? TraceView{&trace, middle, tokens} : TraceView{&trace, 0, middle};
}

UsageHistogram usage_of(const TraceView& view) {
  UsageHistogram usage(view.trace->shape);
  usage.tokens = static_cast<std::uint64_t>(view.size());
  for (std::int64_t i = 0; i < view.size(); ++i)
    for (std::int64_t layer = 0; layer < usage.shape.layers; ++layer)
      for (std::uint16_t e : view.at(i, layer)) ++usage.counts[usage.shape.pair(layer, e)];
  return usage;
}

}  // namespace switchyard::scheduler
