// Text for an HTML page: escaped, numbers with units, the tables and the style of a plan's page. Internal to plan/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace switchyard::scheduler {
struct Plan;
}

namespace switchyard::scheduler::html {

// Text from anywhere, for an element or a quoted attribute; control characters become spaces.
std::string escaped(std::string_view text);

std::string whole(std::int64_t n);
// Three digits and a unit: "47.3 ms", "389 MB", "2.19 %".
std::string duration(double seconds);
std::string amount(double bytes);
std::string percentage(double share);

// A move's end: an empty device is the host.
std::string host_or(const std::string& device);
// Memory of the pools as bars; the plan as tables, where times are shares of `total` seconds.
std::string memory_bars(const Plan& plan);
std::string tables(const Plan& plan, double total);

extern const char* const style_sheet;  // light and dark

}  // namespace switchyard::scheduler::html
