// Numbers and lists as people read them, for the texts of plans.
#pragma once
#include <string>
#include <vector>

#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {

std::string number(const char* format, double x);         // format: of one double
std::string gigabytes(hal::Bytes bytes);                  // "4.21 GB"
std::string milliseconds(double seconds);                 // "3.21 ms"
std::string percent(double share);                        // "3.2 %"
std::string list(const std::vector<std::string>& names);  // "cpu:0+vulkan:0"
std::string memory_lines(const std::vector<PoolUse>& pools);

}  // namespace switchyard::scheduler
