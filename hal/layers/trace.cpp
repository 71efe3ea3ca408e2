#include "hal/layers/trace.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <fstream>
#include <mutex>
#include <system_error>

namespace switchyard::hal {
namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::seconds longest_wait{60};
constexpr std::size_t most_events = 2'000'000;  // some 300 MB of text; what comes after is counted, not kept

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    } else {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += code;
    }
  }
  return out + "\"";
}

// Chrome's unit is the microsecond; three decimals keep the nanoseconds.
std::string micros(nanoseconds t) {
  const auto n = t.count();
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(n / 1000), static_cast<long long>(n % 1000));
  return text;
}

struct Event {
  int process, thread;
  std::string name;
  const char* category;
  nanoseconds begin, end;
  std::string args;  // inside of a JSON object, or empty
};

struct TracedProgram final : Program {
  Bytes resident() const override { return inner->resident(); }
  Bytes scratch() const override { return inner->scratch(); }
  ProgramRef inner;
  std::vector<std::string> labels;  // of the nodes
};

// A submission whose times are not known yet.
struct Pending {
  std::shared_ptr<Timing> timing;
  TimelineRef done;  // the queue's own timeline, which reaches `value` after the submission
  std::uint64_t value = 0;
  nanoseconds submitted{};
  std::vector<std::string> names;                              // by command
  std::vector<std::shared_ptr<const TracedProgram>> programs;  // by command; null: none
};

class Recorder;

class TracedQueue final : public Queue, public std::enable_shared_from_this<TracedQueue> {
 public:
  TracedQueue(std::shared_ptr<Queue> inner, DeviceRef device, TimelineRef done, std::shared_ptr<Recorder> recorder,
              int process, int thread)
      : recorder_(std::move(recorder)),
        process_(process),
        thread_(thread),
        device_(std::move(device)),
        done_(std::move(done)),
        inner_(std::move(inner)) {}
  ~TracedQueue() override;
  Status submit(Submission submission) override;
  Status harvest(bool all);  // all: waits for what was submitted

 private:
  std::shared_ptr<Recorder> recorder_;
  const int process_, thread_;
  DeviceRef device_;
  TimelineRef done_;
  std::mutex mutex_;
  std::deque<Pending> pending_;
  std::uint64_t submitted_ = 0;
  std::shared_ptr<Queue> inner_;
};

class TracedDevice final : public Device {
 public:
  TracedDevice(DeviceRef inner, std::shared_ptr<Recorder> recorder, int process)
      : inner_(std::move(inner)), recorder_(std::move(recorder)), process_(process) {}
  const Info& info() const override { return inner_->info(); }
  Result<std::vector<Heap>> heaps() const override { return inner_->heaps(); }
  Path path(const Device& to) const override {
    auto* traced = dynamic_cast<const TracedDevice*>(&to);
    return inner_->path(traced ? *traced->inner_ : to);
  }
  Result<BufferRef> allocate(const BufferDesc& desc) override { return inner_->allocate(desc); }
  Result<BufferRef> adopt(const External& external) override { return inner_->adopt(external); }
  Result<TimelineRef> create_timeline(std::uint64_t initial) override { return inner_->create_timeline(initial); }
  Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) override;
  Claim claim(const Segment& segment) const override { return inner_->claim(segment); }
  Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) override {
    HAL_TRY(ProgramRef program, inner_->compile(segment, options));
    auto traced = std::make_shared<TracedProgram>();
    traced->inner = std::move(program);
    for (std::size_t n = 0; n < segment.nodes.size(); ++n)
      traced->labels.push_back(n < segment.labels.size() && !segment.labels[n].empty() ? segment.labels[n]
                                                                                       : segment.nodes[n].op);
    return ProgramRef(traced);
  }

 private:
  DeviceRef inner_;
  std::shared_ptr<Recorder> recorder_;
  const int process_;
  std::atomic<int> queues_{0};
};

