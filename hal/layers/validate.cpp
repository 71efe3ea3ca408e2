#include "hal/layers/validate.h"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace switchyard::hal {
namespace {

std::string range(Bytes offset, Bytes bytes) {
  return "[" + std::to_string(offset) + ", +" + std::to_string(bytes) + ")";
}

// Knows the highest value that somebody has promised.
class CheckedTimeline final : public Timeline {
 public:
  CheckedTimeline(TimelineRef inner, std::uint64_t initial) : inner_(std::move(inner)), promised_(initial) {}
  std::uint64_t value() const override { return inner_->value(); }
  Status signal(std::uint64_t value) override {
    HAL_CHECK(inner_->signal(value));
    promise(value);
    return ok();
  }
  void fail(Error error) override {
    failed_ = true;
    inner_->fail(std::move(error));
  }
  Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const override {
    return inner_->wait(value, timeout);
  }

  const TimelineRef& inner() const { return inner_; }
  bool has_promised(std::uint64_t value) const { return failed_ || promised_.load() >= value; }
  std::uint64_t promised() const { return promised_.load(); }
  bool promise(std::uint64_t value) {  // false: it does not grow
    std::uint64_t before = promised_.load();
    while (before < value)
      if (promised_.compare_exchange_weak(before, value)) return true;
    return false;
  }

 private:
  TimelineRef inner_;
  std::atomic<std::uint64_t> promised_;
  std::atomic<bool> failed_{false};
};

struct CheckedProgram final : Program {
  Bytes resident() const override { return inner->resident(); }
  Bytes scratch() const override { return inner->scratch(); }
  ProgramRef inner;
  const void* device = nullptr;  // identity of the CheckedDevice
  std::string id;
  std::vector<Tensor> slices;
  std::size_t inputs = 0;             // the first slices, which are only read
  std::array<Dim, max_symbols> dims;  // ranges by symbol; symbol -1: not used
};

class CheckedDevice;

class CheckedQueue final : public Queue {
 public:
  CheckedQueue(std::shared_ptr<Queue> inner, std::shared_ptr<CheckedDevice> device)
      : inner_(std::move(inner)), device_(std::move(device)) {}
  Status submit(Submission submission) override;

 private:
  Status check(Submission& submission) const;

  std::shared_ptr<Queue> inner_;
  std::shared_ptr<CheckedDevice> device_;
  std::atomic<bool> inside_{false};
};

class CheckedDevice final : public Device, public std::enable_shared_from_this<CheckedDevice> {
 public:
  CheckedDevice(DeviceRef inner, std::function<void(const Error&)> report)
      : inner_(std::move(inner)), report_(std::move(report)) {}
  const Info& info() const override { return inner_->info(); }
  Result<std::vector<Heap>> heaps() const override { return inner_->heaps(); }
  Path path(const Device& to) const override {
    auto* checked = dynamic_cast<const CheckedDevice*>(&to);
    return inner_->path(checked ? *checked->inner_ : to);
  }
  Result<BufferRef> allocate(const BufferDesc& desc) override { return seen(inner_->allocate(desc)); }
  Result<BufferRef> adopt(const External& external) override { return seen(inner_->adopt(external)); }
  Result<TimelineRef> create_timeline(std::uint64_t initial) override {
    HAL_TRY(TimelineRef timeline, inner_->create_timeline(initial));
    return TimelineRef(std::make_shared<CheckedTimeline>(std::move(timeline), initial));
  }
  Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) override {
    HAL_TRY(auto queue, inner_->create_queue(kind));
    return std::shared_ptr<Queue>(std::make_shared<CheckedQueue>(std::move(queue), shared_from_this()));
  }
  Claim claim(const Segment& segment) const override { return inner_->claim(segment); }
  Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) override;

  bool owns(const Buffer& buffer) const {
    const void* owner = owner_.load();
    return owner && buffer.owner() == owner;
  }
  Error bug(std::string text) const {
    Error error{Code::invalid_argument, info().id + ": " + std::move(text)};
    if (report_) {
      std::lock_guard lock(mutex_);
      report_(error);
    }
    return error;
  }

 private:
  Result<BufferRef> seen(Result<BufferRef> buffer) {
    if (buffer) owner_.store((*buffer)->owner());
    return buffer;
  }
  Result<ProgramRef> checked(const Segment& segment, ProgramRef program) const;

  DeviceRef inner_;
  std::function<void(const Error&)> report_;
  mutable std::mutex mutex_;
  std::atomic<const void*> owner_{nullptr};  // the identity our buffers carry
};

