#include <unistd.h>

#include "backends/remote/device.h"

namespace switchyard::backends::remote {
namespace {

class RemoteBackend final : public Backend {
 public:
  RemoteBackend(std::string name, Options options) : name_(std::move(name)), options_(std::move(options)) {
    const char* program = std::getenv("SWITCHYARD_BACKEND_HOST");
    if (options_.command.empty() && program && *program) options_.command = {program, "backend-host"};
  }

  std::string_view name() const override { return name_; }

  Discovery discover() override {
    auto found = ask();
    if (found) {
      for (Info& info : found->devices) info.driver += own_process;
      return *found;
    }
    const Code code = found.error().code;
    const char* word = code == Code::timed_out ? "timed_out" : code == Code::device_lost ? "crashed" : "no_host";
    return {{},
            {{name_, word, found.error().message,
              code == Code::unavailable ? "set SWITCHYARD_BACKEND_HOST to the switchyard tool"
                                        : "update the driver, or leave " + name_ + " out"}}};
  }

  Result<DeviceRef> open(std::string_view id, const Host& host) override {
    HAL_TRY(ConnectionRef connection, connected());
    auto device = RemoteDevice::open(connection, id, host);
    if (device && host.log) host.log(2, std::string(id) + ": in host process " + std::to_string(connection->process()));
    return device;
  }

 private:
  Result<Discovery> ask() {
    HAL_TRY(ConnectionRef connection, connected());
    Connection::CallOptions limited;
    limited.patience = options_.patience;
    return connection->call<Discovery>(Say::discover, limited, {});
  }

  Result<ConnectionRef> connected() {
    std::lock_guard lock(mutex_);
    // After a fork it is the other process's, whose thread reads it; nothing here may close it, so it is left behind.
    if (connection_ && started_by_ != getpid())
      (void)std::make_unique<ConnectionRef>(std::exchange(connection_, nullptr)).release();
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): that is meant
    if (connection_ && !connection_->lost()) return connection_;
    connection_ = nullptr;
    if (options_.command.empty())
      return Error{Code::unavailable, name_ + ": no program is named that becomes its host process"};
    HAL_TRY(connection_, Connection::start(name_, options_));
    started_by_ = getpid();
    return connection_;
  }

  const std::string name_;
  Options options_;
  std::mutex mutex_;
  ConnectionRef connection_;
  pid_t started_by_ = 0;
};

}  // namespace

BackendRef make(std::string name, Options options) {
  return std::make_shared<RemoteBackend>(std::move(name), std::move(options));
}

int process_of(const Device& device) {
  auto* remote = dynamic_cast<const RemoteDevice*>(&device);
  return remote ? remote->connection()->process() : 0;
}

Status kill(const Device& device) {
  auto* remote = dynamic_cast<const RemoteDevice*>(&device);
  if (!remote)
    return Error{Code::unsupported,
                 "kill: " + device.info().id + " has no process of its own, or has a layer around it"};
  remote->connection()->kill("the application asked for it");
  return ok();
}

}  // namespace switchyard::backends::remote
