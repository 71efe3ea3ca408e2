// Submissions. One that knows only its own host's timelines and buffers is sent at once, and ordered and run there. One
// that waits for another device, or copies from or to one, goes through a thread here, and those behind it too.
#include "backends/remote/device.h"
#include "backends/remote/end_of_work.h"
#include "hal/shared/staging.h"

namespace switchyard::backends::remote {
namespace {

RemoteTimeline* own(const Connection* connection, const Point& p) {
  auto* timeline = dynamic_cast<RemoteTimeline*>(p.timeline.get());
  return timeline && timeline->connection() == connection ? timeline : nullptr;
}

RemoteBuffer* own(const Connection* connection, const Slice& s) {
  auto* buffer = dynamic_cast<RemoteBuffer*>(s.buffer.get());
  return buffer && buffer->connection() == connection ? buffer : nullptr;
}

class RemoteQueue final : public Queue {
 public:
  RemoteQueue(std::shared_ptr<Handle> device) : device_(std::move(device)), handle_(device_->connection()) {}
  ~RemoteQueue() override {
    slow_.reset();
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return flying_ == 0; });
  }
  Id id() const { return handle_.id(); }
  Status submit(Submission submission) override;

 private:
  const Connection* connection() const { return device_->connection().get(); }
  bool all_own(const Submission& s) const;
  Result<Part> part(const Slice& s) const;
  Result<Step> step(const Command& command) const;
  Status fly(Submission submission);
  Status run_slowly(const Submission& submission);
  Status run_here(std::span<const Command> commands, Timing* timing, std::uint32_t first);
  Status copy(const Copy& copy) const;

  std::shared_ptr<Handle> device_;
  Handle handle_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t flying_ = 0;
  std::atomic<std::size_t> behind_{0};  // submissions that slow_ has not got through
  std::unique_ptr<HostQueue> slow_;
};

bool RemoteQueue::all_own(const Submission& s) const {
  for (const Point& p : s.wait)
    if (!own(connection(), p)) return false;
  for (const Command& c : s.commands)
    if (auto* copy = std::get_if<Copy>(&c); copy && !(own(connection(), copy->src) && own(connection(), copy->dst)))
      return false;
  return true;
}

Result<Part> RemoteQueue::part(const Slice& s) const {
  if (!s.buffer) return Part{};
  if (RemoteBuffer* buffer = own(connection(), s)) return Part{buffer->id(), s.offset, s.bytes};
  return Error{Code::invalid_argument, "submit: a slice of another device's buffer"};
}

Result<Step> RemoteQueue::step(const Command& command) const {
  Step step;
  if (auto* copy = std::get_if<Copy>(&command)) {
    step.is = Step::Is::copy;
    for (const Slice& s : {copy->src, copy->dst}) {
      HAL_TRY(step.parts.emplace_back(), part(s));
    }
  } else if (auto* fill = std::get_if<Fill>(&command)) {
    step.is = Step::Is::fill;
    step.word = fill->word;
    HAL_TRY(step.parts.emplace_back(), part(fill->dst));
  } else {
    const Run& run = std::get<Run>(command);
    step.is = Step::Is::run;
    auto* program = dynamic_cast<RemoteProgram*>(run.program.get());
    if (!program || program->connection() != connection())
      return Error{Code::invalid_argument, "run: the program was compiled by another device"};
    step.program = program->id();
    step.dims = run.dims;
    for (const Slice& s : run.slices) {
      HAL_TRY(step.parts.emplace_back(), part(s));
    }
    HAL_TRY(step.scratch, part(run.scratch));
  }
  return step;
}

Status RemoteQueue::submit(Submission submission) {
  if (auto lost = connection()->lost()) return *lost;
  if (behind_ == 0 && all_own(submission)) return fly(std::move(submission));
  if (!slow_) slow_ = std::make_unique<HostQueue>([this](const Submission& s) { return run_slowly(s); }, device_);
  ++behind_;
  auto through = std::make_shared<EndOfWork>([this](const std::optional<Error>&) { --behind_; });
  submission.signal.push_back({std::move(through), 1});
  return slow_->submit(std::move(submission));
}

