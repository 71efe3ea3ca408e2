// Runs an op's Case: makes its data, asks the double-precision reference, runs a device, compares. For tests and
// `bench`.
#pragma once
#include "hal/device.h"
#include "kernels/op.h"

namespace switchyard::kernels {

// All values of a case on the host. bytes: as a device gets them (inputs, states, constants); exact: what those bytes
// mean.
struct CaseData {
  Case c;  // with its constants' data set
  std::vector<std::vector<std::byte>> bytes;
  std::vector<std::vector<double>> exact;
};

// The same seed gives the same data. Fill::values are used as they are; else uniform in [lo, hi], rounded to the dtype.
CaseData make_data(const Case& c, std::uint64_t seed);

// Runs every node's reference; outputs and states in place.
Status run_reference(const CaseData& data, std::vector<std::vector<double>>& values);

// Outputs and states of the segment by value, as doubles (empty for others).
struct CaseRun {
  std::vector<std::vector<double>> values;
  double seconds = 0;  // of the last repeat, from the queue's own timing
  std::vector<double> samples;
  Bytes resident = 0;
};
// Compiles, uploads, runs `repeats` times (states are uploaded once, so more than one repeat is for timing only).
Result<CaseRun> run_on(Device& device, const CaseData& data, int repeats = 1);

// Largest |difference| over the largest |reference| over outputs and states; -1 in `where` if all are equal. NaN counts
// as infinite.
struct Comparison {
  double error = 0;
  std::uint32_t value = no_value;
};
Comparison compare(const CaseData& data, const std::vector<std::vector<double>>& reference, const CaseRun& run);

// bytes <-> doubles of one tensor.
std::vector<std::byte> encode(const Tensor& tensor, Dims dims, const std::vector<double>& values);
std::vector<double> decode(const Tensor& tensor, Dims dims, std::span<const std::byte> bytes);

}  // namespace switchyard::kernels
