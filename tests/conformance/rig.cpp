#include "tests/conformance/rig.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "backends/all.h"
#include "hal/layers/validate.h"
#include "tests/support/remote.h"

namespace switchyard::test {
namespace {

enum class Exclusion { never, for_now };
struct Line {
  const char *device, *test;
  Exclusion kind;
  const char* reason;
};
const std::vector<Line>& lines() {
  using enum Exclusion;
  static const std::vector<Line> list{
#define X(device, test, kind, reason) {device, test, kind, reason},
#include "tests/conformance/excluded.def"
#undef X
  };
  return list;
}

bool matches(const char* pattern, const char* text) {
  if (*pattern == '*') return matches(pattern + 1, text) || (*text && matches(pattern, text + 1));
  return *pattern == *text && (!*text || matches(pattern + 1, text + 1));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// All there is, for as long as the program runs.
struct World {
  kernels::Library library;
  std::vector<BackendRef> backends;
  std::vector<Info> infos;
  std::map<std::string, BackendRef> owner;
  std::map<std::string, DeviceRef> open;
  std::map<std::string, std::map<std::string, std::string>>
      results;  // test, device: passed failed declined excluded expected_failure

  World() {
    backends::Options options;
    options.remote = remote_backends();
    if (const char* sims = std::getenv("SWITCHYARD_SIM")) {
      std::istringstream list(sims);
      for (std::string file; std::getline(list, file, ':');)
        if (!file.empty()) options.sims.push_back(file);
    }
    backends = backends::all(options);
    for (auto& backend : backends) {
      Discovery found = backend->discover();
      for (const Absence& a : found.absent)
        std::printf("not here: %s: %s %s\n", a.api.c_str(), a.code.c_str(), a.detail.c_str());
      for (const Info& info : found.devices) {
        infos.push_back(info);
        owner[info.id] = backend;
      }
    }
  }
};
World& world() {
  static World w;
  return w;
}

const Line* excluded(const std::string& id, const std::string& test) {
  const auto& infos = devices();
  auto info = std::find_if(infos.begin(), infos.end(), [&](const Info& i) { return i.id == id; });
  const std::string driver = info == infos.end() ? "" : lower(info->api + ":" + info->driver);
  for (const Line& l : lines())
    if ((matches(l.device, id.c_str()) || matches(l.device, driver.c_str())) && matches(l.test, test.c_str()))
      return &l;
  return nullptr;
}

// "Device/Buffer" and "Maps/cpu_0" -> "Buffer.Maps"
std::string plain_name(const ::testing::TestInfo& info) {
  std::string suite = info.test_suite_name(), test = info.name();
  return suite.substr(suite.find('/') + 1) + "." + test.substr(0, test.find('/'));
}

std::string& note() {  // what the running test was, other than passed or failed
  static std::string text;
  return text;
}

class Report final : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override { note().clear(); }

  void OnTestEnd(const ::testing::TestInfo& info) override {
    if (!info.value_param()) return;
    std::string id = info.value_param();
    id.erase(std::remove(id.begin(), id.end(), '"'), id.end());
    const char* result = info.result()->Failed()    ? "failed"
                         : !note().empty()          ? note().c_str()
                         : info.result()->Skipped() ? "declined"
                                                    : "passed";
    world().results[plain_name(info)][id] = result;
  }

  void OnTestProgramEnd(const ::testing::UnitTest&) override {
    std::map<std::string, std::map<std::string, int>> counts;
    std::printf("\n%-52s", "conformance");
    for (const Info& info : devices()) std::printf(" %-12s", info.id.c_str());
    for (const auto& [test, cells] : world().results) {
      std::printf("\n%-52s", test.c_str());
      for (const Info& info : devices()) {
        auto cell = cells.find(info.id);
        std::printf(" %-12s", cell == cells.end() ? "-" : cell->second.c_str());
        if (cell != cells.end()) ++counts[info.id][cell->second];
      }
    }
    std::printf("\n%zu devices\n", devices().size());
    for (const auto& [id, count] : counts) {
      std::printf("%s:", id.c_str());
      for (const auto& [result, n] : count) std::printf(" %d %s", n, result.c_str());
      std::printf("\n");
    }
    for (const Line& l : lines())
      std::printf("excluded on %s: %s, %s: %s\n", l.device, l.test, l.kind == Exclusion::never ? "never" : "for now",
                  l.reason);
    if (const char* file = std::getenv("SWITCHYARD_REPORT")) write(file);
    world().open.clear();
  }

  static void write(const char* path) {
    nlohmann::json j;
    j["schema"] = "switchyard.conformance/1";
    const char* stack = std::getenv("SWITCHYARD_STACK");
    j["stack"] = stack ? stack : "";
    char date[32];
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    j["date"] = date;
    j["devices"] = nlohmann::json::array();
    for (const Info& i : devices())
      j["devices"].push_back({{"id", i.id}, {"name", i.name}, {"driver", i.driver}, {"features", i.features}});
    j["results"] = world().results;
    std::ofstream out(path);
    out << j.dump(2) << "\n";
    if (!out) std::fprintf(stderr, "SWITCHYARD_REPORT: %s could not be written\n", path);
  }
};
const bool listening = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new Report);
  return true;
}();

}  // namespace

