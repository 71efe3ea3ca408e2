#include "backends/opencl/device.h"

#include "backends/opencl/memory.h"
#include "backends/opencl/program.h"
#include "backends/opencl/queue.h"
#include "hal/shared/host_timeline.h"

namespace switchyard::backends::opencl {

using namespace hal;

Result<std::shared_ptr<Device>> Device::open(const Symbols& cl, cl_device_id id, DeviceWords words, const Host& host) {
  std::shared_ptr<Device> device(new Device(cl, id, std::move(words), host));
  cl_int code = CL_SUCCESS;
  device->context_ = cl.clCreateContext(nullptr, 1, &id, nullptr, nullptr, &code);
  if (code != CL_SUCCESS) return error_of("cl.clCreateContext", code);
  device->transfers_ = cl.clCreateCommandQueue(device->context_, id, 0, &code);
  if (code != CL_SUCCESS) return error_of("cl.clCreateCommandQueue", code);
  device->nothing_ = cl.clCreateBuffer(device->context_, CL_MEM_READ_WRITE, 64, nullptr, &code);
  if (code != CL_SUCCESS) return error_of("cl.clCreateBuffer", code);
  return device;
}

Device::~Device() {
  for (auto& [key, program] : programs_) cl.clReleaseProgram(program);
  if (nothing_) cl.clReleaseMemObject(nothing_);
  if (transfers_) cl.clReleaseCommandQueue(transfers_);
  if (context_) cl.clReleaseContext(context_);
}

Result<std::vector<Heap>> Device::heaps() const {
  Bytes used = used_;
  return std::vector<Heap>{
      {words_.memory, words_.memory > used ? words_.memory - used : 0, used, true, words_.unified}};
}

Path Device::path(const hal::Device&) const { return Path::staged; }

Status Device::take(Bytes bytes, const std::string& label) {
  Bytes used = used_;
  auto refuse = [&](const std::string& why) {
    return Error{Code::out_of_memory, info().id + ": asked " + std::to_string(bytes) + " bytes for " +
                                          (label.empty() ? "a buffer" : label) + ", used " + std::to_string(used) +
                                          ", budget " +
                                          std::to_string(words_.memory > used ? words_.memory - used : 0) + why};
  };
  if (bytes > info().limits.max_buffer)
    return refuse(", largest single allocation " + std::to_string(info().limits.max_buffer));
  do {
    if (used + bytes > words_.memory) return refuse("");
  } while (!used_.compare_exchange_weak(used, used + bytes));
  return ok();
}

Result<BufferRef> Device::allocate(const BufferDesc& desc) { return Buffer::make(shared_from_this(), desc); }

Result<TimelineRef> Device::create_timeline(std::uint64_t initial) {
  return TimelineRef(std::make_shared<HostTimeline>(initial));
}

Result<std::shared_ptr<hal::Queue>> Device::create_queue(QueueKind) { return make_queue(shared_from_this()); }

Claim Device::claim(const Segment& segment) const {
  if (host_.kernels) return host_.kernels->claim(segment, info());
  Claim none;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n)
    none.declined.push_back({n, info().id + " was opened without kernels"});
  return none;
}

Result<ProgramRef> Device::compile(const Segment& segment, const CompileOptions& options) {
  if (!host_.kernels) return Error{Code::unsupported, info().id + " was opened without kernels"};
  HAL_TRY(Lowered lowered, host_.kernels->lower(segment, info()));
  return Program::make(shared_from_this(), segment, std::move(lowered), options);
}

Result<cl_program> Device::build(std::span<const std::byte> code, const std::string& options) {
  std::lock_guard lock(build_mutex_);
  cl_program& known = programs_[{code.data(), options}];
  if (known) return known;
  auto* text = reinterpret_cast<const char*>(code.data());
  const std::size_t length = code.size();
  cl_int status = CL_SUCCESS;
  cl_program program = cl.clCreateProgramWithSource(context_, 1, &text, &length, &status);
  if (status != CL_SUCCESS) return error_of("cl.clCreateProgramWithSource", status);
  const std::string all = "-cl-std=CL1.2 " + options;
  status = cl.clBuildProgram(program, 1, &id_, all.c_str(), nullptr, nullptr);
  if (status != CL_SUCCESS) {
    Error error = error_of("cl.clBuildProgram", status);
    std::size_t size = 0;
    cl.clGetProgramBuildInfo(program, id_, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size);
    std::string log(size, '\0');
    if (size) cl.clGetProgramBuildInfo(program, id_, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
    cl.clReleaseProgram(program);
    error.message += " with \"" + all + "\" on " + info().name + ", " + info().driver + ":\n" + log.substr(0, 4000);
    return error;
  }
  known = program;
  return program;
}

}  // namespace switchyard::backends::opencl
