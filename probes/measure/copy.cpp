#include <algorithm>

#include "probes/measure/measure.h"

namespace switchyard::probes {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// 4 KiB (a hidden row) to `largest`, by factors of 16.
std::vector<hal::Bytes> sizes(hal::Bytes largest) {
  std::vector<hal::Bytes> all;
  for (hal::Bytes b = 4096; b < largest; b *= 16) all.push_back(b);
  all.push_back(largest);
  return all;
}

hal::Result<Stat> repeat(const Effort& effort, const std::function<hal::Status()>& once) {
  auto began = Clock::now();
  for (int i = 0; i < effort.warmup; ++i) HAL_CHECK(once());
  std::vector<double> samples;
  while (samples.empty() ||
         (static_cast<int>(samples.size()) < 3 * effort.samples && seconds_since(began) < effort.limit_seconds / 4)) {
    auto begin = Clock::now();
    HAL_CHECK(once());
    samples.push_back(seconds_since(begin));
  }
  return summarize(std::move(samples), 1, effort.warmup);
}

struct Line {
  std::shared_ptr<hal::Queue> queue;
  hal::TimelineRef timeline;
  std::uint64_t submitted = 0;

  hal::Status copy(const hal::BufferRef& from, const hal::BufferRef& to, hal::Bytes bytes) {
    HAL_CHECK(queue->submit({{}, {hal::Copy{{from, 0, bytes}, {to, 0, bytes}}}, {{timeline, ++submitted}}, nullptr}));
    return timeline->wait(submitted, std::chrono::minutes(2));
  }
};

hal::Result<Line> open_line(hal::Device& device) {
  Line line;
  HAL_TRY(line.queue, device.create_queue(hal::QueueKind::any));
  HAL_TRY(line.timeline, device.create_timeline(0));
  return line;
}

}  // namespace

hal::Result<CopyCurves> measure_copies(hal::Device& device, const Effort& effort, hal::Bytes largest) {
  HAL_TRY(Line line, open_line(device));
  HAL_TRY(hal::BufferRef up, device.allocate({largest, hal::Memory::upload, "upload"}));
  HAL_TRY(hal::BufferRef there, device.allocate({largest, hal::Memory::device, "there"}));
  HAL_TRY(hal::BufferRef back, device.allocate({largest, hal::Memory::readback, "readback"}));
  std::vector<std::byte> host(largest, std::byte{1});
  CopyCurves curves;
  for (hal::Bytes bytes : sizes(largest)) {
    std::span<std::byte> part(host.data(), bytes);
    HAL_TRY(Stat in, repeat(effort, [&]() -> hal::Status {
              HAL_CHECK(up->write(0, part));
              return line.copy(up, there, bytes);
            }));
    HAL_TRY(Stat out, repeat(effort, [&]() -> hal::Status {
              HAL_CHECK(line.copy(there, back, bytes));
              return back->read(0, part);
            }));
    curves.to_device.points.push_back({bytes, in});
    curves.to_host.points.push_back({bytes, out});
  }
  return curves;
}

hal::Result<CopyCurve> measure_link(hal::Device& from, hal::Device& to, const Effort& effort, hal::Bytes largest) {
  HAL_TRY(Line line, open_line(to));
  HAL_TRY(hal::BufferRef source, from.allocate({largest, hal::Memory::device, "source"}));
  HAL_TRY(hal::BufferRef target, to.allocate({largest, hal::Memory::device, "target"}));
  CopyCurve curve;
  for (hal::Bytes bytes : sizes(largest)) {
    HAL_TRY(Stat s, repeat(effort, [&] { return line.copy(source, target, bytes); }));
    curve.points.push_back({bytes, s});
  }
  return curve;
}

}  // namespace switchyard::probes
