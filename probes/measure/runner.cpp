#include "probes/measure/runner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/harness.h"

namespace switchyard::probes {
namespace {

using Clock = std::chrono::steady_clock;
constexpr hal::Bytes evict_bytes = 64u << 20;       // read, and as many written: more than a last-level cache holds
constexpr auto patience = std::chrono::minutes(2);  // for one submission

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

std::vector<std::byte> filler(const hal::Tensor& tensor, std::uint64_t seed) {
  const hal::Block block = hal::block(tensor.dtype);
  const auto total = static_cast<std::size_t>(hal::max_elements(tensor)) / block.elements;
  // A prime number of blocks, so that the rows of a matrix differ from one another.
  const std::size_t some = std::min<std::size_t>(total, block.elements == 1     ? 65521
                                                        : block.elements >= 256 ? 251
                                                                                : 2039);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> values(some * block.elements);
  for (double& v : values) v = tensor.dtype == hal::DType::i32 ? 0 : uniform(random);
  hal::Tensor tile{tensor.dtype, {hal::Dim::fixed(static_cast<std::int64_t>(values.size()))}};
  std::vector<std::byte> pattern = kernels::encode(tile, {}, values), bytes(hal::max_bytes(tensor));
  for (std::size_t at = 0; at < bytes.size(); at += pattern.size())
    std::copy_n(pattern.begin(), std::min(pattern.size(), bytes.size() - at),
                bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return bytes;
}

hal::Result<std::unique_ptr<Runner>> Runner::make(hal::Device& device, hal::Segment segment) {
  std::unique_ptr<Runner> r(new Runner(device));
  for (hal::Constant& c : segment.constants) {
    if (!c.data.empty()) continue;
    auto owned = std::make_shared<std::vector<std::byte>>(filler(segment.values[c.value], c.value + 1));
    c.data = *owned;
    c.owner = owned;
    // Not a key of a model's: the same only for the same filler.
    c.key = 0x66696c6cull << 32 | (hal::max_bytes(segment.values[c.value]) * 131 + c.value * 17 +
                                   static_cast<std::uint64_t>(segment.values[c.value].dtype));
  }
  auto begin = Clock::now();
  HAL_TRY(r->program_, device.compile(segment, {}));
  r->compile_seconds_ = seconds_since(begin);
  HAL_TRY(r->queue_, device.create_queue(hal::QueueKind::any));
  HAL_TRY(r->timeline_, device.create_timeline(0));
  r->run_.program = r->program_;
  for (const auto* list : {&segment.inputs, &segment.states, &segment.outputs})
    for (auto v : *list) {
      hal::Bytes bytes = std::max<hal::Bytes>(hal::max_bytes(segment.values[v]), 4);
      HAL_TRY(hal::BufferRef buffer, device.allocate({bytes, hal::Memory::device, "measure"}));
      r->run_.slices.push_back({buffer, 0, bytes});
    }
  if (r->program_->scratch()) {
    HAL_TRY(r->run_.scratch.buffer, device.allocate({r->program_->scratch(), hal::Memory::device, "scratch"}));
    r->run_.scratch.bytes = r->program_->scratch();
  }
  for (hal::Constant& c : segment.constants) {
    c.data = {};
    c.owner.reset();  // the device has its copy, or holds the owner itself
  }
  r->segment_ = std::move(segment);
  return r;
}

hal::Status Runner::load(const std::vector<std::int64_t>& dims, const std::map<std::uint32_t, kernels::Fill>& fills) {
  run_.dims = dims;
  std::mt19937_64 random(1);
  std::size_t slot = 0;
  for (auto v : segment_.inputs) {
    const hal::Tensor& t = segment_.values[v];
    hal::Slice& slice = run_.slices[slot++];
    slice.bytes = std::max<hal::Bytes>(hal::tensor_bytes(t, dims), 4);
    if (slice.bytes > slice.buffer->bytes())
      return hal::Error{hal::Code::invalid_argument,
                        "input " + std::to_string(slot - 1) + " needs " + std::to_string(slice.bytes) +
                            " bytes at these dims; the segment's largest is " + std::to_string(slice.buffer->bytes())};
    kernels::Fill fill = fills.count(v) ? fills.at(v) : kernels::Fill{};
    std::vector<double> values = fill.values;
    if (values.empty()) {
      std::uniform_real_distribution<double> uniform(fill.lo, fill.hi);
      values.resize(static_cast<std::size_t>(hal::elements(t, dims)));
      for (double& x : values) x = t.dtype == hal::DType::i32 ? std::floor(uniform(random)) : uniform(random);
    }
    values.resize(static_cast<std::size_t>(hal::elements(t, dims)));
    std::vector<std::byte> bytes = kernels::encode(t, dims, values);
    if (!bytes.empty()) HAL_CHECK(slice.buffer->write(0, bytes));
  }
  for (std::size_t i = 0; i < segment_.states.size(); ++i) {
    const hal::Slice& slice = run_.slices[slot++];
    HAL_CHECK(slice.buffer->write(0, std::vector<std::byte>(slice.buffer->bytes())));
  }
  for (auto v : segment_.outputs) {
    hal::Slice& slice = run_.slices[slot++];
    slice.bytes = std::max<hal::Bytes>(hal::tensor_bytes(segment_.values[v], dims), 4);
  }
  return hal::ok();
}

hal::Result<Runner::Timed> Runner::submit(int runs) {
  auto timing = std::make_shared<hal::Timing>();
  std::vector<hal::Command> commands(static_cast<std::size_t>(runs), hal::Command{run_});
  auto begin = Clock::now();
  HAL_CHECK(queue_->submit({{}, std::move(commands), {{timeline_, ++submitted_}}, timing}));
  HAL_CHECK(timeline_->wait(submitted_, patience));
  return Timed{std::max(0.0, std::chrono::duration<double>(timing->end - timing->begin).count()), seconds_since(begin)};
}

hal::Status Runner::evict() {
  if (!another_) {
    HAL_TRY(other_, device_.allocate({evict_bytes, hal::Memory::device, "other"}));
    HAL_TRY(another_, device_.allocate({evict_bytes, hal::Memory::device, "another"}));
  }
  HAL_CHECK(queue_->submit(
      {{}, {hal::Copy{{other_, 0, evict_bytes}, {another_, 0, evict_bytes}}}, {{timeline_, ++submitted_}}, nullptr}));
  return timeline_->wait(submitted_, patience);
}

hal::Result<Stat> Runner::time(const Effort& effort) {
  auto began = Clock::now();
  double once = 0;
  int warmup = 0;
  // A slow program needs no warm-up beyond its first run.
  do {
    HAL_TRY(Timed t, submit(1));
    once = t.device > 0 ? t.device : t.host;
    ++warmup;
  } while (warmup < effort.warmup && seconds_since(began) < effort.limit_seconds / 4);
  int runs =
      effort.cold ? 1 : std::clamp(static_cast<int>(std::ceil(effort.sample_seconds / std::max(once, 1e-7))), 1, 200);
  std::vector<double> samples;
  while (samples.empty() ||
         (static_cast<int>(samples.size()) < effort.samples && seconds_since(began) < effort.limit_seconds)) {
    if (effort.cold) HAL_CHECK(evict());
    HAL_TRY(Timed t, submit(runs));
    samples.push_back((t.device > 0 ? t.device : t.host) / runs);
  }
  return summarize(std::move(samples), runs, warmup);
}

hal::Result<Stat> Runner::time_round_trip(const Effort& effort) {
  auto began = Clock::now();
  for (int i = 0; i < effort.warmup; ++i)
    if (auto t = submit(1); !t) return t.error();
  std::vector<double> samples;
  while (samples.empty() ||
         (static_cast<int>(samples.size()) < 5 * effort.samples && seconds_since(began) < effort.limit_seconds)) {
    HAL_TRY(Timed t, submit(1));
    samples.push_back(t.host);
  }
  return summarize(std::move(samples), 1, effort.warmup);
}

hal::Result<double> Runner::rate(double seconds) {
  const auto began = Clock::now();
  int runs = 0;
  do {
    if (auto t = submit(1); !t) return t.error();
    ++runs;
  } while (seconds_since(began) < seconds);
  return runs / seconds_since(began);
}

}  // namespace switchyard::probes
