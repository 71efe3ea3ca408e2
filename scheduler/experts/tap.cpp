#include "scheduler/experts/tap.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;
using Role = models::Binding::Role;

Status RoutingTap::bind(Device& device, const models::ModelSegment& plan, std::int64_t first, std::int64_t rows,
                        std::int64_t computed, Run& run) {
  const Bytes align = std::max<Bytes>(device.info().limits.align, 4);
  Bytes end = 0;
  std::vector<Taken> here;
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].role != Role::routing) continue;
    const Tensor& t = plan.segment.values[plan.segment.outputs[i]];
    const Bytes bytes = static_cast<Bytes>(computed) * static_cast<Bytes>(t.shape[1].max) * 4;
    here.push_back({plan.outputs[i].layer, first, rows, {nullptr, end, bytes}});
    end += (bytes + align - 1) / align * align;
  }
  if (here.empty()) return ok();
  if (runs_ == buffers_.size()) buffers_.push_back(nullptr);
  BufferRef& buffer = buffers_[runs_++];
  if (!buffer || buffer->bytes() < end) {
    HAL_TRY(buffer, device.allocate({end, Memory::readback, "routing"}));
  }
  for (Taken& t : here) {
    t.slice.buffer = buffer;
    run.slices.push_back(t.slice);
    taken_.push_back(t);
  }
  return ok();
}

Status RoutingTap::read(StepRouting& to) const {
  for (const Taken& t : taken_) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(t.rows * to.shape.top_k));
    HAL_CHECK(t.slice.buffer->read(t.slice.offset, std::as_writable_bytes(std::span(ids))));
    place_choices(ids, t.layer, t.first, to);
  }
  return ok();
}

}  // namespace switchyard::scheduler