// Sends it. What it uses is kept until the host is done.
Status RemoteQueue::fly(Submission submission) {
  Submit message;
  message.queue = id();
  for (const Point& p : submission.wait) message.wait.push_back({own(connection(), p)->id(), p.value});
  for (const Point& p : submission.signal)
    if (auto* timeline = own(connection(), p)) message.signal.push_back({timeline->id(), p.value});
  for (const Command& c : submission.commands) {
    HAL_TRY(message.steps.emplace_back(), step(c));
  }
  message.timed = submission.timing != nullptr;
  message.want_spans = message.timed && submission.timing->want_spans;

  auto kept = std::make_shared<Submission>(std::move(submission));
  auto finished = [this, kept](const Result<Times>& result) {
    if (result && kept->timing) {
      kept->timing->begin = std::chrono::nanoseconds(result->begin);
      kept->timing->end = std::chrono::nanoseconds(result->end);
      kept->timing->spans.insert(kept->timing->spans.end(), result->spans.begin(), result->spans.end());
    }
    kept->commands.clear();  // before anyone can observe the end
    kept->wait.clear();
    for (const Point& p : kept->signal) {
      RemoteTimeline* timeline = own(connection(), p);  // the host has done the same to its own
      Status signalled = !result ? Status(result.error())
                                 : (timeline ? timeline->here().signal(p.value) : p.timeline->signal(p.value));
      if (signalled) continue;
      timeline ? timeline->here().fail(signalled.error()) : p.timeline->fail(signalled.error());
    }
    kept->signal.clear();
    kept->timing.reset();
    std::lock_guard lock(mutex_);
    --flying_;
    idle_.notify_all();
  };
  {
    std::lock_guard lock(mutex_);
    ++flying_;
  }
  Status sent = device_->connection()->submit(message, std::move(finished));
  if (!sent) {
    std::lock_guard lock(mutex_);
    --flying_;
  }
  return sent;
}

// On slow_'s thread, after the submission's waits: the host's commands in runs, the copies between devices by this
// process. slow_ signals.
Status RemoteQueue::run_slowly(const Submission& submission) {
  std::vector<Command> mine;
  std::uint32_t first = 0;
  for (std::uint32_t i = 0; i < submission.commands.size(); ++i) {
    const Command& c = submission.commands[i];
    const auto* between = std::get_if<Copy>(&c);
    if (!between || (own(connection(), between->src) && own(connection(), between->dst))) {
      if (mine.empty()) first = i;
      mine.push_back(c);
      continue;
    }
    HAL_CHECK(run_here(mine, submission.timing.get(), first));
    mine.clear();
    const auto begin = steady_now();
    HAL_CHECK(copy(*between));
    if (submission.timing && submission.timing->want_spans)
      submission.timing->spans.push_back({i, 0, begin, steady_now()});
  }
  return run_here(mine, submission.timing.get(), first);
}

Status RemoteQueue::run_here(std::span<const Command> commands, Timing* timing, std::uint32_t first) {
  if (commands.empty()) return ok();
  auto done = std::make_shared<HostTimeline>(0);
  auto times = timing ? std::make_shared<Timing>() : nullptr;
  if (times) times->want_spans = timing->want_spans;
  HAL_CHECK(fly({{}, {commands.begin(), commands.end()}, {{done, 1}}, times}));
  HAL_CHECK(done->wait(1, std::chrono::nanoseconds::max()));
  if (!timing) return ok();
  for (Span s : times->spans) {
    s.command += first;
    timing->spans.push_back(s);
  }
  return ok();
}

Status RemoteQueue::copy(const Copy& c) const {
  RemoteBuffer *from = own(connection(), c.src), *to = own(connection(), c.dst);
  const bool fits = c.src.buffer && c.dst.buffer && c.src.size() == c.dst.size();
  if (!fits || (!from && !to)) return staged_copy(c.src, c.dst);  // says what is wrong
  if (to)
    return to->write_by(c.dst.offset, c.dst.size(), [&](std::span<std::byte> bytes, Bytes at) {
      return c.src.buffer->read(c.src.offset + at, bytes);
    });
  return from->read_by(c.src.offset, c.src.size(), [&](std::span<std::byte> bytes, Bytes at) {
    return c.dst.buffer->write(c.dst.offset + at, bytes);
  });
}

}  // namespace

Result<std::shared_ptr<Queue>> make_queue(const std::shared_ptr<Handle>& device, QueueKind kind) {
  auto queue = std::make_shared<RemoteQueue>(device);
  const ConnectionRef& connection = device->connection();
  HAL_TRY(auto done,
          connection->wait(*connection->begin(Say::queue, encode(MakeQueue{device->id(), queue->id(), kind})), {}));
  return std::shared_ptr<Queue>(queue);
}

}  // namespace switchyard::backends::remote
