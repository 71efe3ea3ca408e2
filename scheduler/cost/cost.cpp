#include "scheduler/cost/cost.h"

#include <algorithm>
#include <cmath>

#include "kernels/library.h"
#include "probes/measure/step.h"

namespace switchyard::scheduler {

using probes::DeviceProfile;
using probes::Step;

const char* to_string(How how) {
  switch (how) {
    case How::measured: return "measured";
    case How::interpolated: return "interpolated";
    case How::ops: return "ops";
    case How::roofline: return "roofline";
  }
  return "unknown";
}

namespace {

constexpr double longest_step = 1e4;  // seconds of a unit: beyond it the profile is wrong

// Of an OpEntry or a Work: what to expect, so with the rate at which weights are read; a limit takes the best rate.
template <class Piece>
double roofline(const DeviceProfile& d, const Piece& p) {
  return std::max(p.bytes / d.read.per_second, p.flops / d.arithmetic(p.products));
}

double log2_distance(double a, double b) { return std::log2((1 + a) / (1 + b)); }

// How far two steps are apart; rows change what limits a device, so they weigh most.
double distance(const Step& a, const Step& b) {
  double rows = 2 * log2_distance(static_cast<double>(a.rows), static_cast<double>(b.rows));
  double sequences = log2_distance(static_cast<double>(a.sequences), static_cast<double>(b.sequences));
  double past = 0.5 * log2_distance(static_cast<double>(a.past), static_cast<double>(b.past));
  double logits = log2_distance(static_cast<double>(a.logits), static_cast<double>(b.logits));
  return rows * rows + sequences * sequences + past * past + logits * logits;
}

std::string percent(double x) { return std::to_string(static_cast<int>(std::lround(100 * x))) + " %"; }

}  // namespace

Limit limit_of(const DeviceProfile& rates, const hal::Segment& segment, const Step& step) {
  const hal::Segment s = probes::fitted(segment, step);
  const auto dims = probes::dims_of(step);
  Limit limit;
  for (const hal::Node& n : s.nodes) {
    const kernels::OpInfo* op = kernels::find_op(n.op);
    if (!op) continue;
    const kernels::Cost cost = op->cost(s, n, dims);
    const double memory = cost.bytes / rates.bandwidth(),
                 compute = cost.flops / rates.most_arithmetic(kernels::products_of(s, n));
    (memory > compute ? limit.memory : limit.compute) += std::max(memory, compute);
  }
  limit.seconds = limit.memory + limit.compute;
  return limit;
}

const std::string& CostModel::key_of(const hal::Segment& segment) {
  std::string& key = keys_[hal::hash(segment)];
  if (key.empty()) key = probes::unit_key(segment);
  return key;
}

const std::vector<CostModel::Work>& CostModel::work_of(const hal::Segment& segment, const Step& step) {
  auto [it, fresh] = work_.try_emplace({key_of(segment), {step.rows, step.sequences, step.past, step.logits}});
  if (!fresh) return it->second;
  hal::Segment s = probes::fitted(segment, step);
  auto dims = probes::dims_of(step);
  for (const hal::Node& n : s.nodes) {
    const kernels::OpInfo* op = kernels::find_op(n.op);
    kernels::Cost cost = op ? op->cost(s, n, dims) : kernels::Cost{};
    Work work{n.op, "", kernels::products_of(s, n), static_cast<double>(step.rows), cost.flops, cost.bytes};
    if (auto v = kernels::first_constant(s, n); v != hal::no_value) work.weights = hal::to_string(s.values[v].dtype);
    it->second.push_back(std::move(work));
  }
  return it->second;
}

double CostModel::roofline_of(const DeviceProfile& d, const hal::Segment& segment, const Step& step) {
  double seconds = 0;
  for (const Work& w : work_of(segment, step)) seconds += roofline(d, w);
  return seconds;
}

// Root mean square of the log of measured over roofline: of ops like one, or of all that was measured. 0: of nothing.
double CostModel::stray(const DeviceProfile& d, const probes::OpEntry* like) const {
  double sum = 0;
  int n = 0;
  for (const probes::OpEntry& o : d.ops) {
    if (like && (o.op != like->op || o.weights != like->weights || o.products != like->products)) continue;
    if (roofline(d, o) <= 0 || o.seconds.median <= 0) continue;
    const double off =
        std::log(o.seconds.median / roofline(d, o)) - (like ? std::log(like->seconds.median / roofline(d, *like)) : 0);
    sum += off * off;
    ++n;
  }
  return n ? std::sqrt(sum / n) : 0;
}

hal::Result<Estimate> CostModel::unit(const std::string& device, const hal::Segment& segment, const Step& asked) {
  const Step step = probes::relevant(segment, asked);
  const DeviceProfile* d = profile_.device(device);
  if (!d || d->read.per_second <= 0 || d->arithmetic(kernels::Products::f32) <= 0)
    return hal::Error{hal::Code::unavailable, "device " + device + " has not been measured; run: switchyard profile"};
  auto [known, fresh] =
      estimates_.try_emplace({device, key_of(segment), {step.rows, step.sequences, step.past, step.logits}});
  if (fresh) known->second = estimate(*d, segment, step);
  if (!(known->second.seconds <= longest_step))
    return hal::Error{hal::Code::unavailable, "by its profile, device " + device + " would take " +
                                                  std::to_string(known->second.seconds) + " s for one step of a unit"};
  return known->second;
}

Estimate CostModel::estimate(const DeviceProfile& d, const hal::Segment& segment, const Step& step) {
  const std::string& key = key_of(segment);
  const double limit = roofline_of(d, segment, step);

  struct Seen {  // the unit at another step
    Step step;
    double log_factor;  // of measured over roofline
  };
  std::vector<Seen> seen;
  for (const probes::UnitEntry& u : d.units) {
    if (u.key != key) continue;
    if (u.step == step)
      return {u.seconds.median, How::measured, u.seconds.noisy() ? "varied by " + percent(u.seconds.spread) : "",
              u.seconds.spread / 1.349};  // quartiles of a normal distribution are 1.349 deviations apart
    const double there = roofline_of(d, segment, u.step);
    if (there > 0 && u.seconds.median > 0) seen.push_back({u.step, std::log(u.seconds.median / there)});
  }
  // The factor at a step, from those measured near it; one of them may be left out.
  auto factor_at = [&](const Step& at, std::size_t without) {
    double weight = 0, sum = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (i == without) continue;
      const double near = 1 / (1e-9 + distance(at, seen[i].step));
      weight += near;
      sum += near * seen[i].log_factor;
    }
    return weight > 0 ? sum / weight : 0;
  };
  if (!seen.empty() && limit > 0) {
    double off = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) off += std::pow(seen[i].log_factor - factor_at(seen[i].step, i), 2);
    return {limit * std::exp(factor_at(step, seen.size())), How::interpolated,
            std::to_string(seen.size()) + " steps measured", std::sqrt(off / static_cast<double>(seen.size()))};
  }

  const std::vector<Work>& work = work_of(segment, step);
  double seconds = 0, by_ops = 0, off = 0;
  int missing = 0;
  for (const Work& w : work) {
    const probes::OpEntry* nearest = nullptr;
    double best = 0;
    for (const probes::OpEntry& o : d.ops) {
      if (o.op != w.op || o.weights != w.weights || o.products != w.products || roofline(d, o) <= 0 ||
          o.seconds.median <= 0)
        continue;
      double rows = log2_distance(w.rows, static_cast<double>(o.rows)), bytes = log2_distance(w.bytes, o.bytes);
      double far = 4 * rows * rows + bytes * bytes;
      if (!nearest || far < best) nearest = &o, best = far;
    }
    double t = roofline(d, w);
    if (nearest) {
      t *= nearest->seconds.median / roofline(d, *nearest);
      by_ops += t;
    } else {
      ++missing;
    }
    off += t * stray(d, nearest);
    seconds += t;
  }
  const std::optional<double> known_error = d.ops.empty() || seconds <= 0 ? std::nullopt : std::optional(off / seconds);
  if (by_ops > seconds / 2)
    return {seconds, How::ops,
            missing ? std::to_string(missing) + " of " + std::to_string(work.size()) + " ops by roofline" : "",
            known_error};
  return {limit, How::roofline,
          (d.read.seconds.measured() ? "measured bandwidth and arithmetic of " : "described rates of ") + d.id,
          d.ops.empty() ? std::nullopt : std::optional(stray(d, nullptr))};
}

