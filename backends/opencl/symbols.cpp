#include "backends/opencl/symbols.h"

#include <string_view>

#include "hal/shared/dynlib.h"

namespace switchyard::backends::opencl {
namespace {

hal::Result<const Symbols*> load() {
  static constexpr const char* names[] = {"libOpenCL.so.1", "libOpenCL.so"};
  HAL_TRY(hal::Dynlib library, hal::Dynlib::open(names));
  static Symbols table;
#define X(name)                                                            \
  table.name = reinterpret_cast<decltype(&::name)>(library.symbol(#name)); \
  if (!table.name)                                                         \
    return hal::Error{hal::Code::unavailable, library.path() + " has no function " #name "; OpenCL 1.2 is needed"};
#include "backends/opencl/symbols.def"
#undef X
  return &table;
}

hal::Code code_of(cl_int code) {
  switch (code) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE: return hal::Code::out_of_memory;
    case CL_DEVICE_NOT_FOUND:
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_COMPILER_NOT_AVAILABLE: return hal::Code::unavailable;
    case CL_INVALID_WORK_GROUP_SIZE:
    case CL_INVALID_OPERATION: return hal::Code::unsupported;
    default: return hal::Code::internal;
  }
}

}  // namespace

hal::Result<const Symbols*> symbols() {
  static const hal::Result<const Symbols*> loaded = load();
  return loaded;
}

hal::Error error_of(const char* call, cl_int code) {
  std::string_view text(call);
  if (auto begin = text.find("cl."); begin != text.npos) text.remove_prefix(begin + 3);
  text = text.substr(0, text.find('('));
  return hal::Error{code_of(code), std::string(text) + ": " + name_of(code) + " (" + std::to_string(code) + ")"};
}

const char* name_of(cl_int code) {
  switch (code) {
#define X(name) \
  case name: return #name;
    X(CL_DEVICE_NOT_FOUND)
    X(CL_DEVICE_NOT_AVAILABLE)
    X(CL_COMPILER_NOT_AVAILABLE)
    X(CL_MEM_OBJECT_ALLOCATION_FAILURE)
    X(CL_OUT_OF_RESOURCES)
    X(CL_OUT_OF_HOST_MEMORY)
    X(CL_PROFILING_INFO_NOT_AVAILABLE)
    X(CL_MEM_COPY_OVERLAP)
    X(CL_BUILD_PROGRAM_FAILURE)
    X(CL_MAP_FAILURE)
    X(CL_MISALIGNED_SUB_BUFFER_OFFSET)
    X(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
    X(CL_INVALID_VALUE)
    X(CL_INVALID_DEVICE_TYPE)
    X(CL_INVALID_PLATFORM)
    X(CL_INVALID_DEVICE)
    X(CL_INVALID_CONTEXT)
    X(CL_INVALID_QUEUE_PROPERTIES)
    X(CL_INVALID_COMMAND_QUEUE)
    X(CL_INVALID_MEM_OBJECT)
    X(CL_INVALID_BUILD_OPTIONS)
    X(CL_INVALID_PROGRAM)
    X(CL_INVALID_PROGRAM_EXECUTABLE)
    X(CL_INVALID_KERNEL_NAME)
    X(CL_INVALID_KERNEL_DEFINITION)
    X(CL_INVALID_KERNEL)
    X(CL_INVALID_ARG_INDEX)
    X(CL_INVALID_ARG_VALUE)
    X(CL_INVALID_ARG_SIZE)
    X(CL_INVALID_KERNEL_ARGS)
    X(CL_INVALID_WORK_DIMENSION)
    X(CL_INVALID_WORK_GROUP_SIZE)
    X(CL_INVALID_WORK_ITEM_SIZE)
    X(CL_INVALID_GLOBAL_OFFSET)
    X(CL_INVALID_EVENT_WAIT_LIST)
    X(CL_INVALID_EVENT)
    X(CL_INVALID_OPERATION)
    X(CL_INVALID_BUFFER_SIZE)
    X(CL_INVALID_GLOBAL_WORK_SIZE)
    X(CL_INVALID_PROPERTY)
#undef X
    case -1001: return "CL_PLATFORM_NOT_FOUND_KHR";
    default: return "an error without a name";
  }
}

}  // namespace switchyard::backends::opencl
