// A compiled segment: one kernel object per launch. What a run binds is recorded, so that the same run again is only a
// list of enqueues.
#pragma once
#include "backends/opencl/memory.h"

namespace switchyard::backends::opencl {

class Program final : public hal::Program {
 public:
  static hal::Result<hal::ProgramRef> make(std::shared_ptr<Device> device, const hal::Segment& segment,
                                           hal::Lowered lowered, const hal::CompileOptions& options);
  ~Program() override;
  hal::Bytes resident() const override { return plan_.resident; }
  hal::Bytes scratch() const override { return plan_.scratch; }

  // Enqueues the run on an in-order queue. The caller keeps `run` alive until the queue has finished, and `views` too.
  // spans: finish after every launch and note its time; the queue must have been made for profiling.
  hal::Status enqueue(const hal::Run& run, cl_command_queue queue, std::uint32_t command, std::vector<hal::Span>* spans,
                      std::vector<ViewRef>& views);

 private:
  explicit Program(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  struct Bound {
    cl_kernel kernel = nullptr;
    std::vector<std::weak_ptr<const View>> views;  // one per argument; what the kernel object holds now
    std::vector<std::byte> parameters;
  };
  struct Step {
    std::size_t launch;
    std::size_t global[3];
  };
  hal::Status record(const hal::Run& run, hal::Dims dims);
  hal::Status bind(std::size_t launch, const hal::Run& run, hal::Dims dims);
  bool recorded(const hal::Run& run, std::vector<ViewRef>& views) const;
  hal::Status host_copies(const hal::Run& run, hal::Dims dims, cl_command_queue queue, bool after) const;
  hal::Status time_step(const Step& step, cl_command_queue queue, std::uint32_t command,
                        std::vector<hal::Span>& spans) const;

  std::shared_ptr<Device> device_;
  hal::LaunchPlan plan_;
  std::size_t inputs_ = 0, outputs_ = 0;  // of the slices: inputs first, outputs last, states between
  std::vector<hal::BufferRef> constants_;
  std::mutex mutex_;  // kernel objects hold arguments: one run is enqueued at a time
  std::vector<Bound> bound_;

  // The last run, to be replayed.
  struct Key {
    std::weak_ptr<hal::Buffer> buffer;
    hal::Bytes offset = 0, bytes = 0;
    bool same(const hal::Slice& s) const { return s.offset == offset && s.bytes == bytes && buffer.lock() == s.buffer; }
  };
  bool valid_ = false;
  std::vector<Key> slices_;
  Key scratch_;
  std::vector<std::int64_t> dims_;
  std::vector<Step> steps_;
};

}  // namespace switchyard::backends::opencl
