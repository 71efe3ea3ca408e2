#include "scheduler/plan/problem.h"

#include <algorithm>
#include <map>

#include "kernels/library.h"
#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {

using probes::Step;

namespace {

std::string shapes_of(const hal::Segment& s, const hal::Node& n) {
  std::string text = n.op + " (";
  bool first = true;
  for (auto v : n.in) {
    if (v == hal::no_value) continue;
    text += (first ? "" : ", ") + kernels::to_string(s.values[v]);
    first = false;
  }
  return text + ")";
}

// Why a device would not take the unit; empty: it would.
std::vector<Refusal> consider(const hal::Info& info, const hal::Segment& segment, const hal::Claim& claim) {
  std::vector<Refusal> refusals;
  for (const hal::Declined& d : claim.declined) {
    bool known = d.node < segment.nodes.size();
    std::string why = (known ? shapes_of(segment, segment.nodes[d.node]) + ": " : std::string()) + d.why;
    if (std::none_of(refusals.begin(), refusals.end(), [&](const Refusal& r) { return r.detail == why; }))
      refusals.push_back({info.id, "unsupported", why});
  }
  if (claim.groups.empty() && refusals.empty()) refusals.push_back({info.id, "unsupported", "claims none of its ops"});
  for (const hal::Constant& c : segment.constants) {
    hal::Bytes bytes = hal::max_bytes(segment.values[c.value]);
    if (info.limits.max_buffer && bytes > info.limits.max_buffer)
      refusals.push_back({info.id, "too_large",
                          "a weight " + kernels::to_string(segment.values[c.value]) + " of " + gigabytes(bytes) +
                              "; its largest buffer is " + gigabytes(info.limits.max_buffer)});
  }
  return refusals;
}

using Holdings = std::vector<std::vector<std::vector<hal::Holding>>>;  // [unit][device]

// Constants that several units of a device would hold become copies of the problem, and leave the units' own bytes.
// Beyond what the solver's bits can name, each unit counts its own.
void share_copies(const Holdings& holds, Problem& p) {
  for (std::size_t d = 0; d < p.devices.size(); ++d) {
    std::map<std::pair<std::uint64_t, std::string>, std::vector<std::size_t>> users;
    for (std::size_t u = 0; u < holds.size(); ++u)
      for (const hal::Holding& h : holds[u][d])
        if (auto& of = users[{h.key, h.layout}]; h.key && (of.empty() || of.back() != u)) of.push_back(u);
    for (const auto& user : users) {
      const auto& id = user.first;  // clang 14 captures no structured binding
      const auto& units = user.second;
      if (units.size() < 2 || p.devices.size() + p.copies.size() >= 64) continue;
      const auto same = [&](const hal::Holding& h) { return h.key == id.first && h.layout == id.second; };
      const auto& first = holds[units.front()][d];
      const hal::Bytes bytes = std::find_if(first.begin(), first.end(), same)->bytes;
      for (std::size_t u : units) {
        p.places[u][d].bytes -= bytes;
        p.places[u][d].copies.push_back(p.copies.size());
      }
      p.copies.push_back({d, bytes, id.first});
    }
  }
}

// What an executor takes of a device once, whatever lies there: scratch for its largest unit, and for the rows between
// units of a program; buffers for the rows (and logits) that come and go, of the largest step, and the step's tables,
// which each part of the chain has for itself, so at most one per unit. Of several groups in flight each has its own.
void set_fixed(const PlanRequest& request, Problem& p) {
  const std::vector<std::int64_t> largest{request.chunk, std::min(request.sessions, request.max_sequences),
                                          request.sessions},
      bucket{bucket_rows, 1, bucket_rows}, at_least{std::max(request.chunk, bucket_rows), largest[1], largest[2]};
  hal::Bytes tables = 0;
  for (const Unit& unit : request.units) {
    hal::Bytes of = 0;
    for (auto v : unit.segment.inputs)
      if (const hal::Tensor& t = unit.segment.values[v]; t.dtype == hal::DType::i32)
        of += hal::tensor_bytes(t, largest);
    tables = std::max(tables, of);
  }
  constexpr hal::Bytes gaps = 1024;  // between tables
  tables += static_cast<hal::Bytes>(request.chunk) * 12 + gaps;
  p.fixed.assign(p.devices.size(), 0);
  for (std::size_t d = 0; d < p.devices.size(); ++d) {
    hal::Bytes scratch = 0, rows_in = 0, rows_out = 0, logits = 0, piece = 0;
    for (std::size_t u = 0; u < p.places.size(); ++u) {
      const Place& place = p.places[u][d];
      if (!place.possible) continue;
      const hal::Segment& s = request.units[u].segment;
      const auto& dims = place.fixed_shapes ? at_least : largest;
      hal::Bytes in = 0, out = 0;
      for (auto v : s.inputs) in += hal::tensor_bytes(s.values[v], dims);
      for (auto v : s.outputs) {
        const hal::Bytes bytes = hal::tensor_bytes(s.values[v], dims);
        (s.values[v].shape[0].symbol == kernels::sym_logits ? logits : out) += bytes;
        if (place.fixed_shapes) piece = std::max(piece, hal::tensor_bytes(s.values[v], bucket));
      }
      scratch = std::max(scratch, place.scratch + in + out);
      rows_in = std::max(rows_in, in);
      rows_out = std::max(rows_out, out);
    }
    p.fixed[d] = scratch + rows_in + static_cast<hal::Bytes>(p.groups) * (rows_out + tables * request.units.size()) +
                 logits + piece;
  }
}

hal::Status set_pins(const PlanRequest& request, Problem& p) {
  p.pinned.assign(request.units.size(), -1);
  auto index = [&](const std::string& id) -> hal::Result<std::int64_t> {
    for (std::size_t d = 0; d < p.devices.size(); ++d)
      if (p.devices[d]->info.id == id) return static_cast<std::int64_t>(d);
    return hal::Error{hal::Code::not_found, "device " + id + " is not one of this machine"};
  };
  for (const Pin& pin : request.pins) {
    HAL_TRY(std::int64_t d, index(pin.device));
    for (std::size_t u : pin.units) {
      if (u >= request.units.size())
        return hal::Error{hal::Code::invalid_argument,
                          "pin of unit " + std::to_string(u) + " of " + std::to_string(request.units.size())};
      if (p.pinned[u] >= 0 && p.pinned[u] != d)
        return hal::Error{hal::Code::invalid_argument, request.units[u].name + " is pinned to both " +
                                                           p.devices[static_cast<std::size_t>(p.pinned[u])]->info.id +
                                                           " and " + pin.device};
      p.pinned[u] = d;
    }
  }
  if (!request.device.empty()) {
    HAL_TRY(std::int64_t d, index(request.device));
    for (auto& pin : p.pinned)
      if (pin < 0) pin = d;
  }
  return hal::ok();
}

// A pool each chip has; where a device may take less of it than all, a row of its own.
void set_rows(const probes::Machine& machine, Problem& p) {
  auto capacity = [](hal::Bytes budget, hal::Bytes total) { return budget ? budget : total; };
  for (const probes::Pool& pool : machine.pools) p.rows.push_back({pool.name, "", capacity(pool.budget, pool.total)});
  p.rows_of.resize(p.devices.size());
  for (std::size_t d = 0; d < p.devices.size(); ++d) {
    const std::string& pool = machine.chip_of(p.devices[d]->info.id)->pool;
    for (std::size_t r = 0; r < machine.pools.size(); ++r)
      if (p.rows[r].name == pool) p.rows_of[d].push_back(r);
    hal::Bytes own = capacity(p.devices[d]->budget, p.devices[d]->total);
    if (own && own < p.rows[p.rows_of[d].front()].capacity) {
      p.rows_of[d].push_back(p.rows.size());
      p.rows.push_back({p.devices[d]->info.id, pool, own});
    }
  }
}

std::string reasons(const std::vector<Refusal>& refusals) {
  std::string text;
  for (const Refusal& r : refusals) text += "\n  " + r.device + " (" + r.code + "): " + r.detail;
  return text;
}

}  // namespace

