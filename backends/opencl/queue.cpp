#include "backends/opencl/queue.h"

#include <algorithm>

#include "backends/opencl/program.h"
#include "hal/shared/host_queue.h"
#include "hal/shared/staging.h"

namespace switchyard::backends::opencl {

using namespace hal;

namespace {

class Executor {
 public:
  explicit Executor(std::shared_ptr<Device> device) : device_(std::move(device)), cl(device_->cl) {}
  ~Executor() {
    if (queue_) cl.clReleaseCommandQueue(queue_);
    if (profiled_) cl.clReleaseCommandQueue(profiled_);
  }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  Status open() { return create(0, queue_); }

  Status execute(const Submission& submission) {
    Timing* timing = submission.timing.get();
    const bool spans = timing && timing->want_spans;
    if (spans && !profiled_) HAL_CHECK(create(CL_QUEUE_PROFILING_ENABLE, profiled_));
    cl_command_queue queue = spans ? profiled_ : queue_;
    Status status = enqueue(submission.commands, queue, spans ? &timing->spans : nullptr);
    cl_int finished = cl.clFinish(queue);  // also after an error: what was enqueued uses the submission's memory
    views_.clear();
    if (!status) return status;
    OPENCL_CHECK(finished);
    return ok();
  }

 private:
  Status create(cl_command_queue_properties properties, cl_command_queue& queue) {
    cl_int code = CL_SUCCESS;
    queue = cl.clCreateCommandQueue(device_->context(), device_->id(), properties, &code);
    OPENCL_CHECK(code);
    return ok();
  }

  Status enqueue(std::span<const Command> commands, cl_command_queue queue, std::vector<Span>* spans) {
    for (std::uint32_t i = 0; i < commands.size(); ++i) {
      if (auto* copy = std::get_if<Copy>(&commands[i])) {
        HAL_CHECK(enqueue_copy(*copy, queue));
      } else if (auto* fill = std::get_if<Fill>(&commands[i])) {
        HAL_CHECK(enqueue_fill(*fill, queue));
      } else {
        HAL_CHECK(enqueue_run(std::get<Run>(commands[i]), queue, i, spans));
      }
    }
    return ok();
  }

  Status enqueue_run(const Run& run, cl_command_queue queue, std::uint32_t command, std::vector<Span>* spans) {
    auto* program = dynamic_cast<Program*>(run.program.get());
    if (!program) return Error{Code::invalid_argument, "run: the program was not compiled by an OpenCL device"};
    return program->enqueue(run, queue, command, spans, views_);
  }

  Status check(const char* what, const Slice& s) {
    if (s.buffer && s.offset <= s.buffer->bytes() && s.size() <= s.buffer->bytes() - s.offset) return ok();
    return Error{Code::invalid_argument,
                 std::string(what) + ": " + std::to_string(s.bytes) + " bytes at " + std::to_string(s.offset) + " of " +
                     (s.buffer ? "a buffer of " + std::to_string(s.buffer->bytes()) : std::string("no buffer"))};
  }

  Status enqueue_copy(const Copy& copy, cl_command_queue queue) {
    HAL_CHECK(check("copy from", copy.src));
    HAL_CHECK(check("copy to", copy.dst));
    const Bytes bytes = copy.src.size();
    if (bytes != copy.dst.size())
      return Error{Code::invalid_argument,
                   "copy: " + std::to_string(bytes) + " bytes into " + std::to_string(copy.dst.size())};
    if (bytes == 0) return ok();
    auto from = own(*device_, copy.src), to = own(*device_, copy.dst);
    if (!from || !to) {
      OPENCL_CHECK(cl.clFinish(queue));
      return staged_copy(copy.src, copy.dst);
    }
    Buffer &src = **from, &dst = **to;
    if (src.host() && dst.host()) {
      OPENCL_CHECK(cl.clFinish(queue));
      std::memmove(dst.host() + copy.dst.offset, src.host() + copy.src.offset, bytes);
    } else if (src.host()) {
      OPENCL_CHECK(cl.clEnqueueWriteBuffer(queue, dst.memory(), CL_FALSE, copy.dst.offset, bytes,
                                           src.host() + copy.src.offset, 0, nullptr, nullptr));
    } else if (dst.host()) {
      OPENCL_CHECK(cl.clEnqueueReadBuffer(queue, src.memory(), CL_FALSE, copy.src.offset, bytes,
                                          dst.host() + copy.dst.offset, 0, nullptr, nullptr));
    } else {
      OPENCL_CHECK(cl.clEnqueueCopyBuffer(queue, src.memory(), dst.memory(), copy.src.offset, copy.dst.offset, bytes, 0,
                                          nullptr, nullptr));
    }
    return ok();
  }

  Status enqueue_fill(const Fill& fill, cl_command_queue queue) {
    HAL_CHECK(check("fill", fill.dst));
    const Bytes bytes = fill.dst.size();
    if (bytes % 4 || fill.dst.offset % 4)
      return Error{Code::invalid_argument, "fill: " + std::to_string(bytes) + " bytes at " +
                                               std::to_string(fill.dst.offset) + " are no whole words"};
    if (bytes == 0) return ok();
    HAL_TRY(Buffer * buffer, own(*device_, fill.dst));
    if (buffer->host()) {
      OPENCL_CHECK(cl.clFinish(queue));
      for (Bytes b = 0; b < bytes; b += 4) std::memcpy(buffer->host() + fill.dst.offset + b, &fill.word, 4);
      return ok();
    }
    OPENCL_CHECK(
        cl.clEnqueueFillBuffer(queue, buffer->memory(), &fill.word, 4, fill.dst.offset, bytes, 0, nullptr, nullptr));
    return ok();
  }

  std::shared_ptr<Device> device_;
  const Symbols& cl;
  cl_command_queue queue_ = nullptr, profiled_ = nullptr;
  std::vector<ViewRef> views_;  // of the submission in progress
};

}  // namespace

Result<std::shared_ptr<hal::Queue>> make_queue(std::shared_ptr<Device> device) {
  auto executor = std::make_shared<Executor>(device);
  HAL_CHECK(executor->open());
  return std::shared_ptr<hal::Queue>(std::make_shared<HostQueue>(
      [executor](const Submission& submission) { return executor->execute(submission); }, device));
}

}  // namespace switchyard::backends::opencl
