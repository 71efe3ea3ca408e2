#include "backends/opencl/program.h"

#include "hal/shared/host_queue.h"

namespace switchyard::backends::opencl {

using namespace hal;

namespace {

Status check_kernel(const Device& device, const Launch& launch, cl_kernel kernel) {
  const Symbols& cl = device.cl;
  cl_uint arguments = 0;
  OPENCL_CHECK(cl.clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof arguments, &arguments, nullptr));
  if (arguments != launch.arguments.size() + 1)
    return Error{Code::internal, "kernel " + launch.entry + " takes " + std::to_string(arguments) +
                                     " arguments, its launch gives " + std::to_string(launch.arguments.size()) +
                                     " and the parameters"};
  std::size_t most = 0;
  OPENCL_CHECK(
      cl.clGetKernelWorkGroupInfo(kernel, device.id(), CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, nullptr));
  std::size_t wanted = std::size_t{launch.group[0]} * launch.group[1] * launch.group[2];
  if (wanted > most)
    return Error{Code::unsupported, "kernel " + launch.entry + " needs workgroups of " + std::to_string(wanted) + ", " +
                                        device.info().id + " can give it " + std::to_string(most)};
  return ok();
}

Result<BufferRef> make_constant(Device& device, const LaunchPlan::Held& held) {
  for (const Constant& c : held.sources)
    if (c.data.empty() && held.bytes)
      return Error{Code::invalid_argument, "constant " + std::to_string(c.value) +
                                               " has no data; a segment without data can be claimed, not compiled"};
  HAL_TRY(BufferRef buffer, device.allocate({held.bytes, Memory::device, "constant"}));
  if (held.layout.empty() && held.sources.size() == 1 && held.sources[0].data.size() == held.bytes) {
    HAL_CHECK(buffer->write(0, held.sources[0].data));
    return buffer;
  }
  std::vector<std::byte> bytes(held.bytes);
  HAL_CHECK(held.write(bytes));
  HAL_CHECK(buffer->write(0, bytes));
  return buffer;
}

}  // namespace

Result<ProgramRef> Program::make(std::shared_ptr<Device> device, const Segment& segment, Lowered lowered,
                                 const CompileOptions& options) {
  const Symbols& cl = device->cl;
  std::shared_ptr<Program> program(new Program(device));
  HAL_TRY(program->plan_, LaunchPlan::make(segment, std::move(lowered), device->info().limits.align));
  const LaunchPlan& plan = program->plan_;
  program->inputs_ = segment.inputs.size();
  program->outputs_ = segment.outputs.size();

  const auto total = static_cast<float>(plan.launches.size() + plan.constants.size());
  float done = 0;
  auto step = [&]() -> Status {
    if (options.progress) options.progress(++done / total);
    if (options.stop.stop_requested()) return Error{Code::timed_out, "compile: stopped by the caller"};
    return ok();
  };
  program->bound_.resize(plan.launches.size());
  for (std::size_t l = 0; l < plan.launches.size(); ++l) {
    const Launch& launch = plan.launches[l];
    HAL_TRY(cl_program built, device->build(launch.code, launch.build_options));
    cl_int code = CL_SUCCESS;
    Bound& bound = program->bound_[l];
    bound.kernel = cl.clCreateKernel(built, launch.entry.c_str(), &code);
    if (code != CL_SUCCESS) {
      Error error = error_of("cl.clCreateKernel", code);
      error.message += " for " + launch.entry + " with \"" + launch.build_options + "\"";
      return error;
    }
    HAL_CHECK(check_kernel(*device, launch, bound.kernel));
    bound.views.resize(launch.arguments.size());
    HAL_CHECK(step());
  }
  for (const LaunchPlan::Held& held : plan.constants) {
    HAL_TRY(BufferRef buffer,
            device->constants().get(held.key, held.layout, [&] { return make_constant(*device, held); }));
    program->constants_.push_back(std::move(buffer));
    HAL_CHECK(step());
  }
  return ProgramRef(program);
}

Program::~Program() {
  for (Bound& b : bound_)
    if (b.kernel) device_->cl.clReleaseKernel(b.kernel);
}

Status Program::bind(std::size_t index, const Run& run, Dims dims) {
  const Symbols& cl = device_->cl;
  const Launch& launch = plan_.launches[index];
  Bound& bound = bound_[index];
  for (std::size_t a = 0; a < launch.arguments.size(); ++a) {
    Slice slice = plan_.resolve(launch.arguments[a], run, constants_);
    const auto position = static_cast<cl_uint>(a);
    if (!slice.buffer || slice.size() == 0) {
      cl_mem nothing = device_->nothing();
      OPENCL_CHECK(cl.clSetKernelArg(bound.kernel, position, sizeof nothing, &nothing));
      bound.views[a].reset();
      continue;
    }
    HAL_TRY(Buffer * buffer, own(*device_, slice));
    HAL_TRY(ViewRef view, buffer->view(slice.offset, slice.size()));
    if (bound.views[a].lock() == view) continue;
    cl_mem memory = view->memory();
    OPENCL_CHECK(cl.clSetKernelArg(bound.kernel, position, sizeof memory, &memory));
    bound.views[a] = view;
  }
  auto parameters = parameter_block(launch, dims);
  if (parameters != bound.parameters) {
    OPENCL_CHECK(cl.clSetKernelArg(bound.kernel, static_cast<cl_uint>(launch.arguments.size()), parameters.size(),
                                   parameters.data()));
    bound.parameters = std::move(parameters);
  }
  return ok();
}