Claims::Claims(const ClaimFunction& claim) : ask_(claim) {
  static const kernels::Library library;
  if (!ask_) ask_ = [](const hal::Info& info, const hal::Segment& s) { return library.claim(s, info); };
}

const hal::Claim& Claims::of(const hal::Info& device, const PlanRequest& request, std::size_t unit) {
  const auto [known, fresh] = known_.try_emplace({device.id, unit});
  if (fresh) known->second = ask_(device, request.units[unit].segment);
  return known->second;
}

hal::Claim Claims::of_part(const hal::Info& device, const hal::Segment& part) const { return ask_(device, part); }

hal::Result<Problem> pose(const probes::Machine& machine, CostModel& cost, Claims& claims, const PlanRequest& request,
                          std::int64_t groups) {
  if (request.units.empty()) return hal::Error{hal::Code::invalid_argument, "a plan for a model without units"};
  if (request.sessions < 1 || request.context < 1 || request.prompt < 1 || request.chunk < 1 || request.rows < 1)
    return hal::Error{hal::Code::invalid_argument, "a plan for " + std::to_string(request.sessions) +
                                                       " sessions, context " + std::to_string(request.context) +
                                                       ", prompt " + std::to_string(request.prompt) + ", chunk " +
                                                       std::to_string(request.chunk) + ", rows " +
                                                       std::to_string(request.rows) + ": all must be at least 1"};
  Problem p;
  p.groups = groups;
  p.devices = machine.doors();
  if (p.devices.empty())
    return hal::Error{hal::Code::unavailable, "this machine has no device; see: switchyard doctor"};
  if (p.devices.size() > 64)
    return hal::Error{hal::Code::unsupported, std::to_string(p.devices.size()) + " devices; a plan takes at most 64"};
  set_rows(machine, p);
  HAL_CHECK(set_pins(request, p));
  p.may_fall_back = request.limits.fall_back();
  for (const probes::Door* d : p.devices) p.power.push_back(cost.power(d->info.id));
  p.rest = cost.rest();
  const bool throughput = request.mode == Mode::throughput;
  const std::int64_t sequences = throughput ? (request.sessions + groups - 1) / groups : 1;
  const std::int64_t rows = throughput ? request.rows : 1;
  p.step = {sequences * rows, sequences, std::max<std::int64_t>(request.context - rows, 0), sequences};
  p.chunk = std::min(request.chunk, request.prompt);
  p.chunks = (request.prompt + p.chunk - 1) / p.chunk;
  const Step prefill{p.chunk, 1, p.chunk * (p.chunks - 1) / 2, 1};  // the middle of the prompt
  bool any_measured = false;
  Holdings holds;
  for (const Unit& unit : request.units) {
    auto& row = p.places.emplace_back();
    holds.emplace_back();
    const auto u = p.places.size() - 1;
    std::vector<Refusal> all;
    for (std::size_t d = 0; d < p.devices.size(); ++d) {
      const hal::Info& info = p.devices[d]->info;
      Place& place = row.emplace_back();
      const hal::Claim& offer = claims.of(info, request, u);
      place.refusals = consider(info, unit.segment, offer);
      for (const hal::Holding& h : offer.holds) place.bytes += h.bytes;
      place.bytes = std::max(place.bytes, cost.resident(info.id, unit.segment)) + session_bytes(request, unit);
      place.scratch = offer.scratch;
      holds.back().push_back(offer.holds);
      place.fixed_shapes =
          std::any_of(offer.groups.begin(), offer.groups.end(), [](const hal::Group& g) { return g.fixed_shapes; });
      Step step = p.step;
      if (place.fixed_shapes) step = {rows, 1, step.past, 1};
      auto decode = cost.unit(info.id, unit.segment, step), whole = cost.unit(info.id, unit.segment, prefill);
      if (decode && whole) {
        any_measured = true;
        place.decode = *decode;
        if (place.fixed_shapes) place.decode.seconds *= static_cast<double>(sequences);
        place.prefill = *whole;
        place.prefill.seconds *= static_cast<double>(p.chunks);
      } else {
        place.refusals.push_back({info.id, "not_measured", (decode ? whole : decode).error().message});
      }
      place.possible = place.refusals.empty();
      if (!place.possible) all.insert(all.end(), place.refusals.begin(), place.refusals.end());
    }
    if (std::none_of(row.begin(), row.end(), [](const Place& place) { return place.possible; })) {
      if (!any_measured &&
          std::all_of(all.begin(), all.end(), [](const Refusal& r) { return r.code == "not_measured"; }))
        return hal::Error{hal::Code::unavailable,
                          "no device of this machine has been measured; run: switchyard profile"};
      return hal::Error{hal::Code::unsupported, "no device takes " + unit.name + ":" + reasons(all)};
    }
    if (request.strict && p.pinned[u] >= 0 && !row[static_cast<std::size_t>(p.pinned[u])].possible)
      return hal::Error{hal::Code::unsupported,
                        "strict: " + unit.name + " must run on " +
                            p.devices[static_cast<std::size_t>(p.pinned[u])]->info.id +
                            ", which declines it:" + reasons(row[static_cast<std::size_t>(p.pinned[u])].refusals)};
  }
  HAL_CHECK(check_limits(request, p));
  share_copies(holds, p);
  set_fixed(request, p);
  return p;
}

}  // namespace switchyard::scheduler
