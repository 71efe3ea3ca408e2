// The tool as its users meet it: what it prints, as text and as JSON, and its exit codes.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using nlohmann::json;

struct Output {
  int code = -1;
  std::string out, err;
  json data() const { return json::parse(out); }
};

// Files of one test, in a folder of its own that goes with it; also where the tool keeps its profiles.
class Cli : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_.file(name); }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Output tool(const std::string& arguments) const {
    const std::string command = "XDG_CACHE_HOME='" + folder_.path().string() + "' '" SWITCHYARD_TOOL "' " + arguments +
                                " >'" + file("stdout") + "' 2>'" + file("stderr") + "' </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(file("stdout")),
            read(file("stderr"))};
  }
  static std::string model(const char* name = "moe-hybrid-q8_0") {
    return test::oracle_path("gguf/" + std::string(name) + ".gguf");
  }

  test::Folder folder_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(Cli, DevicesAsJsonHoldTheCpuAndSayWhatIsAbsent) {
  auto r = tool("devices --json");
  ASSERT_EQ(r.code, 0) << r.err;
  auto j = r.data();
  EXPECT_EQ(j["schema"], "switchyard.devices/1");
  ASSERT_FALSE(j["devices"].empty());
  EXPECT_EQ(j["devices"][0]["id"], "cpu:0");
  for (const auto& a : j["absent"])
    for (const char* key : {"api", "code", "detail", "fix"}) EXPECT_FALSE(a[key].get<std::string>().empty()) << a;
}

