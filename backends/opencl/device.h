// One OpenCL device: a context of its own, and what every buffer, program and queue of it shares.
#pragma once
#include <atomic>
#include <map>

#include "backends/opencl/convert.h"
#include "hal/backend.h"
#include "hal/shared/launch_plan.h"

namespace switchyard::backends::opencl {

class Device final : public hal::Device, public std::enable_shared_from_this<Device> {
 public:
  static hal::Result<std::shared_ptr<Device>> open(const Symbols& cl, cl_device_id id, DeviceWords words,
                                                   const hal::Host& host);
  ~Device() override;

  const hal::Info& info() const override { return words_.info; }
  hal::Result<std::vector<hal::Heap>> heaps() const override;
  hal::Path path(const hal::Device& to) const override;
  hal::Result<hal::BufferRef> allocate(const hal::BufferDesc& desc) override;
  hal::Result<hal::TimelineRef> create_timeline(std::uint64_t initial) override;
  hal::Result<std::shared_ptr<hal::Queue>> create_queue(hal::QueueKind kind) override;
  hal::Claim claim(const hal::Segment& segment) const override;
  hal::Result<hal::ProgramRef> compile(const hal::Segment& segment, const hal::CompileOptions& options) override;

  const Symbols& cl;
  const void* identity() const { return static_cast<const hal::Device*>(this); }
  cl_context context() const { return context_; }
  cl_device_id id() const { return id_; }
  cl_command_queue transfers() const { return transfers_; }  // for Buffer::read and write; in order, any thread
  cl_mem nothing() const { return nothing_; }                // bound where a launch has no value
  hal::ConstantStore& constants() { return constants_; }

  // Reserves device bytes against the total, or out_of_memory with asked, used and budget.
  hal::Status take(hal::Bytes bytes, const std::string& label);
  void give_back(hal::Bytes bytes) { used_ -= bytes; }

  // Builds a source once per options; the program lives as long as the device. `code` is static storage.
  hal::Result<cl_program> build(std::span<const std::byte> code, const std::string& options);

 private:
  Device(const Symbols& symbols, cl_device_id id, DeviceWords words, const hal::Host& host)
      : cl(symbols), id_(id), words_(std::move(words)), host_(host) {}

  cl_device_id id_;
  DeviceWords words_;
  hal::Host host_;
  cl_context context_ = nullptr;
  cl_command_queue transfers_ = nullptr;
  cl_mem nothing_ = nullptr;
  std::atomic<hal::Bytes> used_{0};
  hal::ConstantStore constants_;
  std::mutex build_mutex_;
  std::map<std::pair<const std::byte*, std::string>, cl_program> programs_;
};

}  // namespace switchyard::backends::opencl
