#include <algorithm>
#include <charconv>

#include "probes/discover/devices.h"
#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {
namespace {

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 0) return std::nullopt;
  return n;
}

std::optional<std::size_t> unit_of_layer(const std::vector<Unit>& units, std::int64_t layer) {
  for (std::size_t u = 0; u < units.size(); ++u)
    if (units[u].layer == layer) return u;
  return std::nullopt;
}

}  // namespace

hal::Result<Pin> pin_from(std::string_view text, const std::vector<Unit>& units, const probes::Machine& machine) {
  std::int64_t layers = 0;
  std::string names;
  for (const Unit& u : units) {
    layers = std::max(layers, u.layer + 1);
    if (u.layer < 0) names += ", " + u.name;
  }
  auto wrong = [&](const std::string& why) {
    return hal::Error{hal::Code::invalid_argument, "pin '" + std::string(text) + "': " + why + "; there are layers 0-" +
                                                       std::to_string(layers - 1) + names + ", all"};
  };
  auto equals = text.rfind('=');
  if (units.empty() || equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    return wrong("expected UNITS=DEVICE");
  std::string_view who = text.substr(0, equals);
  HAL_TRY(probes::Choice choice, probes::resolve(machine, text.substr(equals + 1)));
  Pin pin{0, units.size() - 1, choice.id};
  if (who == "all") return pin;
  auto dash = who.find('-');
  auto from = number(who.substr(0, dash)), to = dash == std::string_view::npos ? from : number(who.substr(dash + 1));
  if (from && to) {
    auto first = unit_of_layer(units, *from), last = unit_of_layer(units, *to);
    if (!first || !last || *first > *last) return wrong("no such layers");
    pin.first = *first;
    pin.last = *last;
    return pin;
  }
  int found = 0;
  for (bool whole : {true, false}) {
    for (std::size_t u = 0; u < units.size() && (whole || !found); ++u) {
      std::string_view name = units[u].name;
      if ((whole ? name : name.substr(0, name.find(' '))) != who) continue;
      if (!whole && std::count_if(units.begin(), units.end(),
                                  [&](const Unit& v) { return v.name.substr(0, v.name.find(' ')) == who; }) > 1)
        return wrong("more than one unit is called so");
      pin.first = pin.last = u;
      ++found;
    }
    if (found) return pin;
  }
  return wrong("no such unit");
}

}  // namespace switchyard::scheduler
