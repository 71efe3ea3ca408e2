#include "scheduler/plan/text.h"

#include <cstdio>

namespace switchyard::scheduler {

std::string number(const char* format, double x) {
  char text[48];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

std::string gigabytes(hal::Bytes bytes) {
  return number(bytes >= 10'000'000 ? "%.2f GB" : "%.5f GB", static_cast<double>(bytes) / 1e9);
}

std::string milliseconds(double seconds) { return number("%.3g ms", seconds * 1e3); }

std::string percent(double share) { return number("%.1f %%", 100 * share); }

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "+") + name;
  return text;
}

std::string memory_lines(const std::vector<PoolUse>& pools) {
  std::string text;
  for (const PoolUse& u : pools)
    text += "memory " + u.pool + (u.within.empty() ? "" : " (limit within " + u.within + ")") + ": " +
            gigabytes(u.bytes) + " of " + gigabytes(u.capacity) + "\n";
  return text;
}

}  // namespace switchyard::scheduler
