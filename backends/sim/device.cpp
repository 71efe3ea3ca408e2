#include "backends/sim/device.h"

#include <algorithm>

#include "backends/sim/timeline.h"
#include "hal/shared/host_queue.h"

namespace switchyard::backends::sim {

SimDevice::SimDevice(Description description, const Host& host) : state_(std::make_shared<State>()), host_(host) {
  state_->description = std::move(description);
}

Result<std::vector<Heap>> SimDevice::heaps() const {
  Heap heap = state_->description.heap;
  heap.used = state_->used;
  return std::vector<Heap>{heap};
}

Path SimDevice::path(const Device&) const { return Path::staged; }

Result<BufferRef> SimDevice::allocate(const BufferDesc& desc) {
  if (state_->lost) return Error{Code::device_lost, info().id + " was lost"};
  return SimBuffer::make(state_, desc);
}

Result<TimelineRef> SimDevice::create_timeline(std::uint64_t initial) {
  return TimelineRef(std::make_shared<SimTimeline>(initial));
}

Result<std::shared_ptr<Queue>> SimDevice::create_queue(QueueKind) {
  auto run = [state = state_](const Submission& submission) { return execute(*state, submission); };
  return std::shared_ptr<Queue>(std::make_shared<HostQueue>(run, state_));
}

Claim SimDevice::claim(const Segment& segment) const {
  Claim claim;
  if (!host_.kernels) {
    for (std::uint32_t n = 0; n < segment.nodes.size(); ++n)
      claim.declined.push_back({n, info().id + " was opened without kernels; it only moves bytes"});
    return claim;
  }
  claim = host_.kernels->claim(segment, info());
  const Description& d = state_->description;
  auto described = [&](const std::string& op) {
    return d.only_ops.empty() || std::any_of(d.only_ops.begin(), d.only_ops.end(),
                                             [&](const std::string& name) { return op.starts_with(name + "@"); });
  };
  for (Group& g : claim.groups) {
    std::erase_if(g.nodes, [&](std::uint32_t n) {
      if (described(segment.nodes[n].op)) return false;
      std::string list;
      for (const auto& name : d.only_ops) list += " " + name;
      claim.declined.push_back({n, info().id + " takes only:" + list});
      return true;
    });
    if (d.takes_graphs() && !g.nodes.empty() && static_cast<std::int64_t>(g.nodes.size()) < d.min_group_nodes) {
      for (auto n : g.nodes)
        claim.declined.push_back({n, info().id + " takes groups of at least " + std::to_string(d.min_group_nodes) +
                                         " nodes, this one has " + std::to_string(g.nodes.size())});
      g.nodes.clear();
    }
  }
  std::erase_if(claim.groups, [](const Group& g) { return g.nodes.empty(); });
  return claim;
}

Result<ProgramRef> SimDevice::compile(const Segment& segment, const CompileOptions& options) {
  if (state_->lost) return Error{Code::device_lost, info().id + " was lost"};
  const std::string& fault = state_->description.faults.compile;
  if (!fault.empty()) return Error{Code::internal, info().id + ": " + fault};
  if (options.stop.stop_requested()) return Error{Code::timed_out, info().id + ": compile was stopped"};
  Claim claimed = claim(segment);
  if (!claimed.declined.empty()) {
    const Declined& first = claimed.declined[0];
    return Error{Code::unsupported, info().id + ": node " + std::to_string(first.node) + " (" +
                                        segment.nodes[first.node].op + "): " + first.why};
  }
  if (!claimed.whole()) return Error{Code::unsupported, info().id + ": the segment has no nodes"};
  if (options.progress) options.progress(0);
  HAL_TRY(ProgramRef program, state_->description.takes_graphs()
                                  ? GraphProgram::make(state_, segment, *host_.kernels)
                                  : KernelProgram::make(state_, constants_, segment, *host_.kernels));
  if (options.progress) options.progress(1);
  return program;
}

}  // namespace switchyard::backends::sim
