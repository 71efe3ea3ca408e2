// Info: what a device is. Plain data, constant while the device is open; live numbers come from Device::heaps().
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace switchyard::hal {

using Bytes = std::uint64_t;

// For people and reports. Code above backends/ never branches on it.
enum class Kind : std::uint8_t { cpu, igpu, dgpu, npu, other };
const char* to_string(Kind kind);

// The form of code a device accepts; Kernels::lower selects by it, never by a backend's name.
enum class Format : std::uint8_t { call, fatbin, spirv_vulkan, spirv_opencl, opencl_c, graph };
const char* to_string(Format format);

struct Limits {
  Bytes max_buffer = 0;    // largest single allocation, in bytes
  Bytes max_binding = 0;   // largest range one kernel argument may cover, in bytes
  Bytes align = 64;        // Slice and Arg offsets must be multiples of this, in bytes
  Bytes group_memory = 0;  // workgroup-shared memory, in bytes
  int group_threads = 1;   // most threads of one workgroup
  int subgroup = 1;        // preferred subgroup (warp, wave) size
  int subgroup_min = 1;
  int subgroup_max = 1;
  int queues = 1;
  int compute_units = 1;  // cores, SMs, CUs
};

struct Info {
  std::string id;    // "vulkan:0": unique in the process
  std::string name;  // the driver's name of the chip
  std::string vendor;
  std::string driver;                   // driver name and version; a profile measured with another driver is stale
  std::string api;                      // "vulkan", "cpu": for reports
  std::array<std::uint8_t, 16> chip{};  // one chip seen through two APIs has one value; zero: unknown
  std::string pci;                      // "0000:01:00.0" or empty
  std::array<std::uint8_t, 8> luid{};   // Windows' adapter id; zero: unknown
  int numa = -1;                        // NUMA node the device hangs on; -1: unknown
  Kind kind = Kind::other;
  Limits limits;
  std::vector<Format> formats;        // preferred first
  std::vector<std::string> features;  // "f16", "storage_16bit", "int8_dot", "subgroup_arithmetic", "avx2", "avx512" ...

  bool has_feature(std::string_view word) const;
  bool accepts(Format format) const;
};

// Live memory. budget: what we may still take without hurting others.
struct Heap {
  Bytes total = 0, budget = 0, used = 0;
  bool device_local = true, host_visible = false;
};

// Why something that could have been here is not. code is stable: "library_missing", "no_device", "crashed",
// "timed_out".
struct Absence {
  std::string api, code, detail, fix;
};

}  // namespace switchyard::hal
