// SharedExperts: a feed-forward unit whose experts two devices hold; both work on a step at the same time.
#pragma once
#include <memory>
#include <optional>

#include "hal/device.h"
#include "models/granite_hybrid/segments.h"
#include "scheduler/experts/split.h"
#include "scheduler/experts/usage.h"

namespace switchyard::scheduler {

struct ExpertPlacement {
  hal::DeviceRef other;      // of the experts that are not chosen
  std::vector<bool> chosen;  // one per expert: on the unit's own device, as all but the experts is
};

// One thread at a time; a step is done before the next is submitted.
class SharedExperts {
 public:
  // `unit`: one feed-forward part, with open dims. unsupported: as split_experts_parallel; an op that a device
  // declines, with its reason; a device of fixed shapes.
  static hal::Result<std::unique_ptr<SharedExperts>> make(hal::DeviceRef device, const ExpertPlacement& placement,
                                                          models::ModelSegment unit);

  // Hidden rows [rows, Hd], on any device, once `after` is reached. Returns at once; with an error, when what was
  // submitted is done.
  hal::Result<hal::Point> submit(std::int64_t rows, const hal::Slice& hidden, std::optional<hal::Point> after);
  const hal::Slice& output() const { return output_; }  // of the last step: hidden rows on the unit's own device
  hal::Status read_routing(StepRouting& to) const;      // as Stage::read_routing
  double last_seconds() const;                          // from the first part's begin to the last one's end
  double other_seconds() const;                         // of that, the other device at work
  hal::Device& other() const { return *parts_[2].device; }
  hal::Bytes resident(bool other) const;  // weights, on the other device or on the unit's own
  hal::Bytes scratch(bool other) const;
  hal::Bytes io(bool other) const;  // what the parts take and give: it grows with the largest step

 private:
  struct Part {  // front, near, far, join
    hal::DeviceRef device;
    hal::ProgramRef program;
    hal::Slice scratch;
    std::vector<hal::BufferRef> inputs, outputs;
    std::shared_ptr<hal::Timing> timing;
  };
  struct Line {  // what one device does, in order
    std::shared_ptr<hal::Queue> queue;
    hal::TimelineRef timeline;
    std::uint64_t submitted = 0;
  };
  hal::Result<hal::Point> run(std::size_t part, std::int64_t rows, const hal::Slice& hidden,
                              std::optional<hal::Point> after);
  hal::Result<hal::Slice> output_of(const ExpertSplit::Source& source, std::int64_t rows);

  models::ModelSegment unit_;  // without its constants, as the parts of split_ are once they are compiled
  ExpertSplit split_;
  std::vector<Part> parts_;
  Line own_, others_;
  hal::Slice output_;
  std::int64_t rows_ = 0;
};

}  // namespace switchyard::scheduler
