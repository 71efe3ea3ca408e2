#include <cstdlib>

#include "backends/opencl/device.h"

namespace switchyard::backends {
namespace opencl {
namespace {

using namespace hal;

struct Found {
  cl_device_id id;
  DeviceWords words;
};

std::string icd_setting() {
  std::string text;
  for (const char* name : {"OCL_ICD_VENDORS", "OCL_ICD_FILENAMES"})
    if (const char* value = std::getenv(name)) text += std::string("; ") + name + " is set to \"" + value + "\"";
  return text;
}

constexpr const char* fix_driver =
    "install a driver: the vendor's OpenCL package for the GPU, intel-opencl-icd, or pocl-opencl-icd for the processor";

// Every device of every platform; what is not usable goes to `absent`.
std::vector<Found> find(const Symbols& cl, std::vector<Absence>& absent) {
  std::vector<Found> found;
  cl_uint count = 0;
  cl_int code = cl.clGetPlatformIDs(0, nullptr, &count);
  if (code != CL_SUCCESS || count == 0) {
    std::string detail = "no OpenCL platform";
    if (code != CL_SUCCESS) detail += ": " + error_of("clGetPlatformIDs", code).message;
    absent.push_back({"opencl", "no_device", detail + icd_setting(), fix_driver});
    return found;
  }
  std::vector<cl_platform_id> platforms(count);
  if (code = cl.clGetPlatformIDs(count, platforms.data(), nullptr); code != CL_SUCCESS) {
    absent.push_back({"opencl", "no_device", error_of("clGetPlatformIDs", code).message + icd_setting(), fix_driver});
    return found;
  }
  for (cl_platform_id platform : platforms) {
    char name[256] = "a platform without a name";
    cl.clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, nullptr);
    cl_uint devices = 0;
    code = cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &devices);
    std::vector<cl_device_id> ids(devices);
    if (code == CL_SUCCESS && devices)
      code = cl.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, devices, ids.data(), nullptr);
    if (code != CL_SUCCESS || devices == 0) {
      std::string detail = std::string(name) + ": no device";
      if (code != CL_SUCCESS) detail += ", " + error_of("clGetDeviceIDs", code).message;
      absent.push_back(
          {"opencl", "no_device", detail, "check that the device is in the machine and that this user may open it"});
      continue;
    }
    for (cl_device_id id : ids) {
      auto words = words_of(cl, platform, id, found.size());
      if (words) {
        found.push_back({id, std::move(*words)});
      } else {
        absent.push_back({"opencl", "no_device", words.error().message, "install a newer driver for it"});
      }
    }
  }
  return found;
}

class OpenclBackend final : public Backend {
 public:
  std::string_view name() const override { return "opencl"; }

  Discovery discover() override {
    Discovery discovery;
    auto cl = symbols();
    if (!cl) {
      discovery.absent.push_back({"opencl", "library_missing", cl.error().message,
                                  "install the loader (ocl-icd-libopencl1) and the device's OpenCL driver"});
      return discovery;
    }
    for (Found& f : find(**cl, discovery.absent)) discovery.devices.push_back(std::move(f.words.info));
    return discovery;
  }

  Result<DeviceRef> open(std::string_view id, const Host& host) override {
    HAL_TRY(const Symbols* cl, symbols());
    std::vector<Absence> absent;
    std::string known;
    for (Found& f : find(*cl, absent)) {
      if (f.words.info.id == id) {
        HAL_TRY(auto device, Device::open(*cl, f.id, std::move(f.words), host));
        return DeviceRef(device);
      }
      known += " " + f.words.info.id + " (" + f.words.info.name + ")";
    }
    return Error{Code::not_found, "no device " + std::string(id) + "; there is:" + (known.empty() ? " none" : known)};
  }
};

}  // namespace
}  // namespace opencl

hal::BackendRef make_opencl() { return std::make_shared<opencl::OpenclBackend>(); }

}  // namespace switchyard::backends
