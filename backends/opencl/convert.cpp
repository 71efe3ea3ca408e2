#include "backends/opencl/convert.h"

#include <CL/cl_ext.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace switchyard::backends::opencl {
namespace {

// Queries outside OpenCL 1.2, by number, because older headers lack some of the names.
constexpr cl_device_info device_uuid = 0x106A, device_luid_valid = 0x106C, device_luid = 0x106D, device_pci = 0x410F;
constexpr cl_device_info intel_subgroup_sizes = 0x4108, nv_warp_size = 0x4003, amd_wavefront_width = 0x4043;

struct Query {
  const Symbols& cl;
  cl_device_id device;

  template <class T>
  T number(cl_device_info what, T otherwise = {}) const {
    T value{};
    std::size_t size = 0;
    if (cl.clGetDeviceInfo(device, what, sizeof value, &value, &size) != CL_SUCCESS || size != sizeof value)
      return otherwise;
    return value;
  }
  std::string text(cl_device_info what) const {
    std::size_t size = 0;
    if (cl.clGetDeviceInfo(device, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return {};
    std::string value(size, '\0');
    if (cl.clGetDeviceInfo(device, what, size, value.data(), nullptr) != CL_SUCCESS) return {};
    value.resize(std::strlen(value.c_str()));
    return value;
  }
};

std::string platform_text(const Symbols& cl, cl_platform_id platform, cl_platform_info what) {
  std::size_t size = 0;
  if (cl.clGetPlatformInfo(platform, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return {};
  std::string value(size, '\0');
  if (cl.clGetPlatformInfo(platform, what, size, value.data(), nullptr) != CL_SUCCESS) return {};
  value.resize(std::strlen(value.c_str()));
  return value;
}

bool has_word(const std::string& list, const std::string& word) {
  for (std::size_t at = list.find(word); at != std::string::npos; at = list.find(word, at + 1)) {
    std::size_t end = at + word.size();
    if ((at == 0 || list[at - 1] == ' ') && (end == list.size() || list[end] == ' ')) return true;
  }
  return false;
}

void identify(const Query& query, const std::string& extensions, hal::Info& info) {
  if (info.kind == hal::Kind::cpu) return;  // a driver's made-up number would hide that it is the processor
  if (has_word(extensions, "cl_khr_device_uuid")) {
    info.chip = query.number<std::array<std::uint8_t, 16>>(device_uuid);
    if (query.number<cl_bool>(device_luid_valid)) info.luid = query.number<std::array<std::uint8_t, 8>>(device_luid);
  }
  if (has_word(extensions, "cl_khr_pci_bus_info")) {
    struct Place {
      cl_uint domain, bus, device, function;
    };
    auto p = query.number<Place>(device_pci);
    char text[32];
    std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", p.domain, p.bus, p.device, p.function);
    info.pci = text;
  }
}

void subgroups(const Query& query, const std::string& extensions, hal::Limits& limits) {
  std::vector<std::size_t> sizes(32);
  std::size_t bytes = 0;
  if (has_word(extensions, "cl_intel_required_subgroup_size") &&
      query.cl.clGetDeviceInfo(query.device, intel_subgroup_sizes, sizes.size() * sizeof(std::size_t), sizes.data(),
                               &bytes) == CL_SUCCESS &&
      bytes >= sizeof(std::size_t)) {
    sizes.resize(bytes / sizeof(std::size_t));
    auto [low, high] = std::minmax_element(sizes.begin(), sizes.end());
    limits.subgroup_min = static_cast<int>(*low);
    limits.subgroup_max = static_cast<int>(*high);
    limits.subgroup = std::clamp(16, limits.subgroup_min, limits.subgroup_max);
    return;
  }
  int width = 1;
  if (has_word(extensions, "cl_nv_device_attribute_query"))
    width = static_cast<int>(query.number<cl_uint>(nv_warp_size, 1));
  if (has_word(extensions, "cl_amd_device_attribute_query"))
    width = static_cast<int>(query.number<cl_uint>(amd_wavefront_width, 1));
  limits.subgroup = limits.subgroup_min = limits.subgroup_max = std::max(width, 1);
}

std::vector<std::string> features(const Query& query, const std::string& extensions) {
  std::vector<std::string> words{"opencl_c_1.2"};
  std::string version = query.text(CL_DEVICE_OPENCL_C_VERSION);  // "OpenCL C 3.0 ..."
  int major = 1, minor = 2;
  std::sscanf(version.c_str(), "OpenCL C %d.%d", &major, &minor);
  if (major == 2) words.emplace_back("opencl_c_2.0");
  if (major >= 3) words.emplace_back("opencl_c_3.0");
  struct Extension {
    const char *name, *word;
  };
  static constexpr Extension known[] = {{"cl_khr_fp16", "f16"},
                                        {"cl_khr_fp64", "f64"},
                                        {"cl_khr_subgroups", "subgroups"},
                                        {"cl_intel_subgroups", "subgroups"},
                                        {"cl_khr_integer_dot_product", "int8_dot"},
                                        {"cl_intel_unified_shared_memory", "unified_shared_memory"},
                                        {"cl_khr_il_program", "spirv"}};
  for (const Extension& e : known)
    if (has_word(extensions, e.name) && std::find(words.begin(), words.end(), e.word) == words.end())
      words.emplace_back(e.word);
  if (query.number<cl_bool>(CL_DEVICE_HOST_UNIFIED_MEMORY)) words.emplace_back("host_memory");
  return words;
}

}  // namespace

hal::Result<DeviceWords> words_of(const Symbols& cl, cl_platform_id platform, cl_device_id device, std::size_t index) {
  Query query{cl, device};
  DeviceWords words;
  hal::Info& info = words.info;
  info.id = "opencl:" + std::to_string(index);
  info.api = "opencl";
  info.name = query.text(CL_DEVICE_NAME);
  info.vendor = query.text(CL_DEVICE_VENDOR);
  info.driver = platform_text(cl, platform, CL_PLATFORM_NAME) + " " + query.text(CL_DRIVER_VERSION);
  if (!query.number<cl_bool>(CL_DEVICE_AVAILABLE))
    return hal::Error{hal::Code::unavailable, info.name + " (" + info.driver + ") is not available"};
  if (!query.number<cl_bool>(CL_DEVICE_COMPILER_AVAILABLE))
    return hal::Error{hal::Code::unavailable, info.name + " (" + info.driver + ") has no compiler for OpenCL C"};
  if (!query.number<cl_bool>(CL_DEVICE_ENDIAN_LITTLE))
    return hal::Error{hal::Code::unsupported, info.name + " is big-endian"};
  int major = 0, minor = 0;
  std::string version = query.text(CL_DEVICE_VERSION);
  std::sscanf(version.c_str(), "OpenCL %d.%d", &major, &minor);
  if (major * 10 + minor < 12)
    return hal::Error{hal::Code::unsupported, info.name + " speaks " + version + "; OpenCL 1.2 is needed"};

  words.unified = query.number<cl_bool>(CL_DEVICE_HOST_UNIFIED_MEMORY);
  words.memory = query.number<cl_ulong>(CL_DEVICE_GLOBAL_MEM_SIZE);
  auto type = query.number<cl_device_type>(CL_DEVICE_TYPE);
  info.kind = type & CL_DEVICE_TYPE_CPU   ? hal::Kind::cpu
              : type & CL_DEVICE_TYPE_GPU ? (words.unified ? hal::Kind::igpu : hal::Kind::dgpu)
                                          : hal::Kind::other;
  hal::Limits& limits = info.limits;
  limits.max_buffer = limits.max_binding = query.number<cl_ulong>(CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  limits.align = std::max<hal::Bytes>(query.number<cl_uint>(CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8, 4);
  limits.group_memory = query.number<cl_ulong>(CL_DEVICE_LOCAL_MEM_SIZE);
  limits.group_threads = static_cast<int>(query.number<std::size_t>(CL_DEVICE_MAX_WORK_GROUP_SIZE, 1));
  limits.compute_units = static_cast<int>(query.number<cl_uint>(CL_DEVICE_MAX_COMPUTE_UNITS, 1));
  std::string extensions = query.text(CL_DEVICE_EXTENSIONS);
  subgroups(query, extensions, limits);
  info.formats = {hal::Format::opencl_c};
  info.features = features(query, extensions);
  identify(query, extensions, info);
  return words;
}

}  // namespace switchyard::backends::opencl
