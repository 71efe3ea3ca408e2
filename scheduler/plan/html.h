// Text for an HTML page: escaped, numbers with units, the style of a plan's page. Internal to plan/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace switchyard::scheduler::html {

// Text from anywhere, for an element or a quoted attribute; control characters become spaces.
std::string escaped(std::string_view text);

std::string number(const char* format, double x);  // format: of one double
std::string whole(std::int64_t n);
// Three digits and a unit: "47.3 ms", "389 MB", "2.19 %".
std::string duration(double seconds);
std::string amount(double bytes);
std::string percent(double share);

extern const char* const style_sheet;  // light and dark

}  // namespace switchyard::scheduler::html
