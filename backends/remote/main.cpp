#include <charconv>
#include <cstdio>

#include "backends/all.h"

namespace switchyard::backends::remote {
namespace {

std::optional<int> number(std::string_view text) {
  int n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 0) return std::nullopt;
  return n;
}

// "submission:crash:3"
std::optional<Fault> fault_of(const std::string& text) {
  constexpr const char *places[] = {"", "submission", "allocation", "compile", "readback"},
                       *deeds[] = {"crash", "hang", "exit"};
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  if (second == std::string::npos) return std::nullopt;
  const auto nth = number(std::string_view(text).substr(second + 1));
  Fault fault;
  for (std::uint8_t at = 1; at < 5; ++at)
    if (text.substr(0, first) == places[at]) fault.at = static_cast<Fault::At>(at);
  bool known = false;
  for (std::uint8_t deed = 0; deed < 3; ++deed)
    if (text.substr(first + 1, second - first - 1) == deeds[deed]) {
      fault.what = static_cast<Fault::Do>(deed);
      known = true;
    }
  if (fault.at == Fault::At::never || !known || !nth || *nth == 0) return std::nullopt;
  fault.nth = static_cast<std::uint64_t>(*nth);
  return fault;
}

}  // namespace

std::optional<int> serve_if_host(int argc, char** argv, const hal::Kernels& kernels) {
  if (argc < 2 || std::string_view(argv[1]) != "backend-host") return std::nullopt;
  auto refuse = [](const std::string& text) {
    std::fprintf(stderr, "backend-host: %s\n", text.c_str());
    return 2;
  };
  std::string name;
  std::optional<int> fd;
  backends::Options options;
  Fault fault;
  for (int i = 2; i < argc; i += 2) {
    const std::string word = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--backend") {
      name = value;
    } else if (word == "--fd") {
      fd = number(value);
    } else if (word == "--sim") {
      options.sims.push_back(value);
    } else if (auto asked = word == "--fault" ? fault_of(value) : std::nullopt) {
      fault = *asked;
    } else {
      return refuse(word + " " + value + ": expected --backend NAME --fd N [--sim FILE] [--fault WHAT:ACTION:N]");
    }
  }
  if (!fd) return refuse("--fd: expected the number of an open socket");
  std::string known;
  for (const hal::BackendRef& backend : all(options)) {
    known.append(" ").append(backend->name());
    if (backend->name() != name) continue;
    serve(*fd, *backend, {&kernels, nullptr}, fault);
    return 0;
  }
  return refuse("--backend " + name + ": this build has" + known);
}

}  // namespace switchyard::backends::remote
