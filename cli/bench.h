// The two halves of `bench`: a whole model, or the table of ops.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "cli/generate.h"
#include "probes/profile.h"

namespace switchyard::cli {

struct BenchArguments {
  std::string model, weights = "q4_k", op, threads;
  std::vector<std::string> cases;
  PlacementArguments placement;
  std::int64_t prompt = 512, generate = 64, parallel = 0, repeats = 3;
  std::uint64_t seed = 1;
  bool quick = false;
};

void bench_model(const BenchArguments& a, const Global& global);
void bench_ops(const BenchArguments& a, const Global& global);

struct Spread {
  double median = 0, min = 0, max = 0;
  std::vector<double> samples;
};
Spread spread_of(std::vector<double> samples);

// The limits a bench measured in its own run, as an object of its "limits" and as a line of text.
nlohmann::json limits_json(const std::string& device, const probes::DeviceProfile& rates);
std::string limits_text(const probes::DeviceProfile& rates);

}  // namespace switchyard::cli
