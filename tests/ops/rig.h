// The devices there are, opened once, and a table of what ran on them.
#pragma once
#include <gtest/gtest.h>

#include <map>

#include "hal/backend.h"
#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::test {

struct Count {
  int passed = 0, failed = 0, declined = 0;
};

// Made before the first test is registered, kept until the program ends.
class Rig {
 public:
  static Rig& get();
  const std::vector<hal::Info>& devices() const { return infos_; }
  const hal::Info& info(const std::string& id) const;
  hal::DeviceRef open(const std::string& id);  // null, and a test failure, where it cannot be opened
  Count& count(const std::string& row, const std::string& device) { return table_[row][device]; }
  void count_variant(const std::string& variant) { ++variants_[variant]; }
  void print() const;
  std::vector<std::string> silent() const;  // devices that were asked and compared nothing
  void close() { open_.clear(); }

 private:
  Rig();
  kernels::Library library_;
  std::vector<hal::BackendRef> backends_;
  std::vector<hal::Info> infos_;
  std::map<std::string, hal::BackendRef> owner_;
  std::map<std::string, hal::DeviceRef> open_;
  std::map<std::string, std::map<std::string, Count>> table_;
  std::map<std::string, int> variants_;  // runs compared
};

std::string test_name(std::string text);  // letters, digits and underscores

// Runs a case on a device with every variant of every node it offers, against the double reference; counts in `row`.
// True if at least one run was compared.
bool run_variants(const std::string& device, const kernels::CaseData& data, double tolerance, const std::string& row);
// As above, against values that are given: by segment value, outputs and states; empty ones are not compared.
bool run_variants(const std::string& device, const kernels::CaseData& data,
                  const std::vector<std::vector<double>>& expected, double tolerance, const std::string& row);

// A copy whose dims are all fixed at the case's, for devices that compile fixed shapes only.
hal::Segment fixed(const hal::Segment& segment, hal::Dims dims);

}  // namespace switchyard::test
