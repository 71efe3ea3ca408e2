// The host's side: takes calls and submissions from the socket and gives them to the backend.
//   the reading thread  submissions, signals, releases: in the order they came
//   one thread          calls that are short, and pings: one that hangs in the driver leaves a ping unanswered
//   a thread each       discover, open and compile
#pragma once
#include <condition_variable>
#include <map>
#include <thread>

#include "backends/remote.h"
#include "backends/remote/objects.h"

namespace switchyard::backends::remote {

class HostSide {
 public:
  HostSide(std::unique_ptr<Channel> channel, Backend& backend, const Host& host, const Fault& fault)
      : channel_(std::move(channel)), backend_(backend), host_(host), fault_(fault) {}
  void run();  // until the application goes

 private:
  bool take(Message message);
  void work(const std::stop_token& stop);
  void aside(std::uint64_t number, std::function<void(std::stop_token)> call);
  void reply(std::uint64_t number, std::string_view answer) { channel_->send(Say::reply, number, answer); }
  void maybe(Fault::At at);

  std::string call(Message& message, const std::stop_token& stop);  // gives the whole answer
  Status greet(Message& message);
  Result<Info> open(const Open& request);
  Result<std::vector<Heap>> heaps(Id id);
  Status allocate(const Allocate& request, std::vector<File>& files);
  Status move(Say say, const Move& request);
  Status make_queue(const MakeQueue& request);
  Result<Claim> claim(const AskClaim& request);
  Result<Compiled> compile(Compile& request, std::vector<File>& files, std::uint64_t number,
                           const std::stop_token& stop);

  void submit(std::uint64_t number, const Submit& request);
  Status submit_now(std::uint64_t number, const Submit& request);
  struct Plan;  // a submission's commands for the device, and which of the application's each one serves
  Status add(const Step& step, std::uint32_t index, const DeviceRef& device, Plan& plan);
  Result<Slice> on_device(const Part& part, const DeviceRef& device, bool read, bool write, Plan& plan,
                          std::vector<Command>& after);

  std::unique_ptr<Channel> channel_;
  Backend& backend_;
  const Host host_;
  const Fault fault_;
  std::atomic<std::uint64_t> counts_[5] = {};
  Objects objects_;
  std::shared_ptr<const Mapping> region_;

  std::mutex shared_mutex_;
  std::map<const Device*, Bytes> shared_;  // bytes of shared memory made for a device

  std::mutex blobs_mutex_;
  std::unordered_map<Id, std::weak_ptr<const Mapping>> blobs_;

  std::mutex calls_mutex_;
  std::condition_variable_any arrived_;
  std::deque<std::function<void()>> calls_;
  std::map<std::uint64_t, std::jthread> aside_;
  std::vector<std::uint64_t> aside_done_;
  std::jthread worker_;
};

}  // namespace switchyard::backends::remote