// The events; outlives devices and queues that still record into it.
class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  explicit Recorder(bool spans) : spans_(spans) {}
  bool spans() const { return spans_; }

  int add_process(const std::string& name) {
    std::lock_guard lock(mutex_);
    processes_.push_back(name);
    return static_cast<int>(processes_.size());
  }
  int add_thread(int process, const std::string& name) {
    std::lock_guard lock(mutex_);
    for (const auto& [p, t, n] : threads_)
      if (p == process && n == name) return t;
    const int thread = static_cast<int>(threads_.size()) + 1;
    threads_.push_back({process, thread, name});
    return thread;
  }
  void add(Event event) {
    std::lock_guard lock(mutex_);
    if (events_.size() < most_events)
      events_.push_back(std::move(event));
    else
      ++lost_;
  }
  void add_queue(const std::shared_ptr<TracedQueue>& queue) {
    std::lock_guard lock(mutex_);
    std::erase_if(queues_, [](const auto& q) { return q.expired(); });
    queues_.push_back(queue);
  }
  std::vector<std::shared_ptr<TracedQueue>> queues() {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<TracedQueue>> alive;
    for (const auto& weak : queues_)
      if (auto q = weak.lock()) alive.push_back(std::move(q));
    return alive;
  }

  Status write(const std::string& path) {
    std::lock_guard lock(mutex_);
    std::ofstream file(path, std::ios::trunc);
    file << "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"lost_events\":" << lost_ << "},\"traceEvents\":[";
    const char* comma = "\n";
    auto meta = [&](const char* what, int process, int thread, const std::string& name) {
      file << comma << R"({"ph":"M","name":")" << what << R"(","pid":)" << process << ",\"tid\":" << thread
           << ",\"args\":{\"name\":" << quoted(name) << "}}";
      comma = ",\n";
    };
    meta("process_name", 0, 0, "host");
    for (std::size_t p = 0; p < processes_.size(); ++p) meta("process_name", static_cast<int>(p) + 1, 0, processes_[p]);
    for (const auto& [process, thread, name] : threads_) meta("thread_name", process, thread, name);
    for (const Event& e : events_) {
      file << comma << R"({"ph":"X","name":)" << quoted(e.name) << R"(,"cat":")" << e.category << R"(","pid":)"
           << e.process << ",\"tid\":" << e.thread << ",\"ts\":" << micros(e.begin)
           << ",\"dur\":" << micros(e.end - e.begin);
      if (!e.args.empty()) file << ",\"args\":{" << e.args << "}";
      file << "}";
    }
    file << "\n]}\n";
    file.close();
    if (!file)
      return Error{Code::io, "trace: " + path + " could not be written: " + std::generic_category().message(errno)};
    return ok();
  }

 private:
  struct Thread {
    int process, thread;
    std::string name;
  };
  const bool spans_;
  std::mutex mutex_;
  std::vector<std::string> processes_;
  std::vector<Thread> threads_;
  std::vector<Event> events_;
  std::size_t lost_ = 0;
  std::vector<std::weak_ptr<TracedQueue>> queues_;
};

nanoseconds now() { return std::chrono::steady_clock::now().time_since_epoch(); }

TracedQueue::~TracedQueue() { (void)harvest(true).has_value(); }

Status TracedQueue::submit(Submission submission) {
  Pending pending;
  for (Command& command : submission.commands) {
    std::shared_ptr<const TracedProgram> program;
    if (auto* run = std::get_if<Run>(&command)) {
      if ((program = std::dynamic_pointer_cast<const TracedProgram>(run->program))) run->program = program->inner;
      std::string name = "run";
      for (std::size_t i = 0; i < run->dims.size(); ++i) name += (i ? "x" : " ") + std::to_string(run->dims[i]);
      pending.names.push_back(std::move(name));
    } else if (const auto* copy = std::get_if<Copy>(&command)) {
      pending.names.push_back("copy " + std::to_string(copy->src.size()) + " bytes");
    } else {
      pending.names.push_back("fill " + std::to_string(std::get<Fill>(command).dst.size()) + " bytes");
    }
    pending.programs.push_back(std::move(program));
  }
  if (!submission.timing) submission.timing = std::make_shared<Timing>();
  submission.timing->want_spans = submission.timing->want_spans || recorder_->spans();
  pending.timing = submission.timing;
  pending.submitted = now();
  {
    std::lock_guard lock(mutex_);
    pending.done = done_;
    pending.value = ++submitted_;
    // First, so that a caller who has seen its own signal finds the times in a trace flushed right then.
    submission.signal.insert(submission.signal.begin(), {done_, pending.value});
    pending_.push_back(std::move(pending));
  }
  Status status = inner_->submit(std::move(submission));
  if (!status) {
    std::lock_guard lock(mutex_);
    pending_.pop_back();
    --submitted_;
  }
  (void)harvest(false).has_value();
  return status;
}

