// SWITCHYARD_REMOTE=cpu,vulkan runs a test program's devices of these backends in processes of their own;
// SWITCHYARD_BACKEND_HOST names the tool, which is the host.
#pragma once
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace switchyard::test {

inline std::vector<std::string> remote_backends() {
  std::vector<std::string> names;
  const char* text = std::getenv("SWITCHYARD_REMOTE");
  std::istringstream list(text ? text : "");
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  return names;
}

}  // namespace switchyard::test
