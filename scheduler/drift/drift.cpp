#include "scheduler/drift/drift.h"

#include <algorithm>
#include <cmath>

#include "probes/profile.h"

namespace switchyard::scheduler {
namespace {

double median(std::vector<double> x) { return probes::summarize(std::move(x), 1, 0).median; }

// Standard deviation of a normal distribution with the same median of distances from `center`.
double noise_of(std::vector<double> x, double center) {
  for (double& v : x) v = std::abs(v - center);
  return 1.4826 * median(std::move(x));
}

// By how much the noise of a long mean exceeds that of independent samples: slow noise looks like drift to a CUSUM.
double slowness(const std::vector<double>& x, double center, double reach) {
  constexpr double most = 0.8;  // of the correlation of neighbours
  double square = 0, product = 0, last = 0;
  for (double v : x) {
    const double d = std::clamp(v - center, -reach, reach);
    square += d * d;
    product += d * last;
    last = d;
  }
  const double correlation = square > 0 ? std::clamp(product / square, 0.0, most) : 0;
  return std::sqrt((1 + correlation) / (1 - correlation));
}

// Of the samples that are not strange: nearer to the truth than the median.
double mean_within(const std::vector<double>& x, double center, double distance) {
  double sum = 0;
  int n = 0;
  for (double v : x)
    if (std::abs(v - center) <= distance) sum += v, ++n;
  return n ? sum / n : center;
}

}  // namespace

const char* to_string(Drift drift) {
  switch (drift) {
    case Drift::learning: return "learning";
    case Drift::steady: return "steady";
    case Drift::slower: return "slower";
    case Drift::faster: return "faster";
  }
  return "unknown";
}

void DriftDetector::settle() {
  const double rough = median(recent_);
  const double floor = std::log(options_.worth) / 2;
  if (!known_) {
    const double noise = noise_of(recent_, rough);
    noise_ = std::max(noise * slowness(recent_, rough, options_.clip * noise), floor);
  }
  center_ = mean_within(recent_, rough, options_.clip * noise_);
  if (!known_) baseline_ = center_;
  known_ = settled_ = true;
  set_level(center_);
  if (!away_) center_ = level_ = baseline_;
  recent_.clear();
}

void DriftDetector::set_level(double level) {
  level_ = level;
  away_ = std::abs(level_ - baseline_) >= std::log(options_.worth) / 2;
}

bool DriftDetector::add(double predicted, double measured) {
  const double x = std::log(measured / predicted);
  if (!(predicted > 0 && measured > 0) || !std::isfinite(x)) return false;
  ++samples_;
  if (!settled_) {
    recent_.push_back(x);
    if (static_cast<int>(recent_.size()) >= (known_ ? options_.settle : options_.warm_up)) settle();
    return false;
  }
  const double reach = options_.clip * noise_;
  level_ += options_.weight * std::clamp(x - level_, -reach, reach);
  const double z = std::clamp((x - center_) / noise_, -options_.clip, options_.clip);
  up_ = std::max(0.0, up_ + z - options_.allowance);
  down_ = std::max(0.0, down_ - z - options_.allowance);
  if (up_ == 0 && down_ == 0) {
    recent_.clear();
    return false;
  }
  if (recent_.size() == static_cast<std::size_t>(options_.warm_up)) recent_.erase(recent_.begin());
  recent_.push_back(x);
  if (std::max(up_, down_) <= options_.alarm) return false;
  // The samples since the sum left zero are Page's estimate of what came after the change.
  set_level(median(recent_));
  recent_.clear();
  up_ = down_ = 0;
  settled_ = false;
  ++alarms_;
  return true;
}

void DriftDetector::retry() {
  if (!known_) return;
  center_ = level_ = baseline_;
  settled_ = true;
  away_ = false;
  up_ = down_ = 0;
  recent_.clear();
}

Drift DriftDetector::state() const {
  if (!known_) return Drift::learning;
  if (!away_) return Drift::steady;
  return level_ > baseline_ ? Drift::slower : Drift::faster;
}

double DriftDetector::factor() const {
  const Drift s = state();
  return s == Drift::slower || s == Drift::faster ? std::exp(level_ - baseline_) : 1.0;
}

double DriftDetector::usual() const { return known_ ? std::exp(baseline_) : 1.0; }

bool DriftMonitor::add(const std::string& device, const std::string& part, double predicted, double measured) {
  Part& p = devices_[device].try_emplace(part, Part{DriftDetector(options_), 0}).first->second;
  if (predicted > 0) p.predicted = predicted;
  return p.detector.add(predicted, measured);
}

void DriftMonitor::retry(const std::string& device) {
  if (const auto found = devices_.find(device); found != devices_.end())
    for (auto& [name, part] : found->second) part.detector.retry();
}

const DriftDetector* DriftMonitor::find(const std::string& device, const std::string& part) const {
  const auto d = devices_.find(device);
  if (d == devices_.end()) return nullptr;
  const auto p = d->second.find(part);
  return p == d->second.end() ? nullptr : &p->second.detector;
}

std::map<std::string, double> DriftMonitor::factors() const {
  std::map<std::string, double> all;
  for (const auto& [device, parts] : devices_) {
    double usual = 0, now = 0;
    for (const auto& [name, p] : parts) {
      const double seconds = p.predicted * p.detector.usual();
      usual += seconds;
      now += seconds * p.detector.factor();
    }
    all[device] = usual > 0 ? now / usual : 1;
  }
  return all;
}

}  // namespace switchyard::scheduler
