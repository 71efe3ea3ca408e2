// The application's side of one host process: calls, submissions under way, and what becomes of both when it ends.
#pragma once
#include <condition_variable>
#include <map>
#include <thread>

#include "backends/remote.h"
#include "backends/remote/process.h"
#include "backends/remote/shared_memory.h"
#include "hal/program.h"
#include "hal/shared/host_timeline.h"

namespace switchyard::backends::remote {

class Connection;
using ConnectionRef = std::shared_ptr<Connection>;

// Called once with what became of a submission, by the reading thread.
using Finished = std::function<void(const Result<Times>&)>;

// A piece of the region that both sides see, for one read or write at a time.
struct Slot {
  Bytes at = 0;
  std::span<std::byte> bytes;
};

// Any thread.
class Connection {
 public:
  // Starts the process and greets it. The thread that reads lives as long as the reference or anything that holds it.
  static Result<ConnectionRef> start(const std::string& backend, const Options& options);

  Id new_id() { return next_++; }
  const Options& options() const { return options_; }
  int process() const { return process_->id(); }
  void kill(const std::string& why);  // what is asked for later, and under way, is lost with this reason
  std::optional<Error> lost() const;

  struct CallOptions {
    std::chrono::milliseconds patience = std::chrono::milliseconds::max();  // then the process is ended: timed_out
    const std::function<void(float)>* progress = nullptr;
    std::stop_token stop = {};
  };
  // Sends a call; `wait` gives its answer's bytes, behind the word whether it went well, or its error.
  class Call;
  std::shared_ptr<Call> begin(Say say, std::string_view request, std::vector<File> files = {});
  Result<std::string> wait(Call& call, const CallOptions& options);

  template <class Reply, class... Request>
  Result<Reply> call(Say say, const CallOptions& options, std::vector<File>&& files, const Request&... request) {
    HAL_TRY(const std::string bytes, wait(*begin(say, encode(request...), std::move(files)), options));
    Reply reply{};
    if (!decode(bytes, reply)) return Error{Code::internal, backend_ + ": the host's answer is cut short"};
    return reply;
  }
  template <class... Request>
  void post(Say say, const Request&... request) {
    channel_->send(say, 0, encode(request...));
  }
  // An error where the process has ended; `finished` is not called then.
  Status submit(const Submit& submit, Finished finished);
  // A timeline that fails with the process; an error where that has ended.
  Status list(Id id, const std::shared_ptr<HostTimeline>& timeline);
  // The host forgets the object.
  void release(Id id);

  Slot take_slot();                         // waits for one
  std::optional<Slot> take_another_slot();  // if one is free
  void give_slot(const Slot& slot);

 private:
  Connection(std::string backend, const Options& options) : backend_(std::move(backend)), options_(options) {}
  void read();  // the thread
  bool take(Message message);
  std::string overdue();
  void end(std::string why);
  void close();
  struct Owner;

  const std::string backend_;
  const Options options_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Process> process_;
  std::shared_ptr<const Mapping> region_;
  std::atomic<Id> next_{1};

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Call>> calls_;
  std::map<std::uint64_t, Finished> flights_;  // submissions the host works on
  std::map<Id, std::weak_ptr<HostTimeline>> timelines_;
  std::optional<Error> lost_;
  std::string reason_;  // why we ended it
  bool closing_ = false;
  std::chrono::steady_clock::time_point closed_{};

  std::mutex slots_mutex_;
  std::condition_variable slot_free_;
  std::vector<Bytes> slots_;

  // Of the reading thread.
  std::chrono::steady_clock::time_point heard_{};
  std::shared_ptr<Call> ping_;
  std::chrono::steady_clock::time_point pinged_{};
};

}  // namespace switchyard::backends::remote