double CostModel::slowed(const std::string& device, const std::string& beside, const hal::Segment& segment,
                         const Step& asked) {
  const DeviceProfile* d = profile_.device(device);
  const probes::Contention* c = profile_.beside(device, beside);
  if (!d || !c || device == beside) return 1;
  double memory = 0, all = 0;
  for (const Work& w : work_of(segment, probes::relevant(segment, asked))) {
    const double t = roofline(*d, w);
    all += t;
    if (w.bytes / d->read.per_second >= w.flops / d->arithmetic(w.products)) memory += t;
  }
  return all > 0 ? (memory * c->reads + (all - memory) * c->arithmetic) / all : 1;
}

hal::Bytes CostModel::resident(const std::string& device, const hal::Segment& segment) {
  const DeviceProfile* d = profile_.device(device);
  if (!d) return 0;
  const std::string& key = key_of(segment);
  hal::Bytes largest = 0;
  for (const probes::UnitEntry& u : d->units)
    if (u.key == key) largest = std::max(largest, u.resident);
  return largest;
}

std::optional<probes::Power> CostModel::power(const std::string& device) const {
  const DeviceProfile* d = profile_.device(device);
  return d ? d->power : std::nullopt;
}

Estimate CostModel::move(const std::string& from, const std::string& to, double bytes) const {
  if (from == to) return {0, How::measured, "", 0.0};
  if (const probes::Link* link = profile_.link(from, to); link && !link->copies.points.empty())
    return {link->copies.seconds(bytes), How::measured, link->path, {}};
  Estimate e{0, How::measured, "by way of the host", {}};
  for (bool out : {true, false}) {
    const std::string& id = out ? from : to;
    if (id.empty()) continue;
    const DeviceProfile* d = profile_.device(id);
    if (!d) continue;
    const probes::CopyCurve& curve = out ? d->to_host : d->to_device;
    if (curve.points.empty() || !curve.points.front().seconds.measured()) e.how = How::roofline;
    if (curve.points.empty()) {
      e.seconds += d->launch.median;
    } else {
      e.seconds += curve.seconds(bytes);
    }
  }
  return e;
}

}  // namespace switchyard::scheduler
