#include <algorithm>
#include <charconv>
#include <set>

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

}  // namespace

hal::Result<Pin> pin_from(std::string_view text, const std::vector<Unit>& units, const probes::Machine& machine) {
  std::int64_t layers = 0;
  std::string names, kinds;
  std::set<std::string_view> seen;
  for (const Unit& u : units) {
    layers = std::max(layers, u.layer + 1);
    if (u.layer < 0) names += ", " + u.name;
    if (u.layer >= 0 && seen.insert(u.kind).second) kinds += ", " + u.kind;
  }
  auto wrong = [&](const std::string& why) {
    return hal::Error{hal::Code::invalid_argument, "pin '" + std::string(text) + "': " + why + "; there are layers 0-" +
                                                       std::to_string(layers - 1) + names + kinds + ", all"};
  };
  auto equals = text.rfind('=');
  if (units.empty() || equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    return wrong("expected UNITS=DEVICE");
  std::string_view who = text.substr(0, equals);
  HAL_TRY(probes::Choice choice, probes::resolve(machine, text.substr(equals + 1)));
  Pin pin{{}, choice.id};
  auto add_where = [&](auto wanted) {
    for (std::size_t u = 0; u < units.size(); ++u)
      if (wanted(units[u])) pin.units.push_back(u);
    return !pin.units.empty();
  };
  if (who == "all") {
    add_where([](const Unit&) { return true; });
    return pin;
  }
  const auto dash = who.find('-');
  const auto from = number(who.substr(0, dash)),
             to = dash == std::string_view::npos ? from : number(who.substr(dash + 1));
  if (from && to) {
    if (*from > *to || *to >= layers) return wrong("no such layers");
    if (add_where([&](const Unit& u) { return u.layer >= *from && u.layer <= *to; })) return pin;
    return wrong("no such layers");
  }
  if (add_where([&](const Unit& u) { return u.name == who || u.kind == who; })) return pin;
  return wrong("no such unit");
}

}  // namespace switchyard::scheduler
