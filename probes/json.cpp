#include "probes/json.h"

#include <cstdio>

namespace switchyard::probes {
namespace {

template <std::size_t n>
std::array<std::uint8_t, n> unhex(const std::string& text) {
  std::array<std::uint8_t, n> bytes{};
  if (text.empty()) return bytes;
  auto digit = [&](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    throw Json::other_error::create(501, "'" + text + "' is not lower-case hexadecimal",
                                    static_cast<const Json*>(nullptr));
  };
  if (text.size() != 2 * n)
    throw Json::other_error::create(501, "'" + text + "' needs " + std::to_string(2 * n) + " digits",
                                    static_cast<const Json*>(nullptr));
  for (std::size_t i = 0; i < n; ++i)
    bytes[i] = static_cast<std::uint8_t>(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
  return bytes;
}

// The enumerator whose name is `name`, from the first `count` ones.
template <class E>
E named(const std::string& name, int count, const char* what) {
  for (int i = 0; i < count; ++i)
    if (name == hal::to_string(static_cast<E>(i))) return static_cast<E>(i);
  throw Json::other_error::create(501, "unknown " + std::string(what) + " '" + name + "'",
                                  static_cast<const Json*>(nullptr));
}
constexpr int kinds = 5, formats = 6;

}  // namespace

std::string hex(const std::uint8_t* bytes, std::size_t n) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  bool zero = true;
  for (std::size_t i = 0; i < n; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
    zero = zero && bytes[i] == 0;
  }
  return zero ? std::string() : text;
}

std::string hash_text(std::uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string fingerprint(std::string_view text) {
  std::uint64_t h = 1469598103934665603ull;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash_text(h);
}

hal::Kind kind_from(const std::string& name) { return named<hal::Kind>(name, kinds, "kind"); }

Json to_json_value(const hal::Info& i) {
  Json formats_json = Json::array();
  for (hal::Format f : i.formats) formats_json.push_back(hal::to_string(f));
  const hal::Limits& l = i.limits;
  return {{"id", i.id},
          {"name", i.name},
          {"vendor", i.vendor},
          {"driver", i.driver},
          {"api", i.api},
          {"chip", hex(i.chip.data(), i.chip.size())},
          {"pci", i.pci},
          {"luid", hex(i.luid.data(), i.luid.size())},
          {"numa", i.numa},
          {"kind", hal::to_string(i.kind)},
          {"formats", formats_json},
          {"features", i.features},
          {"limits",
           {{"max_buffer", l.max_buffer},
            {"max_binding", l.max_binding},
            {"align", l.align},
            {"group_memory", l.group_memory},
            {"group_threads", l.group_threads},
            {"subgroup", l.subgroup},
            {"subgroup_min", l.subgroup_min},
            {"subgroup_max", l.subgroup_max},
            {"queues", l.queues},
            {"compute_units", l.compute_units}}}};
}

hal::Info info_from(const Json& j) {
  hal::Info i;
  i.id = j.at("id");
  i.name = j.at("name");
  i.vendor = j.at("vendor");
  i.driver = j.at("driver");
  i.api = j.at("api");
  i.chip = unhex<16>(j.at("chip"));
  i.pci = j.at("pci");
  i.luid = unhex<8>(j.at("luid"));
  i.numa = j.at("numa");
  i.kind = kind_from(j.at("kind"));
  for (const Json& f : j.at("formats")) i.formats.push_back(named<hal::Format>(f, formats, "format"));
  i.features = j.at("features").get<std::vector<std::string>>();
  const Json& l = j.at("limits");
  i.limits = {l.at("max_buffer"),    l.at("max_binding"),  l.at("align"),        l.at("group_memory"),
              l.at("group_threads"), l.at("subgroup"),     l.at("subgroup_min"), l.at("subgroup_max"),
              l.at("queues"),        l.at("compute_units")};
  return i;
}

Json to_json_value(const hal::Absence& a) {
  return {{"api", a.api}, {"code", a.code}, {"detail", a.detail}, {"fix", a.fix}};
}
hal::Absence absence_from(const Json& j) { return {j.at("api"), j.at("code"), j.at("detail"), j.at("fix")}; }

Json to_json_value(const Door& d) {
  return {{"info", to_json_value(d.info)}, {"total", d.total}, {"budget", d.budget}};
}
Door door_from(const Json& j) { return {info_from(j.at("info")), j.at("total"), j.at("budget")}; }

}  // namespace switchyard::probes