Result<ProgramRef> CheckedDevice::compile(const Segment& segment, const CompileOptions& options) {
  const Claim claim = inner_->claim(segment);
  auto label = [&](std::uint32_t n) {
    return "node " + std::to_string(n) + " (" +
           (n < segment.labels.size()  ? segment.labels[n]
            : n < segment.nodes.size() ? segment.nodes[n].op
                                       : "?") +
           ")";
  };
  if (!claim.declined.empty()) {
    const Declined& d = claim.declined.front();
    Error error = bug("compile: " + label(d.node) + " is declined: " + d.why);
    error.code = Code::unsupported;  // what the contract promises for it
    return error;
  }
  std::vector<int> covered(segment.nodes.size(), 0);
  for (const Group& g : claim.groups)
    for (auto n : g.nodes)
      if (n < covered.size()) ++covered[n];
  for (std::uint32_t n = 0; n < covered.size(); ++n)
    if (covered[n] != 1)
      return bug("compile: " + label(n) + " is in " + std::to_string(covered[n]) + " claimed groups");
  for (const Constant& c : segment.constants)
    if (c.data.empty() && max_bytes(segment.values[c.value]) != 0)
      return bug("compile: constant " + std::to_string(c.value) + " has no data");
  HAL_TRY(ProgramRef program, inner_->compile(segment, options));
  return checked(segment, std::move(program));
}

Result<ProgramRef> CheckedDevice::checked(const Segment& segment, ProgramRef program) const {
  auto wrapped = std::make_shared<CheckedProgram>();
  wrapped->inner = std::move(program);
  wrapped->device = this;
  wrapped->id = info().id;
  wrapped->inputs = segment.inputs.size();
  for (const auto* list : {&segment.inputs, &segment.states, &segment.outputs})
    for (auto v : *list) wrapped->slices.push_back(segment.values[v]);
  for (const Tensor& t : segment.values)
    for (const Dim& d : t.shape) {
      if (d.symbol < 0 || static_cast<std::size_t>(d.symbol) >= max_symbols) continue;
      Dim& all = wrapped->dims[static_cast<std::size_t>(d.symbol)];
      if (all.symbol < 0) all = d;
      all.min = std::max(all.min, d.min);
      all.max = std::min(all.max, d.max);
    }
  return ProgramRef(wrapped);
}

// Empty: the slice is a range of its buffer. device: null where it may lie anywhere.
std::string wrong(const Slice& s, const CheckedDevice* device, Bytes need, Bytes align) {
  if (!s.buffer) return "has no buffer";
  const Bytes all = s.buffer->bytes();
  if (s.offset > all || s.size() > all - s.offset)
    return "is " + range(s.offset, s.bytes) + " of a buffer of " + std::to_string(all) + " bytes";
  if (device && !device->owns(*s.buffer)) return "lies on another device";
  if (s.offset % align != 0)
    return "begins at " + std::to_string(s.offset) + ", no multiple of " + std::to_string(align);
  if (s.size() < need) return "has " + std::to_string(s.size()) + " bytes, needs " + std::to_string(need);
  return {};
}

std::string wrong(const Run& run, const CheckedProgram& program, const CheckedDevice& device) {
  std::vector<std::int64_t> dims = run.dims;
  for (std::size_t i = 0; i < max_symbols; ++i) {
    const Dim& d = program.dims[i];
    if (d.symbol < 0) continue;
    if (i >= dims.size()) return std::to_string(dims.size()) + " dims, symbol " + std::to_string(i) + " needs a number";
    // 0: nothing to do, whatever the least is
    if (dims[i] != 0 && (dims[i] < d.min || dims[i] > d.max))
      return "dim " + std::to_string(i) + " is " + std::to_string(dims[i]) + ", the program takes " +
             std::to_string(d.min) + " .. " + std::to_string(d.max);
  }
  if (dims.size() > max_symbols) return std::to_string(dims.size()) + " dims, at most " + std::to_string(max_symbols);
  if (run.slices.size() != program.slices.size())
    return std::to_string(run.slices.size()) + " slices, the program needs " + std::to_string(program.slices.size());
  const Bytes align = device.info().limits.align;
  std::vector<Bytes> bytes;
  for (std::size_t i = 0; i < run.slices.size(); ++i) {
    bytes.push_back(tensor_bytes(program.slices[i], dims));
    if (std::string text = wrong(run.slices[i], &device, bytes[i], align); !text.empty())
      return "slice " + std::to_string(i) + " " + text;
  }
  for (std::size_t i = program.inputs; i < run.slices.size(); ++i)  // states and outputs are written
    for (std::size_t j = 0; j < run.slices.size(); ++j) {
      const Slice &a = run.slices[i], &b = run.slices[j];
      if (i != j && a.buffer == b.buffer && a.offset < b.offset + bytes[j] && b.offset < a.offset + bytes[i])
        return "slice " + std::to_string(i) + ", which is written, overlaps slice " + std::to_string(j);
    }
  if (program.scratch() == 0) return {};
  if (std::string text = wrong(run.scratch, &device, program.scratch(), align); !text.empty()) return "scratch " + text;
  return {};
}

