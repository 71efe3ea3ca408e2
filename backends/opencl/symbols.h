// OpenCL's functions, found at run time, and its errors.
#pragma once
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include "hal/result.h"

namespace switchyard::backends::opencl {

struct Symbols {
#define X(name) decltype(&::name) name = nullptr;
#include "backends/opencl/symbols.def"
#undef X
};

// Loads the library on the first call; the same answer ever after. unavailable with the loader's own words.
hal::Result<const Symbols*> symbols();

const char* name_of(cl_int code);  // "CL_OUT_OF_RESOURCES"

// "clFinish: CL_OUT_OF_RESOURCES (-5)"; `call` may be a whole expression, of which the function's name is kept.
hal::Error error_of(const char* call, cl_int code);

}  // namespace switchyard::backends::opencl

// OPENCL_CHECK(cl.clFinish(queue)): returns the error from the enclosing function.
#define OPENCL_CHECK(...)                                                          \
  do {                                                                             \
    if (cl_int opencl_code_ = (__VA_ARGS__); opencl_code_ != CL_SUCCESS)           \
      return ::switchyard::backends::opencl::error_of(#__VA_ARGS__, opencl_code_); \
  } while (false)
