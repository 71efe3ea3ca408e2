// The oracle's goldens of one model: prompts, logits, greedy continuations.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "models/formats/safetensors.h"
#include "tests/models/oracle.h"

namespace switchyard::test {

inline std::string oracle_path(const std::string& relative) { return (models::oracle() / relative).string(); }

struct Golden {
  models::Safetensors file;

  template <class T>
  std::vector<T> get(const std::string& name) const {
    const models::FileTensor& t = file.tensors.at(name);
    std::vector<T> values(t.data.size() / sizeof(T));
    std::memcpy(values.data(), t.data.data(), t.data.size());
    return values;
  }
  std::vector<std::int32_t> tokens(int n) const { return get<std::int32_t>("p" + std::to_string(n) + ".tokens"); }
  std::vector<std::int32_t> greedy(int n) const { return get<std::int32_t>("p" + std::to_string(n) + ".greedy"); }
};

// Throws (and so fails the test) with the way to set SWITCHYARD_ORACLE when the file is not there.
inline Golden golden(const std::string& name) {
  auto file = models::open_safetensors(oracle_path("goldens/" + name + ".safetensors"));
  if (!file)
    throw std::runtime_error(hal::describe(file.error()) + "; set SWITCHYARD_ORACLE to the folder that has goldens/");
  return {std::move(file).value()};
}

// Largest over the stored rows: |difference| over the row's largest |reference|. `logits`: a row for every position.
inline double logits_error(const Golden& g, int n, const std::vector<float>& logits, std::size_t vocab) {
  auto want = g.get<float>("p" + std::to_string(n) + ".logits");
  auto positions = g.get<std::int32_t>("p" + std::to_string(n) + ".positions");
  double worst = 0;
  for (std::size_t r = 0; r < positions.size(); ++r) {
    double largest = 0, difference = 0;
    for (std::size_t v = 0; v < vocab; ++v) {
      double reference = want[r * vocab + v],
             d = std::abs(reference - logits[static_cast<std::size_t>(positions[r]) * vocab + v]);
      largest = std::max(largest, std::abs(reference));
      difference = std::isfinite(d) ? std::max(difference, d) : INFINITY;
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

}  // namespace switchyard::test
