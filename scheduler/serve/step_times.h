// StepTimes: the time of a step by rows and sequences, learned from the steps that were run.
//
// A grid of powers of two in rows and sequences, up to the limits. Each knot has a prediction and a factor on it,
// learned from the steps nearby; a knot that has had none has the factor of the nearest that has had some. Between
// knots times are linear (on triangles), and they never fall with rows or sequences: a knot is at least what those
// below it are. A step counts as at most twice and at least half of what was expected, the first one as it is: one that
// was interrupted does little, and a lasting change by half is followed within some twenty steps of its kind.
#pragma once
#include <array>
#include <cstddef>
#include <vector>

#include "scheduler/serve/batch.h"

namespace switchyard::scheduler {

// One thread at a time.
class StepTimes {
 public:
  // predicted: asked here only, up to the powers of two that reach the limits (of BatchLimits). Empty, or anywhere no
  // number above 0: a shape that the first step scales.
  StepTimes(const StepSeconds& predicted, std::int64_t max_rows, std::int64_t max_sequences);
  // A step that was run. Times that are no number above 0 are not counted.
  void add(std::int64_t rows, std::int64_t sequences, double seconds);
  // Without noise: half of the steps take longer. Beyond the limits as at them; with more sequences than rows as with
  // one for each row.
  double seconds(std::int64_t rows, std::int64_t sequences) const;

 private:
  struct Knot {
    double predicted = 0;
    double factor = 0;   // on it, as a logarithm
    double seen = 0;     // steps, by nearness
    double seconds = 0;  // with the factor, and not below others
  };
  struct Corner {
    std::size_t knot;
    double weight;  // they sum to 1
  };
  std::size_t index(std::size_t row, std::size_t sequence) const { return row * columns_ + sequence; }
  std::array<Corner, 3> around(std::int64_t rows, std::int64_t sequences) const;
  void settle();

  std::size_t lines_, columns_;  // powers of two of rows, of sequences
  std::vector<Knot> knots_;      // those of more sequences than rows are not used
  bool known_ = false;           // a step was counted
};

}  // namespace switchyard::scheduler
