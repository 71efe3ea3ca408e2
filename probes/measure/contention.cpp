#include <thread>

#include "probes/measure/matrix.h"
#include "probes/measure/measure.h"

namespace switchyard::probes {
namespace {

struct Slower {
  double a = 1, b = 1;
};

// Both alone, then both at once. Rates by the host's clock: a device's own would not show the time it waits for a core.
hal::Result<Slower> compete(hal::Device& a, hal::Device& b, std::int64_t rows, std::int64_t k, std::int64_t n,
                            double seconds) {
  std::unique_ptr<Runner> runners[2];
  double alone[2];
  for (int i : {0, 1}) {
    HAL_TRY(runners[i], Runner::make(i ? b : a, matrix(hal::DType::q8_0, rows, k, n)));
    HAL_CHECK(runners[i]->load({rows}, {}));
    if (auto warm = runners[i]->rate(0); !warm) return warm.error();
    HAL_TRY(alone[i], runners[i]->rate(seconds));
  }
  // Whoever is slower decides how long both run.
  const double together = std::max(seconds, 3 / std::min(alone[0], alone[1]));
  hal::Result<double> other = 0.0;
  std::jthread beside([&] { other = runners[1]->rate(together); });
  const auto mine = runners[0]->rate(together);
  beside.join();
  if (!mine) return mine.error();
  if (!other) return other.error();
  return Slower{std::max(1.0, alone[0] / *mine), std::max(1.0, alone[1] / *other)};
}

}  // namespace

hal::Result<std::array<Contention, 2>> measure_contention(hal::Device& a, hal::Device& b, const Effort& effort) {
  const double seconds = effort.limit_seconds / 5;
  HAL_TRY(const Slower reads, compete(a, b, 1, 4096, 12288, seconds));
  HAL_TRY(const Slower arithmetic, compete(a, b, 64, 1024, 1024, seconds));
  const std::string &first = a.info().id, &second = b.info().id;
  return std::array<Contention, 2>{Contention{first, second, reads.a, arithmetic.a},
                                   Contention{second, first, reads.b, arithmetic.b}};
}

}  // namespace switchyard::probes
