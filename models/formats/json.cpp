#include "models/formats/json.h"

#include <limits>
#include <set>

#include "models/formats/text.h"

namespace switchyard::models {
namespace {

using hal::Code;
using hal::Error;

// No JSON text can hold an unescaped control character, so these strings cannot be mistaken.
struct Word {
  std::string_view word, marker, escaped;
  double value;
};
constexpr double infinity = std::numeric_limits<double>::infinity();
const Word words[] = {
    {"-Infinity", "\x01-Infinity", "\"\\u0001-Infinity\"", -infinity},
    {"Infinity", "\x01Infinity", "\"\\u0001Infinity\"", infinity},
    {"NaN", "\x01NaN", "\"\\u0001NaN\"", std::numeric_limits<double>::quiet_NaN()},
};

std::string replace_words(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 64);
  bool inside = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inside) {
      out += c;
      if (c == '\\' && i + 1 < json.size()) out += json[++i];
      if (c == '"') inside = false;
      continue;
    }
    const Word* found = nullptr;
    if (c == '-' || c == 'I' || c == 'N')
      for (const Word& w : words)
        if (!found && json.substr(i).starts_with(w.word)) found = &w;
    if (found) {
      out += found->escaped;
      i += found->word.size() - 1;
      continue;
    }
    inside = c == '"';
    out += c;
  }
  return out;
}

}  // namespace

hal::Status check_depth(std::string_view json, int levels, const std::string& name) {
  int depth = 0;
  bool inside = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inside) {
      if (c == '\\') ++i;
      if (c == '"') inside = false;
    } else if (c == '"') {
      inside = true;
    } else if (c == '[' || c == '{') {
      if (++depth > levels)
        return Error{Code::io, text(name, ": JSON nested deeper than ", levels, " levels at byte ", i)};
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return hal::ok();
}

hal::Result<Json> parse_json(std::string_view json, const std::string& name) {
  constexpr std::size_t limit = 16u << 20;
  if (json.size() > limit)
    return Error{Code::io, text(name, ": ", json.size(), " bytes of JSON; expected at most ", limit)};
  if (auto nul = json.find('\0'); nul != json.npos)  // the reader would take it for the end
    return Error{Code::io, text(name, ": not JSON: a zero byte at ", nul)};
  HAL_CHECK(check_depth(json, 64, name));
  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second && duplicate.empty()) duplicate = printable(key);
    }
    return true;
  };
  try {
    Json value = Json::parse(replace_words(json), watch);
    if (!duplicate.empty()) return Error{Code::io, text(name, ": key ", duplicate, " appears twice")};
    return value;
  } catch (const Json::exception& error) {
    return Error{Code::io, text(name, ": not JSON: ", printable(error.what()))};
  }
}

std::optional<double> json_number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_string())
    for (const Word& w : words)
      if (value.get_ref<const std::string&>() == w.marker) return w.value;
  return {};
}

std::string json_text(const Json& value) {
  if (value.is_structured()) return text(value.is_array() ? "a list of " : "an object of ", value.size());
  if (value.is_string() && json_number(value)) return value.get_ref<const std::string&>().substr(1);
  std::string out = value.is_string() ? printable(value.get_ref<const std::string&>()) : value.dump();
  return out.size() > 60 ? out.substr(0, 57) + "..." : out;
}

}  // namespace switchyard::models
