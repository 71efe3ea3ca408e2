// Where the reference data lies, and how a test fails without it.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace switchyard::models {

inline std::filesystem::path oracle() {
  const char* set = std::getenv("SWITCHYARD_ORACLE");
  return set && *set ? set : "../shared/oracle/data";
}

// Files and folders of `folder` whose name ends in `ending`, sorted. Fails the test when there are fewer than `least`.
inline std::vector<std::string> oracle_paths(const std::string& folder, const std::string& ending, std::size_t least) {
  std::vector<std::string> paths;
  std::error_code error;
  for (auto& entry : std::filesystem::directory_iterator(oracle() / folder, error))
    if (entry.path().string().ends_with(ending)) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  EXPECT_GE(paths.size(), least) << "no reference data in " << std::filesystem::absolute(oracle() / folder)
                                 << ": set SWITCHYARD_ORACLE to the folder that has models/, gguf/, ops/ and goldens/";
  return paths;
}

}  // namespace switchyard::models