const std::vector<Info>& devices() { return world().infos; }

std::vector<std::string> device_ids() {
  std::vector<std::string> ids;
  for (const Info& info : devices()) ids.push_back(info.id);
  return ids;
}

DeviceRef open_device(const std::string& id) {
  DeviceRef& held = world().open[id];
  if (held) return held;
  auto opened = world().owner.at(id)->open(id, {&world().library, nullptr});
  if (!opened) {
    ADD_FAILURE() << id << ": " << describe(opened.error());
    return nullptr;
  }
  held = *opened;
  const char* validated = std::getenv("SWITCHYARD_VALIDATE");
  if (validated && std::string(validated) == "1")
    held = validate(held, [](const Error& e) { std::printf("validate: %s\n", describe(e).c_str()); });
  return held;
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

void Contract::SetUp() {
  const std::string name = plain_name(*::testing::UnitTest::GetInstance()->current_test_info());
  if (const Line* line = excluded(GetParam(), name)) {
    note() = line->kind == Exclusion::never ? "excluded" : "for_now";
    if (line->kind == Exclusion::never) GTEST_SKIP() << line->reason;
    for_now_ = line->reason;
    catcher_ = std::make_unique<::testing::ScopedFakeTestPartResultReporter>(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &expected_);
  }
  device_ = open_device(GetParam());
  ASSERT_TRUE(device_);
}

void Contract::TearDown() {
  if (!catcher_) return;
  catcher_.reset();
  for (int i = 0; i < expected_.size(); ++i)
    if (expected_.GetTestPartResult(i).failed()) {
      std::printf("expected for now (%s): %s\n", for_now_.c_str(), expected_.GetTestPartResult(i).message());
      return;
    }
  ADD_FAILURE() << "passes now; take its line out of excluded.def (" << for_now_ << ")";
}

BufferRef Contract::buffer(Bytes bytes, Memory memory) {
  auto made = device_->allocate({bytes, memory, "test"});
  if (made) return *made;
  ADD_FAILURE() << describe(made.error());
  return nullptr;
}

std::shared_ptr<Queue> Contract::queue() {
  auto made = device_->create_queue(QueueKind::any);
  if (made) return *made;
  ADD_FAILURE() << describe(made.error());
  return nullptr;
}

TimelineRef Contract::timeline(std::uint64_t initial) {
  auto made = device_->create_timeline(initial);
  if (made) return *made;
  ADD_FAILURE() << describe(made.error());
  return nullptr;
}

Status Contract::run(std::vector<Command> commands, std::shared_ptr<Timing> timing) {
  HAL_TRY(auto q, device_->create_queue(QueueKind::any));
  HAL_TRY(TimelineRef t, device_->create_timeline(0));
  HAL_CHECK(q->submit({{}, std::move(commands), {{t, 1}}, std::move(timing)}));
  return t->wait(1, patience);
}

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> data(bytes);
  std::uint32_t x = seed * 2654435761u + 12345u;
  for (std::byte& b : data) {
    x = x * 1664525u + 1013904223u;
    b = static_cast<std::byte>(x >> 24);
  }
  return data;
}

std::vector<std::byte> read(Buffer& buffer, Bytes offset, std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  Status status = buffer.read(offset, data);
  if (!status) ADD_FAILURE() << describe(status.error());
  return data;
}

