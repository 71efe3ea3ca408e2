#include "tests/support/faults.h"

#include <atomic>
#include <mutex>
#include <vector>

namespace switchyard::test {

using namespace hal;

const char* to_string(Fault fault) {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::lost: return "lost";
    case Fault::lost_late: return "lost late";
    case Fault::hang: return "hang";
    case Fault::no_memory: return "no memory";
  }
  return "unknown";
}

namespace {

struct Hung {
  std::mutex mutex;
  std::vector<Submission> submissions;
};
Hung& hung() {
  static Hung all;
  return all;
}

Error lost_error(const std::string& id) { return {Code::device_lost, id + ": lost (injected)"}; }

struct State {
  NextFault next;
  std::string id;
  std::atomic<bool> lost{false}, hangs{false};
};

class FaultyQueue final : public Queue {
 public:
  FaultyQueue(std::shared_ptr<State> state, std::shared_ptr<Queue> inner)
      : state_(std::move(state)), inner_(std::move(inner)) {}

  Status submit(Submission submission) override {
    if (state_->lost) return lost_error(state_->id);
    const Fault fault = state_->hangs ? Fault::hang : state_->next(state_->id, Moment::submission);
    switch (fault) {
      case Fault::none: return inner_->submit(std::move(submission));
      case Fault::lost:
      case Fault::no_memory: state_->lost = true; return lost_error(state_->id);
      case Fault::lost_late:
        state_->lost = true;
        for (Point& p : submission.signal) p.timeline->fail(lost_error(state_->id));
        return ok();
      case Fault::hang: {
        state_->hangs = true;
        std::lock_guard lock(hung().mutex);
        hung().submissions.push_back(std::move(submission));
        return ok();
      }
    }
    return ok();
  }

 private:
  std::shared_ptr<State> state_;
  std::shared_ptr<Queue> inner_;
};

class FaultyDevice final : public Device {
 public:
  FaultyDevice(DeviceRef inner, NextFault next) : inner_(std::move(inner)), state_(std::make_shared<State>()) {
    state_->next = std::move(next);
    state_->id = inner_->info().id;
  }
  const Info& info() const override { return inner_->info(); }
  Result<std::vector<Heap>> heaps() const override { return inner_->heaps(); }
  Path path(const Device& to) const override {
    const auto* other = dynamic_cast<const FaultyDevice*>(&to);
    return inner_->path(other ? *other->inner_ : to);
  }
  Result<BufferRef> allocate(const BufferDesc& desc) override {
    if (state_->lost) return lost_error(state_->id);
    if (state_->next(state_->id, Moment::allocation) == Fault::none) return inner_->allocate(desc);
    return Error{Code::out_of_memory, state_->id + ": no " + std::to_string(desc.bytes) + " bytes (injected)"};
  }
  Result<BufferRef> adopt(const External& external) override { return inner_->adopt(external); }
  Result<TimelineRef> create_timeline(std::uint64_t initial) override {
    if (state_->lost) return lost_error(state_->id);
    return inner_->create_timeline(initial);
  }
  Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) override {
    if (state_->lost) return lost_error(state_->id);
    HAL_TRY(auto queue, inner_->create_queue(kind));
    return std::shared_ptr<Queue>(std::make_shared<FaultyQueue>(state_, std::move(queue)));
  }
  Claim claim(const Segment& segment) const override { return inner_->claim(segment); }
  Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) override {
    if (state_->lost) return lost_error(state_->id);
    return inner_->compile(segment, options);
  }

 private:
  DeviceRef inner_;
  std::shared_ptr<State> state_;
};

class FaultyBackend final : public Backend {
 public:
  FaultyBackend(BackendRef inner, NextFault next) : inner_(std::move(inner)), next_(std::move(next)) {}
  std::string_view name() const override { return inner_->name(); }
  Discovery discover() override { return inner_->discover(); }
  Result<DeviceRef> open(std::string_view id, const Host& host) override {
    HAL_TRY(DeviceRef device, inner_->open(id, host));
    return DeviceRef(std::make_shared<FaultyDevice>(std::move(device), next_));
  }

 private:
  BackendRef inner_;
  NextFault next_;
};

}  // namespace

std::vector<BackendRef> faulty(const std::vector<BackendRef>& backends, NextFault next) {
  std::vector<BackendRef> all;
  for (const BackendRef& b : backends) all.push_back(std::make_shared<FaultyBackend>(b, next));
  return all;
}

void release_hung() {
  std::vector<Submission> all;
  {
    std::lock_guard lock(hung().mutex);
    all.swap(hung().submissions);
  }
  for (Submission& s : all)
    for (Point& p : s.signal) p.timeline->fail({Code::device_lost, "reset after a hang (injected)"});
}

}  // namespace switchyard::test
