// How the values of probes/ look as JSON. Internal: headers that others include do not show the JSON library.
#pragma once
#include <nlohmann/json.hpp>

#include "probes/machine.h"

namespace switchyard::probes {

using Json = nlohmann::json;  // objects are sorted by key

// What is no UTF-8, as a name may be, becomes U+FFFD; dump() alone throws.
inline std::string text_of(const Json& j, int indent = -1) {
  return j.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json to_json_value(const hal::Info& info);
Json to_json_value(const hal::Absence& absence);
Json to_json_value(const Door& door);
// These throw Json::exception; parse() below turns it into an Error.
hal::Kind kind_from(const std::string& name);
hal::Info info_from(const Json& j);
hal::Absence absence_from(const Json& j);
Door door_from(const Json& j);

std::string hex(const std::uint8_t* bytes, std::size_t n);
std::string hash_text(std::uint64_t hash);  // 16 hexadecimal digits
// FNV-1a, as 16 hexadecimal digits: names for cache files and keys, not a seal.
std::string fingerprint(std::string_view text);

// Parses `text`, checks its "schema" and hands it to `read`; whatever is wrong becomes Code::io beginning with `what`.
template <class T, class Read>
hal::Result<T> parse(std::string_view text, std::string_view schema, const std::string& what, Read read) {
  Json j = Json::parse(text, nullptr, false);
  if (j.is_discarded() || !j.is_object()) return hal::Error{hal::Code::io, what + ": not a JSON object"};
  try {
    std::string found = j.value("schema", std::string("none"));
    if (found != schema)
      return hal::Error{hal::Code::io, what + ": schema is " + found + ", this build reads " + std::string(schema)};
    return read(j);
  } catch (const std::exception& e) {
    return hal::Error{hal::Code::io, what + ": " + e.what()};
  }
}

}  // namespace switchyard::probes