std::optional<Segment> usable(Device& device, const Segment& segment, Dims dims) {
  Claim claim = device.claim(segment);
  if (!claim.whole()) return std::nullopt;
  if (std::none_of(claim.groups.begin(), claim.groups.end(), [](const Group& g) { return g.fixed_shapes; }))
    return segment;
  Segment s = segment;
  for (Tensor& t : s.values)
    for (Dim& d : t.shape) d.min = d.max = resolve(d, dims);
  if (!device.claim(s).whole()) return std::nullopt;
  return s;
}

std::optional<kernels::CaseData> small_case(Device& device, const std::string& op, const std::string& name) {
  const kernels::OpInfo* info = kernels::find_op(op);
  if (!info) return std::nullopt;
  for (const kernels::Case& c : info->cases()) {
    if (!c.tested || c.name.find(name) == std::string::npos) continue;
    if (auto segment = usable(device, c.segment, c.dims)) {
      kernels::Case mine = c;
      mine.segment = *segment;
      return kernels::make_data(mine, 11);
    }
  }
  return std::nullopt;
}

std::optional<kernels::CaseData> any_case(Device& device) {
  for (const char* op : {"gemm", "rmsnorm", "embedding", "ssm_scan"})
    if (auto data = small_case(device, op)) return data;
  for (const kernels::OpInfo* op : kernels::ops())
    if (auto data = small_case(device, op->name)) return data;
  return std::nullopt;
}

Result<std::unique_ptr<Runner>> Runner::make(Device& device, const Segment& segment) {
  auto r = std::make_unique<Runner>();
  r->segment_ = segment;
  HAL_TRY(r->program_, device.compile(segment, {}));
  HAL_TRY(r->queue_, device.create_queue(QueueKind::any));
  HAL_TRY(r->timeline_, device.create_timeline(0));
  for (const auto* list : {&segment.inputs, &segment.states, &segment.outputs})
    for (auto v : *list) {
      HAL_TRY(BufferRef b,
              device.allocate({std::max<Bytes>(max_bytes(segment.values[v]), 4), Memory::device, "runner"}));
      r->buffers_.push_back(b);
    }
  if (Bytes bytes = r->program_->scratch()) {
    HAL_TRY(r->scratch_, device.allocate({bytes, Memory::device, "scratch"}));
  }
  return r;
}

Result<std::vector<std::vector<std::byte>>> Runner::run(const std::vector<std::vector<std::byte>>& bytes,
                                                        const std::vector<std::int64_t>& dims) {
  Run run{program_, {}, dims, {scratch_, 0, scratch_ ? scratch_->bytes() : 0}};
  std::size_t i = 0;
  for (const auto* list : {&segment_.inputs, &segment_.states, &segment_.outputs})
    for (auto v : *list) {
      if (list != &segment_.outputs && !bytes[v].empty()) HAL_CHECK(buffers_[i]->write(0, bytes[v]));
      if (list == &segment_.outputs)
        HAL_CHECK(buffers_[i]->write(0, std::vector<std::byte>(buffers_[i]->bytes(), std::byte{0xee})));
      run.slices.push_back({buffers_[i], 0, std::max<Bytes>(tensor_bytes(segment_.values[v], dims), 4)});
      ++i;
    }
  HAL_CHECK(queue_->submit({{}, {run}, {{timeline_, ++submitted_}}, nullptr}));
  HAL_CHECK(timeline_->wait(submitted_, patience));
  std::vector<std::vector<std::byte>> out(segment_.values.size());
  i = segment_.inputs.size();
  for (const auto* list : {&segment_.states, &segment_.outputs})
    for (auto v : *list) {
      out[v].resize(tensor_bytes(segment_.values[v], dims));
      HAL_CHECK(buffers_[i++]->read(0, out[v]));
    }
  return out;
}

TEST(Found, ThereIsADevice) { EXPECT_FALSE(devices().empty()) << "no device was found"; }

TEST(Found, IdsAreUniqueAndUnknownOnesAreNotFound) {
  auto ids = device_ids();
  std::sort(ids.begin(), ids.end());
  EXPECT_TRUE(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
  for (auto& backend : world().backends) {
    auto opened = backend->open("nowhere:9", {&world().library, nullptr});
    // Without a driver there is nothing to look in, and the driver's own words say more.
    EXPECT_CODE(backend->discover().devices.empty() && !opened && opened.error().code == Code::unavailable
                    ? Code::unavailable
                    : Code::not_found,
                opened);
  }
}

}  // namespace switchyard::test
