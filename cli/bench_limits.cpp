// What a bench measured of a device beside its tests, for people and for programs.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"

namespace switchyard::cli {
namespace {

nlohmann::json by_products(const probes::ByProducts& rates) {
  nlohmann::json j = nlohmann::json::object();
  for (kernels::Products p : kernels::all_products)
    if (double rate = rates[p].per_second; rate > 0) j[kernels::to_string(p)] = rate;
  return j;
}

}  // namespace

nlohmann::json limits_json(const std::string& device, const probes::DeviceProfile& rates) {
  return {{"device", device},
          {"read_bytes_per_second", rates.read.per_second},
          {"stream_bytes_per_second", rates.stream.per_second},
          {"kernel_operations_per_second", by_products(rates.compute)},
          {"peak_operations_per_second", by_products(rates.peak)}};
}

std::string limits_text(const probes::DeviceProfile& rates) {
  char text[96];
  std::snprintf(text, sizeof text, "reads %.1f GB/s, streams %.1f GB/s, peaks", rates.read.per_second / 1e9,
                rates.stream.per_second / 1e9);
  std::string all = text;
  for (kernels::Products p : kernels::all_products) {
    if (p != kernels::Products::f32 && rates.peak[p].per_second <= 0) continue;
    std::snprintf(text, sizeof text, " %s %.0f", kernels::to_string(p), rates.most_arithmetic(p) / 1e9);
    all += text;
  }
  return all + " G operations/s";
}

}  // namespace switchyard::cli
