// --remote: the tool starts itself as the host of a backend.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace switchyard {
namespace {

struct Output {
  int code;
  std::string text;
};
Output tool(const std::string& arguments, const char* errors = "&1") {
  std::FILE* pipe = popen(("'" SWITCHYARD_TOOL "' " + arguments + " 2>" + errors + " </dev/null").c_str(), "r");
  if (!pipe) return {-1, "popen failed"};
  std::string text;
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

TEST(CliRemote, DevicesSayThatTheyRunInAProcessOfTheirOwn) {
  for (const char* arguments : {"devices --json --remote cpu", "devices --remote cpu"}) {
    const Output r = tool(arguments);
    EXPECT_EQ(r.code, 0) << r.text;
    EXPECT_NE(r.text.find("in a process of its own"), std::string::npos) << r.text;
  }
}

TEST(CliRemote, TheSameTokensAsInTheToolsProcess) {
  const std::string run = "run h-350m --weights q8_0 --tokens 1,2,3 -n 4 --device cpu:0";
  const Output here = tool(run, "/dev/null"), there = tool(run + " --remote cpu", "/dev/null");
  EXPECT_EQ(here.code, 0);
  EXPECT_EQ(there.code, 0);
  EXPECT_NE(here.text.find(','), std::string::npos) << here.text;
  EXPECT_EQ(there.text, here.text);
}

TEST(CliRemote, WrongNamesAndArgumentsAreWrongUse) {
  Output r = tool("devices --remote cpu,nosuch");
  EXPECT_EQ(r.code, 2) << r.text;
  EXPECT_NE(r.text.find("nosuch"), std::string::npos) << r.text;
  for (const char* arguments : {"backend-host", "backend-host --fd 3", "backend-host --fd 3 --backend nosuch",
                                "backend-host --fd x --backend cpu", "backend-host --fault submission:crash:0"}) {
    r = tool(arguments);
    EXPECT_EQ(r.code, 2) << arguments << ": " << r.text;
    EXPECT_NE(r.text.find("--"), std::string::npos) << r.text;
  }
}

}  // namespace
}  // namespace switchyard