Status CheckedQueue::check(Submission& submission) const {
  const CheckedDevice& device = *device_;
  auto unwrap = [&](Point& p, const char* what) -> Result<CheckedTimeline*> {
    if (!p.timeline) return device.bug(std::string(what) + ": no timeline");
    return dynamic_cast<CheckedTimeline*>(p.timeline.get());
  };
  std::vector<Command> commands;
  for (std::size_t i = 0; i < submission.commands.size(); ++i) {
    const std::string where = "command " + std::to_string(i) + ", ";
    const Command& command = submission.commands[i];
    if (const auto* c = std::get_if<Copy>(&command)) {
      std::string text = wrong(c->src, nullptr, 0, 1);
      if (!text.empty()) return device.bug(where + "copy: src " + text);
      text = wrong(c->dst, nullptr, 0, 1);
      if (!text.empty()) return device.bug(where + "copy: dst " + text);
      if (c->src.size() != c->dst.size())
        return device.bug(where + "copy: src has " + std::to_string(c->src.size()) + " bytes, dst has " +
                          std::to_string(c->dst.size()));
      if (!device.owns(*c->src.buffer) && !device.owns(*c->dst.buffer))
        return device.bug(where + "copy: neither side lies on this device");
    } else if (const auto* f = std::get_if<Fill>(&command)) {
      if (std::string text = wrong(f->dst, &device, 0, 4); !text.empty())
        return device.bug(where + "fill: dst " + text);
      if (f->dst.size() % 4 != 0)
        return device.bug(where + "fill: " + std::to_string(f->dst.size()) + " bytes, no multiple of 4");
    } else {
      Run run = std::get<Run>(command);
      auto* program = dynamic_cast<CheckedProgram*>(run.program.get());
      if (!program)
        return device.bug(
            where + (run.program ? "run: the program comes from a device that is not validated" : "run: no program"));
      if (program->device != &device)
        return device.bug(where + "run: the program was compiled by another device (" + program->id + ")");
      if (std::string text = wrong(run, *program, device); !text.empty()) return device.bug(where + "run: " + text);
      run.program = program->inner;
      commands.emplace_back(std::move(run));
      continue;
    }
    commands.push_back(command);
  }
  for (Point& p : submission.wait) {
    HAL_TRY(CheckedTimeline * timeline, unwrap(p, "wait"));
    if (!timeline) continue;  // of a device that is not validated: what was promised on it is not known
    if (!timeline->has_promised(p.value))
      return device.bug("wait for value " + std::to_string(p.value) + ", which nobody has submitted; the highest is " +
                        std::to_string(timeline->promised()));
    p.timeline = timeline->inner();
  }
  for (Point& p : submission.signal) {
    HAL_TRY(CheckedTimeline * timeline, unwrap(p, "signal"));
    if (!timeline) continue;
    if (p.value <= timeline->promised())
      return device.bug("signal of value " + std::to_string(p.value) + " is not above " +
                        std::to_string(timeline->promised()) + ", which is already submitted");
  }
  for (Point& p : submission.signal)
    if (auto* timeline = dynamic_cast<CheckedTimeline*>(p.timeline.get())) {
      timeline->promise(p.value);
      p.timeline = TimelineRef(timeline->inner());
    }
  submission.commands = std::move(commands);
  return ok();
}

Status CheckedQueue::submit(Submission submission) {
  if (inside_.exchange(true)) return device_->bug("submit: another thread is inside; a queue takes one at a time");
  Status status = check(submission);
  if (status) status = inner_->submit(std::move(submission));
  inside_ = false;
  return status;
}

}  // namespace

DeviceRef validate(DeviceRef device, std::function<void(const Error&)> report) {
  return std::make_shared<CheckedDevice>(std::move(device), std::move(report));
}

}  // namespace switchyard::hal
