#include "scheduler/serve/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace switchyard::scheduler {
namespace {

using namespace hal;
using Log = std::span<const std::int32_t>;
constexpr float infinity = std::numeric_limits<float>::infinity();

Error refused(const std::string& what) { return {Code::invalid_argument, "sampling: " + what}; }

struct Item {
  float logit;
  std::int32_t token;
  double weight;  // e^((logit - largest) / temperature)
};
bool before(const Item& a, const Item& b) { return a.logit > b.logit || (a.logit == b.logit && a.token < b.token); }

// The k first of the items, in any order. Items come by rising token, so that of equal logits those seen first stay:
// whatever is not above the k-th of those seen so far is dropped at once, and few are moved when k is small.
class Largest {
 public:
  explicit Largest(std::size_t k) : k_(k), room_(std::max<std::size_t>(2 * k, 1024)) {}
  void add(float logit, std::int32_t token) {
    if (full_ && !(logit > least_)) return;
    items_.push_back({logit, token, 0});
    if (items_.size() == room_) cut();
  }
  std::vector<Item> take() {
    if (items_.size() > k_) cut();
    return std::move(items_);
  }

 private:
  void cut() {
    const auto last = items_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(items_.begin(), last, items_.end(), before);
    least_ = last->logit;
    full_ = true;
    items_.resize(k_);
  }
  std::size_t k_, room_;
  bool full_ = false;
  float least_ = 0;
  std::vector<Item> items_;
};

double sum_of(std::span<const Item> items) {
  double sum = 0;
  for (const Item& item : items) sum += item.weight;
  return sum;
}

bool enough(double sum, double wanted, bool exceed) { return exceed ? sum > wanted : sum >= wanted; }

// Cuts the items to the first so many of their descending order that their sum reaches (or exceeds) `wanted`; all, if
// none does. The last one of the order stands last, those before it in any order. Only as much is sorted as must be.
void cut(std::vector<Item>& items, double wanted, bool exceed) {
  auto low = items.begin(), high = items.end();  // the last one is in [low, high)
  double sum = 0;                                // of those before low
  while (high - low > 64) {
    const auto middle = low + (high - low) / 4;
    std::nth_element(low, middle, high, before);
    const double more = sum_of({low, middle});
    if (enough(sum + more, wanted, exceed)) {
      high = middle;
    } else {
      sum += more;
      low = middle;
    }
  }
  std::sort(low, high, before);
  while (low != high && !enough(sum, wanted, exceed)) sum += (low++)->weight;
  items.erase(low, items.end());
}

// A row as weights.
class Weights {
 public:
  Weights(std::span<const float> logits, float top, double temperature)
      : logits_(logits), top_(static_cast<double>(top)), temperature_(temperature) {}
  // Minus the logarithm of the weight.
  double depth(float logit) const {
    const double l = static_cast<double>(logit);
    return l == top_ ? 0 : (top_ - l) / temperature_;  // both may be infinite
  }
  double of(float logit) const { return std::exp(-depth(logit)); }
  double total() const {
    double sum = 0;
    for (float logit : logits_) sum += of(logit);
    return sum;
  }
  // The k first; all of a depth up to `depth`.
  std::vector<Item> largest(std::size_t k, double most) const {
    Largest largest(k);
    for (std::size_t i = 0; i < logits_.size(); ++i)
      if (depth(logits_[i]) <= most) largest.add(logits_[i], static_cast<std::int32_t>(i));
    std::vector<Item> items = largest.take();
    for (Item& item : items) item.weight = of(item.logit);
    return items;
  }

 private:
  std::span<const float> logits_;
  double top_, temperature_;
};

// The sums of a row's weights by depth: where in the descending order a sum is reached is known without sorting more
// than one slice.
class Slices {
 public:
  Slices(std::span<const float> logits, const Weights& weights) : logits_(logits), weights_(weights), sums_(count) {
    for (float logit : logits) sums_[slice(logit)] += weights.of(logit);
  }
  double total() const { return std::accumulate(sums_.begin(), sums_.end(), 0.0); }
  // cut() of the whole row: the items of the slice it ends in, and the sum of those before them.
  std::pair<std::vector<Item>, double> cut_at(double wanted, bool exceed) const {
    std::size_t last = count - 1, s = 0;
    while (sums_[last] == 0) --last;
    double sum = 0;
    while (s < last && !enough(sum + sums_[s], wanted, exceed)) sum += sums_[s++];
    std::vector<Item> items;
    for (std::size_t i = 0; i < logits_.size(); ++i)
      if (slice(logits_[i]) == s && weights_.of(logits_[i]) > 0)
        items.push_back({logits_[i], static_cast<std::int32_t>(i), weights_.of(logits_[i])});
    cut(items, wanted - sum, exceed);
    return {std::move(items), sum};
  }

