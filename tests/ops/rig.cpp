#include "tests/ops/rig.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "backends/all.h"

namespace switchyard::test {

using namespace hal;
using namespace kernels;

Rig& Rig::get() {
  static Rig rig;
  return rig;
}

Rig::Rig() {
  setenv("SWITCHYARD_CPU_EMULATE_AMX", "1", 0);  // kernels that hardly any machine could run otherwise
  backends_ = backends::all({});
  for (auto& backend : backends_) {
    Discovery found = backend->discover();
    for (const Absence& a : found.absent)
      std::printf("not here: %s: %s %s\n", a.api.c_str(), a.code.c_str(), a.detail.c_str());
    for (const Info& info : found.devices) {
      infos_.push_back(info);
      owner_[info.id] = backend;
    }
  }
}

const Info& Rig::info(const std::string& id) const {
  return *std::find_if(infos_.begin(), infos_.end(), [&](const Info& i) { return i.id == id; });
}

DeviceRef Rig::open(const std::string& id) {
  if (DeviceRef& held = open_[id]; held) return held;
  auto device = owner_.at(id)->open(id, {&library_, nullptr});
  if (!device) {
    ADD_FAILURE() << id << ": " << describe(device.error());
    return nullptr;
  }
  return open_[id] = *device;
}

void Rig::print() const {
  if (table_.empty()) return;
  std::printf("\nruns compared (passed/failed/declined)\n%-28s", "");
  for (const Info& info : infos_) std::printf(" %18s", info.id.c_str());
  for (const auto& [row, cells] : table_) {
    std::printf("\n%-28s", row.c_str());
    for (const Info& info : infos_) {
      auto cell = cells.find(info.id);
      Count c = cell == cells.end() ? Count{} : cell->second;
      std::string text = std::to_string(c.passed) + "/" + std::to_string(c.failed) + "/" + std::to_string(c.declined);
      std::printf(" %18s", cell == cells.end() ? "-" : text.c_str());
    }
  }
  std::printf("\n\nvariants compared:");
  for (const auto& [variant, runs] : variants_) std::printf(" %s=%d", variant.c_str(), runs);
  std::printf("\n");
}

std::vector<std::string> Rig::silent() const {
  std::map<std::string, int> compared;
  for (const auto& [row, cells] : table_)
    for (const auto& [device, count] : cells) compared[device] += count.passed + count.failed;
  std::vector<std::string> ids;
  for (const auto& [device, runs] : compared)
    if (runs == 0) ids.push_back(device);
  return ids;
}

std::string test_name(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return text;
}

Segment fixed(const Segment& segment, Dims dims) {
  Segment s = segment;
  for (Tensor& t : s.values)
    for (Dim& d : t.shape) d.min = d.max = resolve(d, dims);
  return s;
}

bool run_variants(const std::string& device, const CaseData& data, double tolerance, const std::string& row) {
  std::vector<std::vector<double>> expected;
  Status reference = run_reference(data, expected);
  if (!reference) {
    ADD_FAILURE() << describe(reference.error());
    return false;
  }
  return run_variants(device, data, expected, tolerance, row);
}

bool run_variants(const std::string& id, const CaseData& data, const std::vector<std::vector<double>>& expected,
                  double tolerance, const std::string& row) {
  DeviceRef device = Rig::get().open(id);
  if (!device) return false;
  Count& count = Rig::get().count(row, id);
  CaseData mine = data;
  Segment& s = mine.c.segment;
  Claim claim = device->claim(s);
  if (std::any_of(claim.groups.begin(), claim.groups.end(), [](const Group& g) { return g.fixed_shapes; })) {
    auto dims = std::vector<std::int64_t>(data.c.dims);
    dims.resize(max_symbols);
    s = fixed(s, dims);
    claim = device->claim(s);
  }
  if (!claim.whole()) {
    ++count.declined;
    std::string why = claim.declined.empty() ? "" : s.nodes[claim.declined[0].node].op + ": " + claim.declined[0].why;
    // What every machine has takes every op; a GPU may decline, and says why.
    if (device->info().accepts(Format::call))
      ADD_FAILURE() << id << " declines " << data.c.name << ": " << why;
    else if (static std::set<std::string> said; said.insert(id + why).second)  // once per reason
      std::printf("%s declines %s: %s\n", id.c_str(), data.c.name.c_str(), why.c_str());
    return false;
  }
  auto once = [&](const std::string& what) {
    auto run = run_on(*device, mine);
    if (!run) {
      ++count.failed;
      ADD_FAILURE() << id << " " << data.c.name << what << ": " << describe(run.error());
      return;
    }
    for (const Node& node : s.nodes)
      if (!node.variant.empty()) Rig::get().count_variant(node.variant);
    Comparison worst = compare(mine, expected, *run);
    bool good = worst.error <= tolerance;
    ++(good ? count.passed : count.failed);
    EXPECT_TRUE(good) << id << " " << data.c.name << what << ": error " << worst.error << " in value " << worst.value
                      << ", tolerance " << tolerance;
  };
  Library library;
  int runs = 0;
  for (std::uint32_t n = 0; n < s.nodes.size(); ++n) {
    for (const std::string& variant : library.variants(s, n, device->info())) {
      s.nodes[n].variant = variant;
      once(" node " + std::to_string(n) + " as " + variant);
      ++runs;
    }
    s.nodes[n].variant.clear();
  }
  if (runs == 0) {
    once("");  // a graph device has no variants
    ++runs;
  }
  return runs > 0;
}

namespace {
class Table : public ::testing::Environment {
  void TearDown() override {
    Rig::get().print();
    for (const std::string& id : Rig::get().silent())
      ADD_FAILURE() << id << " declined all it was asked: nothing was compared on it";
    Rig::get().close();
  }
};
const auto* const table = ::testing::AddGlobalTestEnvironment(new Table);
}  // namespace

}  // namespace switchyard::test