Status TracedQueue::harvest(bool all) {
  std::lock_guard lock(mutex_);
  while (!pending_.empty()) {
    const Pending& p = pending_.front();
    if (Status done = p.done->wait(p.value, all ? longest_wait : nanoseconds{0}); !done) {
      if (done.error().code == Code::timed_out) return all ? done : ok();
      recorder_->add(
          {process_, thread_, "failed: " + done.error().message, "submission", p.submitted, p.submitted, {}});
      if (p.done == done_)  // a failure lasts: what comes after needs a timeline of its own
        if (auto next = device_->create_timeline(0)) done_ = *next, submitted_ = 0;
      pending_.pop_front();
      continue;
    }
    const Timing& t = *p.timing;
    std::string name;
    for (std::size_t i = 0; i < p.names.size() && i < 4; ++i) name += (i ? ", " : "") + p.names[i];
    if (p.names.size() > 4) name += ", ... " + std::to_string(p.names.size()) + " commands";
    recorder_->add({process_, thread_, name, "submission", t.begin, t.end,
                    "\"waited_us\":" + micros(std::max(t.begin - p.submitted, nanoseconds{}))});
    for (const Span& s : t.spans) {
      const bool known =
          s.command < p.programs.size() && p.programs[s.command] && s.node < p.programs[s.command]->labels.size();
      std::string label = known                        ? p.programs[s.command]->labels[s.node]
                          : s.command < p.names.size() ? p.names[s.command]
                                                       : "command";
      recorder_->add({process_, thread_, std::move(label), "node", s.begin, s.end, {}});
    }
    pending_.pop_front();
  }
  return ok();
}

Result<std::shared_ptr<Queue>> TracedDevice::create_queue(QueueKind kind) {
  HAL_TRY(auto queue, inner_->create_queue(kind));
  HAL_TRY(TimelineRef done, inner_->create_timeline(0));
  const int thread = recorder_->add_thread(process_, "queue " + std::to_string(queues_++));
  auto traced = std::make_shared<TracedQueue>(std::move(queue), inner_, std::move(done), recorder_, process_, thread);
  recorder_->add_queue(traced);
  return std::shared_ptr<Queue>(traced);
}

class FileTrace final : public Trace {
 public:
  FileTrace(std::string path, bool spans) : path_(std::move(path)), recorder_(std::make_shared<Recorder>(spans)) {}
  ~FileTrace() override { (void)!flush().has_value(); }
  DeviceRef wrap(DeviceRef device) override {
    const int process = recorder_->add_process(device->info().id + " " + device->info().name);
    return std::make_shared<TracedDevice>(std::move(device), recorder_, process);
  }
  void mark(std::string_view track, std::string_view name, nanoseconds begin, nanoseconds end) override {
    recorder_->add({0, recorder_->add_thread(0, std::string(track)), std::string(name), "host", begin, end, {}});
  }
  Status flush() override {
    Status harvested = ok();
    for (const auto& queue : recorder_->queues())
      if (Status status = queue->harvest(true); !status) harvested = std::move(status);
    HAL_CHECK(recorder_->write(path_));
    return harvested;
  }

 private:
  const std::string path_;
  std::shared_ptr<Recorder> recorder_;
};

}  // namespace

std::shared_ptr<Trace> Trace::open(std::string path, bool spans) {
  return std::make_shared<FileTrace>(std::move(path), spans);
}

}  // namespace switchyard::hal
