// Has a device become slower or faster than it was? From measured / predicted seconds of its steps: an EWMA says by how
// much (Roberts 1959, Control Chart Tests Based on Geometric Moving Averages), a two-sided CUSUM says whether (Page
// 1954, Continuous Inspection Schemes). No clock inside. One thread at a time.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace switchyard::scheduler {

struct DriftOptions {
  // Samples that a part is first known by, and those that a new level is known by. The error of a mean of 64 is an
  // eighth of the noise, well below the allowance of the CUSUM, which would otherwise alarm by itself.
  int warm_up = 64, settle = 16;
  // The least factor worth noticing: half of its logarithm is the smallest unit of noise that is assumed.
  double worth = 1.2;
  // In units of noise: the CUSUM forgets so much per sample (half of the shift it is fastest for, here of two units),
  // alarms beyond this sum, and takes a sample as no further away than this, so that five strange samples running
  // after quiet ones are no alarm, nor is one now and then.
  double allowance = 1, alarm = 10, clip = 3;
  double weight = 0.1;  // of a new sample in the EWMA: a memory of about 20 samples
};

enum class Drift : std::uint8_t { learning, steady, slower, faster };
const char* to_string(Drift drift);

// Of one part of a model on one device. What it is compared with are its own first samples, so that a prediction that
// is always wrong by the same factor is no drift.
class DriftDetector {
 public:
  explicit DriftDetector(const DriftOptions& options = {}) : options_(options) {}
  // A step, in seconds; true: it raised an alarm. Steps of no time, or not predicted, are not counted.
  bool add(double predicted, double measured);
  // Takes it to be as usual until samples say otherwise: for what has not run for a while.
  void retry();
  // Against the first samples: learning until there are enough of them.
  Drift state() const;
  double factor() const;  // measured seconds over those expected from the first samples; 1 unless slower or faster
  double usual() const;   // measured / predicted of the first samples; 1 while learning
  std::int64_t samples() const { return samples_; }
  std::int64_t alarms() const { return alarms_; }

 private:
  void settle();
  void set_level(double level);

  DriftOptions options_;
  std::int64_t samples_ = 0, alarms_ = 0;
  bool known_ = false;    // baseline_ and noise_
  bool away_ = false;     // slower or faster, as found at the last alarm: the EWMA alone changes no state
  bool settled_ = false;  // center_
  double baseline_ = 0, noise_ = 0, center_ = 0, level_ = 0;  // of the logarithm of measured / predicted
  double up_ = 0, down_ = 0;                                  // sums of the CUSUM
  std::vector<double> recent_;  // while learning or settling: its samples; else the last since both sums were zero
};

// All parts of all devices.
class DriftMonitor {
 public:
  explicit DriftMonitor(const DriftOptions& options = {}) : options_(options) {}
  // part: whatever behaves as one, such as a stage or a kind of unit. True: an alarm.
  bool add(const std::string& device, const std::string& part, double predicted, double measured);
  const DriftDetector* find(const std::string& device, const std::string& part) const;  // null: never heard of
  // DriftDetector::retry of all its parts. A device that a plan has left gives no samples: without this, it is never
  // gone back to.
  void retry(const std::string& device);
  // By how much each device's times are to be multiplied: of its parts the mean, by their usual seconds. A device whose
  // parts are all steady has 1.
  std::map<std::string, double> factors() const;

 private:
  struct Part {
    DriftDetector detector;
    double predicted = 0;  // seconds of the last step
  };
  DriftOptions options_;
  std::map<std::string, std::map<std::string, Part>> devices_;
};

}  // namespace switchyard::scheduler