// Whether the last run had the same slices and dims and all it bound is still there; then `views` holds it.
bool Program::recorded(const Run& run, std::vector<ViewRef>& views) const {
  if (!valid_ || run.dims != dims_ || run.slices.size() != slices_.size() || !scratch_.same(run.scratch)) return false;
  for (std::size_t i = 0; i < slices_.size(); ++i)
    if (!slices_[i].same(run.slices[i])) return false;
  const std::size_t before = views.size();
  for (const Step& step : steps_) {
    const Launch& launch = plan_.launches[step.launch];
    for (std::size_t a = 0; a < launch.arguments.size(); ++a) {
      ViewRef view = bound_[step.launch].views[a].lock();
      if (view) {
        views.push_back(std::move(view));
      } else if (launch.arguments[a].value != no_value) {
        views.resize(before);
        return false;
      }
    }
  }
  return true;
}

Status Program::record(const Run& run, Dims dims) {
  valid_ = false;
  steps_.clear();
  for (std::size_t l = 0; l < plan_.launches.size(); ++l) {
    const Launch& launch = plan_.launches[l];
    if (!runs(launch, dims)) continue;
    HAL_CHECK(bind(l, run, dims));
    auto grid = launch.grid(launch, dims);
    Step step{l, {}};
    for (std::size_t i = 0; i < 3; ++i) step.global[i] = std::size_t{grid[i]} * launch.group[i];
    steps_.push_back(step);
  }
  slices_.clear();
  for (const Slice& s : run.slices) slices_.push_back({s.buffer, s.offset, s.bytes});
  scratch_ = {run.scratch.buffer, run.scratch.offset, run.scratch.bytes};
  dims_ = run.dims;
  valid_ = true;
  return ok();
}

// Before: host-visible slices go to the device, except outputs. After: states and outputs come back.
Status Program::host_copies(const Run& run, Dims dims, cl_command_queue queue, bool after) const {
  const Symbols& cl = device_->cl;
  for (std::size_t i = 0; i < run.slices.size(); ++i) {
    const Slice& slice = run.slices[i];
    const bool output = i >= run.slices.size() - outputs_;
    if (after ? i < inputs_ : output) continue;
    HAL_TRY(Buffer * buffer, own(*device_, slice));
    const bool state = i >= plan_.first_state && i < plan_.end_state;
    Bytes bytes = state ? slice.size() : tensor_bytes(plan_.slice_tensors[i], dims);
    if (!buffer->host() || bytes == 0) continue;
    if (after) {
      OPENCL_CHECK(cl.clEnqueueReadBuffer(queue, buffer->memory(), CL_FALSE, slice.offset, bytes,
                                          buffer->host() + slice.offset, 0, nullptr, nullptr));
    } else {
      OPENCL_CHECK(cl.clEnqueueWriteBuffer(queue, buffer->memory(), CL_FALSE, slice.offset, bytes,
                                           buffer->host() + slice.offset, 0, nullptr, nullptr));
    }
  }
  return ok();
}

Status Program::time_step(const Step& step, cl_command_queue queue, std::uint32_t command,
                          std::vector<Span>& spans) const {
  const Symbols& cl = device_->cl;
  const Launch& launch = plan_.launches[step.launch];
  const std::size_t local[3] = {launch.group[0], launch.group[1], launch.group[2]};
  OPENCL_CHECK(cl.clFinish(queue));
  cl_event event = nullptr;
  auto begin = steady_now();
  OPENCL_CHECK(
      cl.clEnqueueNDRangeKernel(queue, bound_[step.launch].kernel, 3, nullptr, step.global, local, 0, nullptr, &event));
  cl_int finished = cl.clFinish(queue);
  auto end = steady_now();
  cl_ulong first = 0, last = 0;
  cl_int timed = cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof first, &first, nullptr);
  if (timed == CL_SUCCESS)
    timed = cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof last, &last, nullptr);
  cl.clReleaseEvent(event);
  OPENCL_CHECK(finished);
  // The device's clock gives the length, the host's the place; a driver whose clock makes no sense: the host's for
  // both.
  std::chrono::nanoseconds length(last - first);
  if (timed == CL_SUCCESS && last > first && length <= end - begin) begin = end - length;
  spans.push_back({command, launch.node, begin, end});
  return ok();
}

Status Program::enqueue(const Run& run, cl_command_queue queue, std::uint32_t command, std::vector<Span>* spans,
                        std::vector<ViewRef>& views) {
  auto dims = padded(run.dims);
  HAL_CHECK(plan_.check(run, dims));
  std::lock_guard lock(mutex_);
  if (!recorded(run, views)) {
    HAL_CHECK(record(run, dims));
    if (!recorded(run, views)) return Error{Code::internal, "a run's memory went away while it was recorded"};
  }
  HAL_CHECK(host_copies(run, dims, queue, false));
  const Symbols& cl = device_->cl;
  for (const Step& step : steps_) {
    if (spans) {
      HAL_CHECK(time_step(step, queue, command, *spans));
      continue;
    }
    const Launch& launch = plan_.launches[step.launch];
    const std::size_t local[3] = {launch.group[0], launch.group[1], launch.group[2]};
    if (cl_int code = cl.clEnqueueNDRangeKernel(queue, bound_[step.launch].kernel, 3, nullptr, step.global, local, 0,
                                                nullptr, nullptr)) {
      Error error = error_of("cl.clEnqueueNDRangeKernel", code);
      error.message += " for " + launch.entry + " of node " + std::to_string(launch.node);
      return error;
    }
  }
  return host_copies(run, dims, queue, true);
}

}  // namespace switchyard::backends::opencl