TEST_F(Cli, RunContinuesAsTheGoldenDoesAndSaysWhereItRan) {
  auto g = test::golden("moe-hybrid-f32");
  std::string tokens;
  for (auto t : g.tokens(7)) tokens += (tokens.empty() ? "" : ",") + std::to_string(t);
  auto r = tool("run " + test::oracle_path("models/moe-hybrid-f32") + " --tokens " + tokens +
                " -n 8 --device cpu:0 --strict --activations f32 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  auto j = r.data();
  auto want = g.greedy(7);
  want.resize(8);
  EXPECT_EQ(j["tokens"].get<std::vector<std::int32_t>>(), want);
  ASSERT_EQ(j["ran_on"].size(), 1u);
  EXPECT_EQ(j["ran_on"][0]["device"], "cpu:0");
  EXPECT_TRUE(j["ran_on"][0]["embedding"].get<bool>() && j["ran_on"][0]["head"].get<bool>());
}

TEST_F(Cli, BenchOfAModelNamesItsTestsAndTheirLimits) {
  auto r = tool("bench " + model() + " -p 32 -n 4 --parallel 2 -r 3 --device cpu:0 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  auto j = r.data();
  EXPECT_EQ(j["schema"], "switchyard.bench/2");
  ASSERT_EQ(j["results"].size(), 3u);
  const char* names[] = {"pp32", "tg4", "tg4x2"};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& t = j["results"][i];
    EXPECT_EQ(t["test"], names[i]);
    EXPECT_EQ(t["tokens_per_second"]["samples"].size(), 3u);
    EXPECT_LE(t["tokens_per_second"]["min"], t["tokens_per_second"]["max"]);
    EXPECT_GT(t["percent_of_limit"].get<double>(), 0);
    EXPECT_TRUE(t["limit"] == "memory" || t["limit"] == "compute") << t;
  }
  EXPECT_GT(j["limits"][0]["read_bytes_per_second"].get<double>(), 0);
  EXPECT_GT(j["load_seconds"].get<double>(), 0);
  EXPECT_GT(j["peak_rss_bytes"].get<std::int64_t>(), 0);
}

TEST_F(Cli, BenchOfOneOpGivesEveryTimedCaseAndThePercentage) {
  auto r = tool("bench --op rmsnorm --quick --device cpu:0 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  auto j = r.data();
  EXPECT_EQ(j["schema"], "switchyard.bench_ops/2");
  ASSERT_FALSE(j["results"].empty());
  for (const auto& row : j["results"]) {
    EXPECT_EQ(row["op"], "rmsnorm");
    EXPECT_GT(row["percent_of_limit"].get<double>(), 0);
  }
}

TEST_F(Cli, BenchOfNamedCasesGivesJustThose) {
  auto r = tool("bench --op ssm_scan --case granite_h_micro_1,granite_h_tiny_1 --quick --device cpu:0 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  ASSERT_EQ(r.data()["results"].size(), 2u);
  EXPECT_EQ(r.data()["results"][0]["case"], "granite_h_tiny_1");
}

TEST_F(Cli, APlanIsAFileThatRunTakesAndAnotherModelDoesNot) {
  const std::string sim = " --sim tests/data/sim/kernel.json";
  auto p =
      tool("plan " + model() + sim + " --pin 0-1=sim:kernel --pin head=cpu:0 --ctx 64 --json -o " + file("plan.json"));
  ASSERT_EQ(p.code, 0) << p.err;
  EXPECT_EQ(p.data()["schema"], "switchyard.plan/2");
  const std::string with_plan = "run " + model() + sim + " --tokens 1,2,3 -n 4 --ctx 64 --plan " + file("plan.json") +
                                " --record " + file("steps.jsonl");
  auto r = tool(with_plan + " --json");
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_GE(r.data()["ran_on"].size(), 2u);
  EXPECT_GT(r.data()["step_seconds"]["predicted"].get<double>(), 0);
  // Each stage's steps as predicted and measured: in the answer, as a table, and as a line of the file per run.
  ASSERT_EQ(r.data()["stages"].size(), 2 * r.data()["ran_on"].size());
  const json ran = r.data();
  for (const auto& s : ran["stages"]) {
    const bool decode = s["phase"] == "decode";
    EXPECT_EQ(s["samples"], decode ? 4 : 1) << s;
    EXPECT_GT(s["predicted_seconds"].get<double>(), 0) << s;
    EXPECT_GT(s["measured_seconds"].get<double>(), 0) << s;
    EXPECT_EQ(s["drift"], decode ? json("learning") : json(nullptr)) << s;
  }
  auto again = tool(with_plan + " --stats");
  ASSERT_EQ(again.code, 0) << again.err;
  for (const char* word : {"predicted", "measured", "ratio", "drift", "decode", "sim:kernel", "learning"})
    EXPECT_HAS(again.err, word);
  std::ifstream lines(file("steps.jsonl"));
  int runs = 0;
  for (std::string line; std::getline(lines, line); ++runs) {
    const json recorded = json::parse(line);
    EXPECT_EQ(recorded["schema"], "switchyard.observed/1");
    EXPECT_EQ(recorded["machine"], p.data()["machine"]);
    EXPECT_EQ(recorded["model"]["hash"], p.data()["model"]["hash"]);
    EXPECT_EQ(recorded["objective"], p.data()["objective"]);
    EXPECT_EQ(recorded["stages"].size(), r.data()["stages"].size());
  }
  EXPECT_EQ(runs, 2);
  auto alone = tool("run " + model() + " --tokens 1,2,3 -n 4 --ctx 64 --device cpu:0 --json");
  EXPECT_EQ(r.data()["tokens"], alone.data()["tokens"]);

  auto other =
      tool("run " + model("moe-hybrid-f16") + sim + " --tokens 1,2,3 -n 4 --ctx 64 --plan " + file("plan.json"));
  EXPECT_NE(other.code, 0);
  EXPECT_HAS(other.err, "was made for model");
}

TEST_F(Cli, PlansForMachinesThatAreNotHere) {
  auto described = tool("plan h-tiny --profile probes/machines/core-ultra-rtx4060-32.json --json");
  ASSERT_EQ(described.code, 0) << described.err;
  EXPECT_HAS(described.err, "described, not measured");
  auto pinned =
      tool("plan h-tiny --profile probes/machines/core-ultra-rtx4060-32.json --pin experts=cpu:0 --json --html " +
           file("plan.html"));
  ASSERT_EQ(pinned.code, 0) << pinned.err;
  const std::string page = read(file("plan.html"));
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_HAS(page, "layer 39 (experts)");
  auto table = tool("plan h-micro --table --profile probes/machines/ai-pc-16.json --json");
  ASSERT_EQ(table.code, 0) << table.err;
  const auto plan = described.data(), experts_apart = pinned.data(), grid = table.data();
  ASSERT_EQ(plan["layers"].size(), 82u);
  for (const auto& layer : plan["layers"]) EXPECT_EQ(layer["device"], "vulkan:1") << layer;
  for (const auto& move : plan["moves"]) EXPECT_EQ(move["how"], "roofline") << move;
  for (const auto& layer : experts_apart["layers"])
    EXPECT_EQ(layer["device"] == "cpu:0", layer["layer"].get<std::string>().ends_with("(experts)")) << layer;

  EXPECT_EQ(grid["schema"], "switchyard.plan_table/1");
  int fit = 0, not_fit = 0;
  for (const auto& cell : grid["plans"]) ++(cell["fits"].get<bool>() ? fit : not_fit);
  EXPECT_GT(fit, 40);
  EXPECT_GT(not_fit, 5);

  // This machine from its own files, as if it were another.
  auto here = tool("devices -o " + file("machine.json"));
  ASSERT_EQ(here.code, 0) << here.err;
  auto profile = tool("profile --quick --device cpu:0 -o " + file("profile.json"));
  ASSERT_EQ(profile.code, 0) << profile.err;
  auto there = tool("plan h-350m --machine " + file("machine.json") + " --profile " + file("profile.json") + " --json");
  ASSERT_EQ(there.code, 0) << there.err;
  EXPECT_HAS(there.err, "for machine ");
  auto alone = tool("plan h-350m --machine " + file("machine.json"));
  EXPECT_EQ(alone.code, 2);
  EXPECT_HAS(alone.err, "add --profile");
  auto mixed = tool("plan h-350m --machine tests/data/machines/laptop.machine.json --profile " + file("profile.json"));
  EXPECT_EQ(mixed.code, 3);
  EXPECT_HAS(mixed.err, "was measured on machine");
  EXPECT_EQ(tool("plan h-tiny --profile probes/machines/ai-pc-16.json --device vulkan:7").code, 4);
  auto too_large = tool("plan h-small --profile probes/machines/old-laptop-8.json");
  EXPECT_EQ(too_large.code, 1);
  EXPECT_HAS(too_large.err, "does not fit");
}

TEST_F(Cli, PlansWithinLimits) {
  const std::string there = " --profile probes/machines/core-ultra-rtx4060-32.json";
  const auto free = tool("plan h-tiny --json" + there);
  ASSERT_EQ(free.code, 0) << free.err;
  // Less of the card than the best plan takes: some of it goes elsewhere.
  const auto capped = tool("plan h-tiny --max-memory vulkan:1=3GB --max-ttft 20s --json" + there);
  ASSERT_EQ(capped.code, 0) << capped.err;
  const json plan = capped.data();
  ASSERT_EQ(plan["limits"].size(), 2u);
  EXPECT_EQ(plan["limits"][1]["what"], "memory vulkan:1");
  EXPECT_LE(plan["limits"][1]["used"].get<double>(), 3e9);
  EXPECT_GT(plan["limits"][1]["better_without"].get<double>(), 0);
  EXPECT_GT(plan["objective"].get<double>(), free.data()["objective"].get<double>());
  const auto shown = tool("plan h-tiny --max-memory vulkan:1=3GB" + there);
  EXPECT_HAS(shown.out, "limit memory vulkan:1: ");
  EXPECT_HAS(shown.out, " of 3 GB, binds: without it ");
  const auto energy = tool(
      "plan h-tiny --mode energy --watts cpu:0=28,vulkan:0=20 --watts npu:0=10,vulkan:1=80 --watts rest=6" + there);
  ASSERT_EQ(energy.code, 0) << energy.err;
  for (const char* words : {"energy (each)", " declared", "the machine at rest 6 W (declared: --watts)"})
    EXPECT_HAS(energy.out, words);
  const auto asked = tool("plan h-tiny --device cpu:0 --fallback 5 --json" + there);
  ASSERT_EQ(asked.code, 0) << asked.err;
  const json fallback = asked.data();
  int elsewhere = 0;
  for (const auto& layer : fallback["layers"]) elsewhere += layer["device"] != "cpu:0";
  EXPECT_GT(elsewhere, 0);
  EXPECT_LE(elsewhere, 5);
}

TEST_F(Cli, PhasesAndDraftsArePlacedForADescribedMachine) {
  const std::string there = " --machine probes/machines/old-laptop-8.json";
  auto pair = tool("pair h-tiny --json -o " + file("pair.json") + there);
  ASSERT_EQ(pair.code, 0) << pair.err;
  EXPECT_EQ(pair.data()["schema"], "switchyard.pair/1");
  EXPECT_EQ(pair.out, read(file("pair.json")));
  EXPECT_GE(pair.data()["gain"].get<double>(), 1);
  EXPECT_EQ(pair.data()["break_even"]["pairs"].size(), 6u);
  EXPECT_EQ(tool("pair h-small" + there).code, 1) << "does not fit";
  EXPECT_EQ(tool("pair h-tiny --prompt 4k" + there).code, 2) << "no room for the output";
  EXPECT_EQ(tool("pair h-tiny --one-copy cpu:0,gpu:9" + there).code, 4);

  auto draft = tool("speculate h-1b --draft h-350m --acceptance 0.8 --json" + there);
  ASSERT_EQ(draft.code, 0) << draft.err;
  EXPECT_EQ(draft.data()["schema"], "switchyard.speculation/1");
  std::ofstream(file("records.csv")) << "1,1\n2,0\n1,1\n2,1\n";
  auto measured = tool("speculate h-1b --draft h-350m --records " + file("records.csv") + there);
  ASSERT_EQ(measured.code, 0) << measured.err;
  EXPECT_HAS(measured.err, "acceptance 0.750: 3 of 4 tokens; by position: 1.00 0.50");
  EXPECT_EQ(tool("speculate h-1b --draft h-350m" + there).code, 2);
  EXPECT_EQ(tool("speculate h-1b --draft h-350m --acceptance 1.5" + there).code, 2);
  EXPECT_EQ(tool("speculate h-small --draft h-350m --acceptance 0.5" + there).code, 1);
}

TEST_F(Cli, WrongUseAndBadInputEndWithTheirOwnCodeAndWords) {
  std::ofstream(file("broken.gguf")) << "GGUF and then nothing";
  std::ofstream(file("profile.json")) << "{\"schema\":\"switchyard.profile/99\"}";
  json npu = json::parse(read("probes/machines/lunar-lake-32.json"));
  npu["devices"] = json::array({npu["devices"][2]});
  std::ofstream(file("npu.json")) << npu;
  std::string many;
  for (int i = 0; i < 300; ++i) many += "1,";
  struct Try {
    std::string arguments;
    int code;
    const char* words;
  };
  for (const Try& t : std::vector<Try>{
           {"", 2, "subcommand"},
           {"fly", 2, ""},
           {"run " + model() + " --tokens 1,x -n 1 --device cpu:0", 2, "x"},
           {"run " + model() + " --tokens 1,99999999 -n 1 --device cpu:0", 2, "99999999"},
           {"run " + model() + " --tokens " + many + "99999999 -n 1 --device cpu:0", 2, "at position 300"},  // 2nd step
           {"run " + model() + " --tokens 1 -n -4 --device cpu:0", 2, "-4"},
           {"run " + model() + " --tokens 1 -n 1 --device gpu:7", 4, "cpu:0"},
           {"run " + file("none.gguf") + " --tokens 1 -n 1 --device cpu:0", 3, "none.gguf"},
           {"run " + file("broken.gguf") + " --tokens 1 -n 1 --device cpu:0", 3, "broken.gguf"},
           {"run " + model() + " --tokens 1 -n 1 --device cpu:0 --record " + file("no/steps"), 1, "cannot write"},
           {"plan h-tiny --profile " + file("npu.json"), 1, "no device takes layer 0 (mamba)"},
           {"plan h-tiny --mode energy --profile probes/machines/ai-pc-16.json", 1,
            "--watts cpu:0=WATTS,vulkan:0=WATTS"},
           {"plan h-tiny --watts cpu:0 --profile probes/machines/ai-pc-16.json", 2, "--watts cpu:0: expected"},
           {"plan h-tiny --watts cpu:0=many --profile probes/machines/ai-pc-16.json", 2, "--watts many"},
           {"plan h-tiny --watts gpu:7=5 --profile probes/machines/ai-pc-16.json", 4, "gpu:7"},
           {"plan h-tiny --max-ttft 2 --profile probes/machines/ai-pc-16.json", 2, "units s, ms, us"},
           {"plan h-tiny --max-ttft -2s --profile probes/machines/ai-pc-16.json", 2, "--max-ttft"},
           {"plan h-tiny --max-step 0ms --profile probes/machines/ai-pc-16.json", 2, "limit of step: 0"},
           {"plan h-tiny --max-memory 6 --profile probes/machines/ai-pc-16.json", 2, "units GB, MB"},
           {"plan h-tiny --max-memory vram=6GB --profile probes/machines/ai-pc-16.json", 1, "pools and devices host"},
           {"plan h-tiny --fallback 3 --profile probes/machines/ai-pc-16.json", 2, "neither a device nor a pin"},
           {"plan h-tiny --fallback x --device cpu:0 --profile probes/machines/ai-pc-16.json", 2, "--fallback x"},
           {"plan h-tiny --fallback 1 --strict --device cpu:0 --profile probes/machines/ai-pc-16.json", 2, "strict"},
           {"plan h-tiny --table --max-step 1s --profile probes/machines/ai-pc-16.json", 2, "--table"},
           {"plan h-tiny --max-ttft 1ms --profile probes/machines/ai-pc-16.json", 1,
            "no plan reads a prompt of 512 in 1 ms"},
           {"plan h-tiny --max-memory 1GB --profile probes/machines/ai-pc-16.json", 1, "the smallest takes "},
           {"plan " + model() + " --mode fast", 2, "latency"},
           {"plan " + model() + " --profile " + file("profile.json"), 3, "profile"},
           {"bench --op conv9 --device cpu:0", 2, "causal_conv1d"},
           {"bench --op ssm_scan --case none --device cpu:0", 2, "granite_h_tiny_512"},
           {"plan h-tiny --ctx 128q", 2, "128q"},
           {"plan h-tiny --table --html " + file("plan.html"), 2, "--html"},
           {"plan h-350m --profile probes/machines/ai-pc-16.json --html " + file("no/plan.html"), 1, "cannot write"},
       }) {
    auto r = tool(t.arguments);
    EXPECT_EQ(r.code, t.code) << t.arguments << "\n" << r.err;
    EXPECT_HAS(r.err + r.out, t.words) << "\n  of: switchyard " << t.arguments;
  }
}

TEST_F(Cli, RoutingIsRecordedAndRead) {
  const std::string moe = test::oracle_path("models/moe-hybrid-f32"), trace = file("r.trace");
  auto run = tool("run " + moe + " --tokens 1,2,3,4,5 -n 3 --device cpu:0 --activations f32 --record-routing " + trace);
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_HAS(run.err, "routing of 8 tokens");
  auto r = tool("experts " + trace + " --model " + moe +
                " --budget 50% --fast-us 10 --slow-us 40 --sync-us 5 --link-gb-s 10 --json");
  ASSERT_EQ(r.code, 0) << r.err;
  auto j = r.data();
  EXPECT_EQ(j["schema"], "switchyard.experts/1");
  EXPECT_EQ(j["tokens"], 8);
  ASSERT_EQ(j["layers"].size(), 6u);
  for (const auto& layer : j["layers"]) {
    std::uint64_t sum = 0;
    for (const auto& n : layer["counts"]) sum += n.get<std::uint64_t>();
    EXPECT_EQ(sum, 16u);
  }
  EXPECT_EQ(j["budget_bytes"], 24576 * 48 / 2);
  ASSERT_EQ(j["policies"].size(), 6u);
  for (const auto& p : j["policies"]) {
    EXPECT_LE(p["bytes"], j["budget_bytes"]);
    EXPECT_GE(p["ratio_to_exact"].get<double>(), p["policy"] == "frequency" ? 0.8 : 1.0) << p;
  }
  EXPECT_TRUE(j.contains("replay"));
  auto text = tool("experts " + trace + " --budget 1MB");
  EXPECT_EQ(text.code, 0) << text.err;
  for (const char* words : {"top 25 %", "frequency", "hits later"}) EXPECT_HAS(text.out, words);
  EXPECT_EQ(text.out.find("us/token"), std::string::npos);  // nothing is timed that no time was given for

  auto shared = tool("run " + moe + " --tokens 1,2,3,4,5 -n 3 --device sim:kernel --sim tests/data/sim/kernel.json" +
                     " --activations f32 --check --json --experts " + trace + " --expert-budget 40%");
  ASSERT_EQ(shared.code, 0) << shared.err;
  EXPECT_HAS(shared.err, "experts: 19 of 48");
  EXPECT_EQ(shared.err.find("check:"), std::string::npos) << shared.err;
  std::set<std::string> devices;
  const json ran = shared.data();
  for (const auto& on : ran["ran_on"]) devices.insert(on["device"]);
  EXPECT_EQ(devices, (std::set<std::string>{"cpu:0", "sim:kernel"}));
  auto alone = tool("run " + moe + " --tokens 1,2,3,4,5 -n 3 --device cpu:0 --activations f32 --json");
  EXPECT_EQ(shared.data()["tokens"], alone.data()["tokens"]);
  EXPECT_EQ(tool("run " + moe + " --tokens 1 -n 1 --experts " + trace + " --expert-budget 1MB").code, 2);
  EXPECT_EQ(tool("run " + moe + " --tokens 1 -n 1 --device cpu:0 --experts " + trace).code, 2);
  const std::string described = " --profile probes/machines/core-ultra-rtx4060-32.json --json --experts ";
  auto planned = tool("plan " + moe + " --activations f32" + described + trace + " -o " + file("p.json"));
  ASSERT_EQ(planned.code, 0) << planned.err;
  EXPECT_EQ(planned.data()["layers"].size(), 14u);
  auto both = tool("run " + moe + " --tokens 1 -n 1 --plan " + file("p.json") + " --experts " + trace);
  EXPECT_EQ(both.code, 2);
  EXPECT_HAS(both.err, "--plan says where");

  const std::string other = test::oracle_path("models/moe-hybrid-g2-f32");
  auto wrong = tool("experts " + trace + " --model " + other);
  EXPECT_EQ(wrong.code, 3);
  EXPECT_HAS(wrong.err, "record one with it");
  EXPECT_EQ(tool("plan " + other + described + trace).code, 3);
  EXPECT_EQ(tool("experts " + other + "/config.json").code, 3);
  EXPECT_EQ(tool("experts " + file("none")).code, 3);
  EXPECT_EQ(tool("experts " + trace + " --budget many").code, 2);
  EXPECT_EQ(tool("experts " + trace + " --budget 1MB --fast-us 3").code, 2);
  const std::string recorded = read(trace);
  EXPECT_EQ(tool("run " + moe + " --tokens 1 -n 1 --device gpu:7 --record-routing " + trace).code, 4);
  EXPECT_EQ(tool("run " + moe + " --tokens 1,99999999 -n 1 --device cpu:0 --record-routing " + trace).code, 2);
  EXPECT_TRUE(read(trace) == recorded) << "a run that fails has changed the trace of another";
  auto unwritten = tool("run " + moe + " --tokens 1 -n 1 --device cpu:0 --record-routing " + file("no/t"));
  EXPECT_EQ(unwritten.code, 1);
  EXPECT_HAS(unwritten.err, "cannot write");
  auto dense = tool("run " + test::oracle_path("models/dense-hybrid-f32") +
                    " --tokens 1 -n 1 --device cpu:0 --record-routing " + file("d.trace"));
  EXPECT_EQ(dense.code, 1);
  EXPECT_HAS(dense.err, "0 experts");
}

TEST_F(Cli, StrictNamesTheOpsThatADeviceDeclines) {
  auto r =
      tool("run " + model() + " --sim tests/data/sim/few_ops.json --tokens 1,2 -n 1 --device sim:few_ops --strict");
  EXPECT_EQ(r.code, 1) << r.err;
  EXPECT_HAS(r.err, "few_ops");
  auto loose = tool("run " + model() + " --sim tests/data/sim/few_ops.json --tokens 1,2 -n 1 --device sim:few_ops");
  EXPECT_EQ(loose.code, 0) << loose.err;
  EXPECT_HAS(loose.err, "fallback:");
}

}  // namespace
}  // namespace switchyard