 private:
  static constexpr std::size_t count = 1024;
  static constexpr double per_depth = 32;  // the last slice begins at e^-32
  std::size_t slice(float logit) const {
    return static_cast<std::size_t>(std::min(weights_.depth(logit) * per_depth, static_cast<double>(count - 1)));
  }
  std::span<const float> logits_;
  const Weights& weights_;
  std::vector<double> sums_;
};

std::int32_t draw(std::span<const float> logits, float top, const Sampling& s, double random) {
  const Weights weights(logits, top, s.temperature);
  const bool top_k = s.top_k > 0 && static_cast<std::size_t>(s.top_k) < logits.size();
  if (!top_k && s.min_p == 0) {
    const Slices slices(logits, weights);
    double set = slices.total();
    if (s.top_p < 1) {
      const auto [items, sum] = slices.cut_at(s.top_p * set, false);
      set = sum + sum_of(items);
    }
    return slices.cut_at(random * set, true).first.back().token;
  }
  const double deepest = s.min_p > 0 ? -std::log(s.min_p) + 1e-6 : std::numeric_limits<double>::max();
  std::vector<Item> items = weights.largest(top_k ? static_cast<std::size_t>(s.top_k) : logits.size(), deepest);
  std::erase_if(items, [&](const Item& item) { return item.weight == 0 || item.weight < s.min_p; });
  if (s.top_p < 1) cut(items, s.top_p * weights.total(), false);
  cut(items, random * sum_of(items), true);
  return items.back().token;
}

// A finite logit stays finite, others stay what they are.
float changed(float logit, double to) {
  constexpr double most = std::numeric_limits<float>::max();
  return std::isfinite(logit) ? static_cast<float>(std::clamp(to, -most, most)) : logit;
}

Status penalize(std::span<float> logits, Log log, const Sampling& s) {
  const auto window = std::min(log.size(), static_cast<std::size_t>(s.repetition_window));
  std::vector<std::int32_t> seen(log.end() - static_cast<std::ptrdiff_t>(window), log.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (std::int32_t token : seen) {
    if (token < 0 || static_cast<std::size_t>(token) >= logits.size())
      return refused("token " + std::to_string(token) + " is in the log, the vocabulary has " +
                     std::to_string(logits.size()));
    float& logit = logits[static_cast<std::size_t>(token)];
    const double l = static_cast<double>(logit);
    logit = changed(logit, l > 0 ? l / s.repetition_penalty : l * s.repetition_penalty);
  }
  return ok();
}

Status apply(const TokenMask& mask, std::span<float> logits, Log log) {
  std::vector<std::uint8_t> allowed(logits.size(), 1);
  try {
    mask(log, allowed);
  } catch (const std::exception& e) {
    return refused("the mask's callback threw: " + std::string(e.what()));
  } catch (...) {
    return refused("the mask's callback threw what is no std::exception");
  }
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = allowed[i] ? logits[i] : -infinity;
  const auto left = std::count_if(allowed.begin(), allowed.end(), [](std::uint8_t a) { return a != 0; });
  if (left == 0) return refused("no token left: the mask allows none of " + std::to_string(logits.size()));
  return ok();
}

}  // namespace

Status check(const Sampling& s, std::int64_t vocab) {
  const auto number = [](double x) { return std::to_string(x); };
  if (vocab < 1 || vocab > std::numeric_limits<std::int32_t>::max())
    return refused("vocabulary of " + std::to_string(vocab) + " tokens, expected 1 to 2^31 - 1");
  if (!(s.temperature >= 0 && std::isfinite(s.temperature)))
    return refused("temperature is " + number(s.temperature) + ", expected 0 (greedy) or more");
  if (s.top_k < 0) return refused("top_k is " + std::to_string(s.top_k) + ", expected 0 (all) or more");
  if (!(s.top_p > 0 && s.top_p <= 1))
    return refused("top_p is " + number(s.top_p) + ", expected more than 0, at most 1 (all)");
  if (!(s.min_p >= 0 && s.min_p <= 1)) return refused("min_p is " + number(s.min_p) + ", expected 0 (all) to 1");
  if (!(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty)))
    return refused("repetition_penalty is " + number(s.repetition_penalty) + ", expected more than 0; 1 is none");
  if (s.repetition_window < 0)
    return refused("repetition_window is " + std::to_string(s.repetition_window) + ", expected 0 (none) or more");
  for (const auto& [token, bias] : s.bias) {
    if (token < 0 || token >= vocab)
      return refused("bias of token " + std::to_string(token) + ", the vocabulary has " + std::to_string(vocab));
    if (std::isnan(bias) || bias == infinity)
      return refused("bias of token " + std::to_string(token) + " is " + std::to_string(bias) +
                     ", expected a number or -inf");
  }
  return ok();
}

Result<std::int32_t> choose(std::span<const float> logits, Log log, const Sampling& s, const TokenMask& mask) {
  HAL_CHECK(check(s, static_cast<std::int64_t>(logits.size())));
  const auto nan = [](float logit) { return std::isnan(logit); };
  if (const auto count = std::count_if(logits.begin(), logits.end(), nan))
    return refused("the logit of token " +
                   std::to_string(std::find_if(logits.begin(), logits.end(), nan) - logits.begin()) +
                   " is NaN, as are " + std::to_string(count) + " of " + std::to_string(logits.size()));
  std::vector<float> row(logits.begin(), logits.end());
  for (const auto& [token, bias] : s.bias) {
    float& logit = row[static_cast<std::size_t>(token)];
    logit = bias == -infinity ? bias : changed(logit, static_cast<double>(logit) + static_cast<double>(bias));
  }
  if (s.repetition_penalty != 1) HAL_CHECK(penalize(row, log, s));
  if (mask) HAL_CHECK(apply(mask, row, log));
  const auto largest = std::max_element(row.begin(), row.end());
  if (*largest == -infinity)
    return refused("no token left: the logits of all " + std::to_string(row.size()) + " are -inf" +
                   (mask || !s.bias.empty() ? ", by themselves, the mask or a bias" : ""));
  if (s.temperature == 0) return static_cast<std::int32_t>(largest - row.begin());
  return draw(row, *largest, s, uniform(s.seed, log.size()));
}

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0], b = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

double uniform(std::uint64_t seed, std::uint64_t position) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto random = philox4x32({low(position), low(position >> 32), 0, 0}, {low(seed), low(seed >> 32)});
  const std::uint64_t bits = std::uint64_t{random[0]} << 32 | random[1];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace switchyard::scheduler
