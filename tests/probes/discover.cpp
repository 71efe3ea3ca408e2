#include "probes/discover/discover.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "probes/discover/devices.h"
#include "tests/support/fake_backend.h"

namespace switchyard::probes {
namespace {

using test::fake_info;
using test::FakeBackend;

std::shared_ptr<FakeBackend> backend(const std::string& api, int devices, const std::string& chip) {
  auto b = std::make_shared<FakeBackend>(api);
  for (int i = 0; i < devices; ++i) b->infos.push_back(fake_info(api, i, chip));
  return b;
}

const hal::Absence* absence(const Machine& m, const std::string& api) {
  for (const hal::Absence& a : m.absent)
    if (a.api == api) return &a;
  return nullptr;
}

// A crash under a sanitizer prints a report and exits; the answer here is the same: no device, a reason.
TEST(Discover, CrashHangAndEarlyExitAreAbsences) {
  auto well = backend("well", 1, "Good chip");
  well->absent.push_back({"well", "no_device", "a second slot is empty", "put one in"});
  auto crash = backend("crash", 1, "Bad chip");
  crash->on_discover = [] {
    std::fputs("chatter\nsegment table broken\n", stderr);
    std::raise(SIGKILL);
  };
  auto hang = backend("hang", 1, "Slow chip");
  hang->on_discover = [] { std::this_thread::sleep_for(std::chrono::minutes(10)); };
  auto leave = backend("leave", 1, "Odd chip");
  leave->on_discover = [] { std::_Exit(0); };
  auto noisy = backend("noisy", 1, "Loud chip");
  noisy->on_discover = [] {
    for (int i = 0; i < 100000; ++i) std::fputs("a driver that talks a lot\n", stderr);
  };
  std::vector<hal::BackendRef> all{crash, hang, well, leave, noisy};
  auto begin = std::chrono::steady_clock::now();
  DiscoverOptions options;
  options.limit = std::chrono::milliseconds(700);
  auto machine = discover(all, options);
  auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(machine) << hal::describe(machine.error());
  EXPECT_LT(took, std::chrono::seconds(5));
  ASSERT_EQ(machine->doors().size(), 2u);
  EXPECT_NE(machine->door("well:0"), nullptr);
  EXPECT_NE(machine->door("noisy:0"), nullptr);
  EXPECT_EQ(machine->door("well:0")->total, 1u << 30);
  EXPECT_EQ(machine->door("well:0")->budget, 1u << 29);
  ASSERT_NE(absence(*machine, "crash"), nullptr);
  EXPECT_EQ(absence(*machine, "crash")->code, "crashed");
  EXPECT_NE(absence(*machine, "crash")->detail.find("signal 9"), std::string::npos)
      << absence(*machine, "crash")->detail;
  EXPECT_NE(absence(*machine, "crash")->detail.find("last words: segment table broken"), std::string::npos);
  ASSERT_NE(absence(*machine, "hang"), nullptr);
  EXPECT_EQ(absence(*machine, "hang")->code, "timed_out");
  EXPECT_NE(absence(*machine, "hang")->detail.find("0.7 s"), std::string::npos) << absence(*machine, "hang")->detail;
  EXPECT_NE(absence(*machine, "hang")->fix.find("SWITCHYARD_DISCOVER_SECONDS"), std::string::npos);
  ASSERT_NE(absence(*machine, "leave"), nullptr);
  EXPECT_EQ(absence(*machine, "leave")->code, "crashed");
  EXPECT_EQ(absence(*machine, "well")->detail, "a second slot is empty");
  for (const auto& b : {crash, hang, well}) EXPECT_EQ(b->discovered, 0) << "touched in this process";
}

TEST(Discover, EnvironmentSetsTheLimitAndRefusesNonsense) {
  setenv("SWITCHYARD_DISCOVER_SECONDS", "soon", 1);
  auto machine = discover({}, {});
  unsetenv("SWITCHYARD_DISCOVER_SECONDS");
  ASSERT_FALSE(machine);
  EXPECT_NE(machine.error().message.find("soon"), std::string::npos);
}

TEST(Discover, InProcessAndInChildrenFindTheSame) {
  std::vector<hal::BackendRef> all{backend("a", 2, "Chip"), backend("b", 1, "Other")};
  DiscoverOptions here;
  here.in_process = true;
  auto one = discover(all, here), two = discover(all, {});
  ASSERT_TRUE(one && two);
  EXPECT_EQ(key(*one), key(*two));
  EXPECT_EQ(one->doors().size(), 3u);
}

Door door(const std::string& api, int n, const std::string& name, std::uint8_t uuid, hal::Bytes gib) {
  Door d{fake_info(api, n, name), gib << 30, (gib << 30) * 3 / 4};
  d.info.chip[15] = uuid;
  return d;
}

TEST(Fold, OneChipThroughSeveralApisIsCountedOnce) {
  Machine m;
  m.host.memory_total = 32ull << 30;
  m.host.memory_available = 20ull << 30;
  Door cpu = door("cpu", 0, "Processor", 0, 32), soft = door("vk", 1, "software", 9, 32);
  cpu.info.features = soft.info.features = {std::string(host_memory_feature)};
  fold(m, {cpu, door("vk", 0, "Card", 7, 24), soft, door("cl", 0, "card by another name", 7, 23),
           door("xx", 0, "CARD", 0, 24)});
  ASSERT_EQ(m.chips.size(), 3u);
  const Chip* card = m.chip_of("vk:0");
  EXPECT_EQ(card, m.chip_of("cl:0"));
  // No identity, another API, the same name: taken for the same chip, and said so.
  EXPECT_EQ(card, m.chip_of("xx:0"));
  EXPECT_TRUE(card->guess);
  EXPECT_EQ(card->id, "00000000000000000000000000000007");
  ASSERT_EQ(m.pools.size(), 2u);
  EXPECT_EQ(m.pool_of("cpu:0"), m.pool_of("vk:1"));
  EXPECT_EQ(m.pool_of("cpu:0")->name, "host");
  EXPECT_EQ(m.pool_of("cpu:0")->budget, 20ull << 30);
  EXPECT_EQ(m.pool_of("cl:0")->total, 24ull << 30);
}

TEST(Fold, DifferentIdentitiesAreDifferentChips) {
  Machine m;
  fold(m, {door("a", 0, "Card", 1, 8), door("a", 1, "Card", 2, 8), door("b", 0, "Card", 2, 8),
           door("b", 1, "Card", 1, 8)});
  ASSERT_EQ(m.chips.size(), 2u);
  EXPECT_EQ(m.chip_of("a:0"), m.chip_of("b:1"));
  EXPECT_EQ(m.chip_of("a:1"), m.chip_of("b:0"));
  EXPECT_FALSE(m.chips[0].guess || m.chips[1].guess);
  Machine twins;  // two equal cards without identity: the n-th is the n-th
  fold(twins, {door("a", 0, "Card", 0, 8), door("a", 1, "Card", 0, 8), door("b", 0, "Card", 0, 8),
               door("b", 1, "Card", 0, 8)});
  ASSERT_EQ(twins.chips.size(), 2u);
  EXPECT_EQ(twins.chip_of("a:1"), twins.chip_of("b:1"));
}

TEST(Machine, JsonThereAndBack) {
  Machine m;
  m.host = host_facts();
  EXPECT_GT(m.host.memory_total, 0u);
  EXPECT_GT(m.host.threads, 0);
  EXPECT_FALSE(m.host.cpu.empty());
  m.absent.push_back({"zz", "library_missing", "libzz.so is not there", "install zz"});
  Door d = door("a", 0, "Card", 5, 8);
  d.info.pci = "0000:01:00.0";
  d.info.limits.max_buffer = 1ull << 40;
  d.info.features = {"f16"};
  d.info.formats = {hal::Format::graph, hal::Format::call};
  fold(m, {d});
  std::string text = to_json(m);
  auto back = machine_from_json(text);
  ASSERT_TRUE(back) << hal::describe(back.error());
  EXPECT_EQ(to_json(*back), text);
  m.chips[0].name = "Card \xff";  // as a driver may say
  EXPECT_EQ(machine_from_json(to_json(m))->chips[0].name, "Card \ufffd");
  EXPECT_EQ(key(*back), key(m));
  EXPECT_EQ(back->door("a:0")->info.limits.max_buffer, 1ull << 40);
}

TEST(Machine, OtherSchemasAndBrokenFilesAreRefusedByName) {
  for (auto [text, word] :
       {std::pair{"{\"schema\":\"switchyard.machine/2\"}", "machine/2"}, std::pair{"{}", "none"},
        std::pair{"[1", "not a JSON object"}, std::pair{"{\"schema\":\"switchyard.machine/1\"}", "host"}}) {
    auto m = machine_from_json(text);
    ASSERT_FALSE(m) << text;
    EXPECT_EQ(m.error().code, hal::Code::io);
    EXPECT_NE(m.error().message.find(word), std::string::npos) << m.error().message;
  }
}

TEST(Devices, NamesPeopleUse) {
  Machine m;
  Door cpu = door("cpu", 0, "Processor", 0, 32);
  cpu.info.features = {std::string(host_memory_feature)};
  cpu.info.kind = hal::Kind::cpu;
  Door card = door("vk", 1, "Card", 7, 24);
  card.info.pci = "0000:01:00.0";
  fold(m, {cpu, door("vk", 0, "Small", 3, 4), card});
  for (auto [name, id] : {std::pair{"cpu", "cpu:0"},
                          {"CPU0", "cpu:0"},
                          {"cpu:0", "cpu:0"},
                          {"VK1", "vk:1"},
                          {"Vk:1", "vk:1"},
                          {"vk.1", "vk:1"},
                          {"vk", "vk:0"},
                          {"GPU.1", "vk:1"},
                          {"gpu", "vk:0"},
                          {"01:00.0", "vk:1"},
                          {"0000:01:00.0", "vk:1"},
                          {"auto", "vk:1"},
                          {"GPU-00000000-0000-0000-0000-000000000007", "vk:1"}}) {
    auto found = resolve(m, name);
    ASSERT_TRUE(found) << name << ": " << hal::describe(found.error());
    EXPECT_EQ(found->id, id) << name;
    EXPECT_FALSE(found->why.empty());
  }
  m.absent.push_back({"zz", "library_missing", "libzz.so is not there", "install zz"});
  for (auto name : {"cpu:1", "zz:0", "vk:99999999999", "", "gpu.2", "u"}) {
    auto found = resolve(m, name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, hal::Code::not_found);
    EXPECT_NE(found.error().message.find("vk:1 (Card)"), std::string::npos) << found.error().message;
  }
  EXPECT_NE(resolve(m, "zz0").error().message.find("libzz.so is not there"), std::string::npos);
  EXPECT_FALSE(resolve(Machine{}, "auto"));
}

TEST(Devices, OpensOnceAndOnlyWhatWasWell) {
  auto a = backend("a", 1, "Chip"), b = backend("b", 1, "Other");
  Machine m;
  fold(m, {Door{a->infos[0], 0, 0}});
  Devices devices(m, {a, b}, {});
  auto one = devices.open("A0"), two = devices.open("a:0");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->get(), two->get());
  EXPECT_EQ(a->opened, 1);
  EXPECT_FALSE(devices.open("b:0"));
  EXPECT_EQ(b->discovered, 0);
}

}  // namespace
}  // namespace switchyard::probes
