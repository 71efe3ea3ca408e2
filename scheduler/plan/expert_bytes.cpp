// What a unit with its experts on two devices takes of both.
#include "scheduler/experts/split.h"
#include "scheduler/plan/expert_options.h"
#include "scheduler/plan/problem.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

constexpr std::size_t far = 2;  // of split_experts_parallel()

hal::Error refuse(const hal::Info& info, const std::string& why) {
  return {hal::Code::unsupported, "experts on two devices: " + info.id + " " + why};
}

// Weights and scratch of a part.
hal::Result<hal::Bytes> program_bytes(const hal::Info& info, const hal::Segment& part, const Claims& claims) {
  const hal::Claim offer = claims.of_part(info, part);
  if (!offer.whole())
    return refuse(info, "declines a part" + (offer.declined.empty() ? "" : ": " + offer.declined.front().why));
  for (const hal::Group& g : offer.groups)
    if (g.fixed_shapes) return refuse(info, "takes fixed shapes only");
  for (const hal::Constant& c : part.constants)
    if (const hal::Bytes bytes = hal::max_bytes(part.values[c.value]);
        info.limits.max_buffer && bytes > info.limits.max_buffer)
      return refuse(info, "has no buffer for a weight of " + gigabytes(bytes) + ", its largest has " +
                              gigabytes(info.limits.max_buffer));
  hal::Bytes bytes = offer.scratch;
  for (const hal::Holding& h : offer.holds) bytes += h.bytes;
  return bytes;
}

}  // namespace

hal::Result<ExpertBytes> expert_bytes(const hal::Info& own, const hal::Info& other, const hal::Segment& unit,
                                      const std::vector<bool>& chosen, const PlanRequest& request,
                                      const Claims& claims) {
  hal::Segment shapes = unit;
  for (hal::Constant& c : shapes.constants) c = {c.value, c.key, {}, nullptr, std::nullopt};  // nothing to gather
  HAL_TRY(ExpertSplit split, split_experts_parallel(shapes, chosen));
  ExpertBytes sum;
  for (std::size_t p = 0; p < split.parts.size(); ++p) {
    const ExpertSplit::Part& part = split.parts[p];
    hal::Bytes& bytes = p == far ? sum.other : sum.own;
    HAL_TRY(const hal::Bytes program, program_bytes(p == far ? other : own, part.segment, claims));
    bytes += program;
    auto add = [&](std::uint32_t v) {
      bytes += hal::tensor_bytes(part.segment.values[v], std::vector<std::int64_t>{request.chunk, 1, 1});
    };
    for (std::size_t i = 0; i < part.inputs.size(); ++i) {
      const std::size_t from = part.inputs[i].part;
      if (from == ExpertSplit::whole || (from == far) != (p == far)) add(part.segment.inputs[i]);
    }
    for (auto v : part.segment.outputs) add(v);
  }
  return sum;
}

}  // namespace switchyard::scheduler
