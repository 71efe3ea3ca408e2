// What a sim device is told to be: the fields of its file. README.md lists them.
#pragma once
#include <string>
#include <vector>

#include "hal/info.h"
#include "hal/result.h"

namespace switchyard::backends::sim {

using namespace hal;

struct Faults {
  std::int64_t submission = 0;  // the n-th submission (from 1) fails, and every later one: the device is lost
  Code submission_code = Code::device_lost;
  std::int64_t allocation = 0;  // the n-th allocation fails
  Bytes allocation_above = 0;   // allocations of more bytes fail; 0: none
  std::string discovery;        // "crash", "hang", "missing"
  std::string open, compile;    // text: open (unavailable), compile (internal) fails with it
  double wrong = 0;             // added to the first f32 of the last slice after each run: a device that computes wrong
  std::int64_t delay_ms = 0;    // real time that each submission waits first
};

struct Speeds {
  double memory_gb_s = 50, compute_gflop_s = 100, link_gb_s = 10;
  double launch_us = 5;
};

struct Description {
  Info info;
  Heap heap;  // budget and total; host_visible: whether device memory can be mapped
  Speeds speeds;
  Faults faults;
  bool logical_clock = false;         // Timing speaks of the simulated time
  bool half = false;                  // graph devices: round to half after each primitive
  std::int64_t min_group_nodes = 2;   // graph devices: smaller segments are declined
  std::vector<std::string> only_ops;  // "gemm": others are declined; empty: no restriction
  bool takes_graphs() const { return info.formats.size() == 1 && info.formats[0] == Format::graph; }
};

// invalid_argument naming the file and the field; io where it cannot be read. Unknown fields are refused.
Result<Description> read_description(const std::string& file);

}  // namespace switchyard::backends::sim
