// Device: the contract a backend fills. A device knows buffers, timelines, queues and programs; it knows no op.
//
// It answers two questions: claim (which nodes would you take, in which least groups, and why not the others) and
// compile (make a program of them). A CPU takes functions, a GPU kernels, an NPU graphs; who asks need not know which.
#pragma once
#include <functional>
#include <stop_token>

#include "hal/info.h"
#include "hal/kernels.h"
#include "hal/program.h"

namespace switchyard::hal {

// How bytes reach another device. The speed is measured by probes/, never declared.
enum class Path : std::uint8_t { staged, peer, shared };
const char* to_string(Path path);

enum class QueueKind : std::uint8_t { any, compute, transfer };

struct CompileOptions {
  std::stop_token stop;
  std::function<void(float)> progress;  // 0..1, from the compiling thread
  std::string cache_dir;                // empty: no cache on disk
};

// Any thread. Closing a device waits for its queues.
struct Device {
  virtual ~Device() = default;
  virtual const Info& info() const = 0;
  virtual Result<std::vector<Heap>> heaps() const = 0;
  virtual Path path(const Device& to) const = 0;
  virtual Result<BufferRef> allocate(const BufferDesc& desc) = 0;
  virtual Result<BufferRef> adopt(const External&) { return Error{Code::unsupported, "adopt: " + info().id}; }
  virtual Result<TimelineRef> create_timeline(std::uint64_t initial) = 0;
  virtual Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) = 0;
  virtual Claim claim(const Segment& segment) const = 0;  // pure and cheap
  // Whole claimed groups only; else unsupported, naming the node and why.
  virtual Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) = 0;
};
using DeviceRef = std::shared_ptr<Device>;

}  // namespace switchyard::hal
