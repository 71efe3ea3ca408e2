// Kernels on AMX tiles: the emulation of the instructions, the kernels on it, and the kernels' real machine code. Where
// the processor has no AMX, its instructions raise SIGILL and are done by the handler below, from their encoding.
#define SY_ISA isa_of_the_amx_test
#include <csignal>
#include <cstdlib>
#include <random>

#include "kernels/common/cpu/rounded_rows.h"
#include "kernels/common/cpu/tiles_amx.h"
#include "tests/ops/rig.h"
#include "tests/support/direct_runner.h"

#if defined(__x86_64__)
#include <ucontext.h>
#endif

namespace switchyard::test {
namespace {

using namespace hal;
using namespace kernels;
using Tiles = kernels::isa_of_the_amx_test::Tiles;
using kernels::isa_of_the_amx_test::TileShape;

std::uint32_t bits_of(float f) {
  std::uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}
std::uint32_t pair(float low, float high) { return bits_of(low) >> 16 | (bits_of(high) & 0xffff0000u); }

TEST(AmxEmulation, BytesAreSignedTimesUnsigned) {
  constexpr unsigned m = 5, k = 3, n = 7;
  std::mt19937 random(1);
  std::int8_t a[m][4 * k];
  std::uint8_t b[4 * k][n], tile_b[k][4 * n];
  std::int32_t c[m][n], got[m][n];
  auto extreme = [&] { return static_cast<int>(random() % 3 == 0 ? random() % 256 : random() % 2 * 255); };
  for (auto& row : a)
    for (auto& x : row) x = static_cast<std::int8_t>(extreme() - 128);
  for (unsigned i = 0; i < 4 * k; ++i)
    for (unsigned j = 0; j < n; ++j) tile_b[i / 4][4 * j + i % 4] = b[i][j] = static_cast<std::uint8_t>(extreme());
  for (auto& row : c)
    for (auto& x : row) x = static_cast<std::int32_t>(random() % 2000) - 1000;
  Tiles tiles;
  tiles.configure({{m, 4 * n}, {m, 4 * k}, {k, 4 * n}, {}, {}, {}, {}, {}});
  tiles.load<0>(c, sizeof c[0]);
  tiles.load<1>(a, sizeof a[0]);
  tiles.load<2>(tile_b, sizeof tile_b[0]);
  tiles.dot_s8u8<0, 1, 2>();
  tiles.store<0>(got, sizeof got[0]);
  for (unsigned i = 0; i < m; ++i)
    for (unsigned j = 0; j < n; ++j) {
      std::int32_t want = c[i][j];
      for (unsigned l = 0; l < 4 * k; ++l) want += a[i][l] * b[l][j];
      EXPECT_EQ(got[i][j], want) << i << " " << j;
    }
}

// One element of C after a product of two words of K.
float one_bf16(float c, std::uint32_t x0, std::uint32_t w0, std::uint32_t x1 = 0, std::uint32_t w1 = 0) {
  const std::uint32_t a[2] = {x0, x1}, b[2] = {w0, w1};
  Tiles tiles;
  tiles.configure({{1, 4}, {1, 8}, {2, 4}, {}, {}, {}, {}, {}});
  tiles.load<0>(&c, 4);
  tiles.load<1>(a, 8);
  tiles.load<2>(b, 4);
  tiles.dot_bf16<0, 1, 2>();
  tiles.store<0>(&c, 4);
  return c;
}

TEST(AmxEmulation, Bf16AddsEvenAndOddProductsFirst) {
  EXPECT_EQ(one_bf16(10, pair(1, 2), pair(3, 4), pair(5, 6), pair(7, 8)), 10.0f + 3 + 8 + 35 + 48);
  const float small = 0x1p-12f;
  EXPECT_EQ(one_bf16(1, pair(small, small), pair(small, small)), 1 + 0x1p-23f);  // one by one they would be lost
  EXPECT_EQ(one_bf16(1, pair(small, 0), pair(small, 0)), 1.0f);                  // ties go to even
  EXPECT_EQ(one_bf16(1 + 0x1p-23f, pair(small, 0), pair(small, 0)), 1 + 0x1p-22f);
  // Even: 2^24 + 1 - 2^24, where the 1 is lost; odd: 1.
  EXPECT_EQ(one_bf16(0, pair(0x1p24f, 1), pair(1, 1), pair(1, 0), pair(1, 0)), 0x1p24f);
  EXPECT_EQ(one_bf16(0, pair(0x1p24f, 1), pair(1, 1), pair(-0x1p24f, 1), pair(1, 1)), 2.0f);
}

TEST(AmxEmulation, Bf16TakesSubnormalsAsZero) {
  const float subnormal = 0x1p-130f;
  EXPECT_EQ(one_bf16(0, pair(subnormal, 0), pair(0x1p100f, 0)), 0.0f);
  EXPECT_EQ(one_bf16(0, pair(0, 0x1p100f), pair(0, subnormal)), 0.0f);
  EXPECT_EQ(one_bf16(0, pair(0x1p-100f, 0), pair(0x1p-30f, 0)), 0.0f);
  EXPECT_EQ(one_bf16(subnormal, 0, 0), 0.0f);
  EXPECT_EQ(one_bf16(0, pair(0x1p-100f, 0), pair(0x1p-26f, 0)), 0x1p-126f);
  EXPECT_EQ(one_bf16(0, pair(0x1p127f, 0), pair(2, 0)), INFINITY);
}

#if defined(__x86_64__)

// The registers of the thread that runs kernels, how many instructions were done on them, and whether they are in use.
thread_local Tiles trapped_tiles;
thread_local std::uint64_t trapped = 0;
thread_local bool in_use = false;
struct sigaction before;

std::uint64_t general(const ucontext_t& u, unsigned number) {
  constexpr int place[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                           REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<std::uint64_t>(u.uc_mcontext.gregs[place[number]]);
}

void configure(const std::uint8_t* config) {
  const std::uint8_t palette_1[16] = {1}, nothing[16] = {};
  if (std::memcmp(config, palette_1, 16) != 0 || std::memcmp(config + 32, nothing, 16) != 0 ||
      std::memcmp(config + 56, nothing, 8) != 0)
    std::abort();
  TileShape shape[8];
  for (int t = 0; t < 8; ++t) {
    shape[t].rows = config[48 + t];
    std::memcpy(&shape[t].row_bytes, config + 16 + 2 * t, 2);
  }
  trapped_tiles.configure(shape);
  in_use = true;
}

// Does one instruction and returns its length; 0: none of AMX.
unsigned perform(const ucontext_t& u) {
  const auto* code = reinterpret_cast<const std::uint8_t*>(u.uc_mcontext.gregs[REG_RIP]);
  if (code[0] != 0xc4 || (code[1] & 31) != 2 || (code[2] & 0x84) != 0) return 0;  // VEX, map 0F38, W0, 128 bits
  const unsigned prefix = code[2] & 3, third = ~code[2] >> 3 & 15, operation = code[3], modrm = code[4];
  const unsigned mode = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
  enum { none, p66, f3, f2 };
  if (mode == 3) {
    if (operation == 0x49 && prefix == f2)
      trapped_tiles.zero(static_cast<int>(reg));
    else if (operation == 0x49 && prefix == none && modrm == 0xc0)
      trapped_tiles.configure({{}, {}, {}, {}, {}, {}, {}, {}}), in_use = false;
    else if (operation == 0x5e && prefix == f3)
      trapped_tiles.dot_s8u8(static_cast<int>(reg), static_cast<int>(rm), static_cast<int>(third));
    else if (operation == 0x5c && prefix == f3)
      trapped_tiles.dot_bf16(static_cast<int>(reg), static_cast<int>(rm), static_cast<int>(third));
    else
      return 0;
    return 5;
  }
  // Memory: base, or base + index * scale, and a displacement.
  unsigned length = 5, base = rm;
  std::uint64_t index = 0;
  if (rm == 4) {
    const unsigned sib = code[length++], number = (sib >> 3 & 7) | (code[1] & 0x40 ? 0 : 8);
    if (number != 4) index = general(u, number) << (sib >> 6);
    base = sib & 7;
  }
  if (mode == 0 && base == 5) return 0;  // relative to the instruction, or no base: compilers do not do that here
  std::uint64_t address = general(u, base | (code[1] & 0x20 ? 0 : 8));
  if (mode == 1) {
    address += static_cast<std::uint64_t>(static_cast<std::int8_t>(code[length]));
    length += 1;
  } else if (mode == 2) {
    std::int32_t displacement;
    std::memcpy(&displacement, code + length, 4);
    address += static_cast<std::uint64_t>(displacement);
    length += 4;
  }
  if (operation == 0x49 && prefix == none && reg == 0)
    configure(reinterpret_cast<const std::uint8_t*>(address + index));
  else if (operation == 0x4b && prefix == f2 && rm == 4)
    trapped_tiles.load(static_cast<int>(reg), reinterpret_cast<const void*>(address), static_cast<std::int64_t>(index));
  else if (operation == 0x4b && prefix == f3 && rm == 4)
    trapped_tiles.store(static_cast<int>(reg), reinterpret_cast<void*>(address), static_cast<std::int64_t>(index));
  else
    return 0;
  return length;
}

void on_illegal(int, siginfo_t*, void* context) {
  auto& u = *static_cast<ucontext_t*>(context);
  const unsigned length = perform(u);
  if (length == 0) {
    sigaction(SIGILL, &before, nullptr);  // not ours: comes again, to whom it belongs
    return;
  }
  ++trapped;
  u.uc_mcontext.gregs[REG_RIP] += length;
}

struct Trap {
  Trap() {
    struct sigaction mine = {};
    mine.sa_sigaction = on_illegal;
    mine.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &mine, &before);
    trapped = 0;
  }
  ~Trap() { sigaction(SIGILL, &before, nullptr); }
};

const Info* cpu_with(std::initializer_list<const char*> words) {
  for (const Info& info : Rig::get().devices())
    if (info.accepts(Format::call) &&
        std::all_of(words.begin(), words.end(), [&](const char* w) { return info.has_feature(w); }))
      return &info;
  return nullptr;
}

// A case with some of its rows.
CaseData first_rows(const CaseData& data, std::int64_t rows) {
  CaseData some = data;
  const std::int64_t all = data.c.dims[0];
  some.c.dims[0] = rows;
  for (auto v : some.c.segment.inputs)
    if (some.c.segment.values[v].shape[0].symbol == 0)
      some.bytes[v].resize(some.bytes[v].size() / static_cast<std::size_t>(all) * static_cast<std::size_t>(rows));
  return some;
}

// Runs every tested rounded case of both ops with weights of the form as each of the variants; all must be equal to the
// first. Returns how often two were compared.
int compare_variants(bool bf16, const Info& real, const std::vector<std::string>& variants) {
  Info info = real;
  for (const char* word : {"amx_emulation", "amx_int8", "amx_bf16", "avx512_bf16"}) info.features.emplace_back(word);
  int compared = 0;
  auto compare = [&](CaseData data) {
    Node& node = data.c.segment.nodes[0];
    std::vector<std::vector<std::byte>> want;
    for (const std::string& variant : variants) {
      SCOPED_TRACE(node.op + " " + data.c.name + " " + variant + ", rows " + std::to_string(data.c.dims[0]));
      node.variant = variant;
      auto run = DirectRunner(data, info).run(false);
      for (const auto& fault : run.faults) ADD_FAILURE() << fault;
      EXPECT_FALSE(in_use) << "the tiles were not released";
      if (variant == variants.front()) {
        want = run.values;
        continue;
      }
      EXPECT_TRUE(run.values == want) << "differs from " << variants.front();
      ++compared;
    }
  };
  for (const char* name : {"gemm@1", "expert_gemm@1"})
    for (Case c : find_op(name)->cases()) {
      const Node& node = c.segment.nodes[0];
      if (!c.tested || activations_of(node) != Activations::rounded) continue;
      const auto weights = node.in[std::string_view(name) == "gemm@1" ? 1 : 3];
      if ((c.segment.values[weights].dtype == DType::bf16) != bf16) continue;
      c.fills.erase(node.in[0]);  // any values: nothing has to be exact here
      const CaseData data = make_data(c, 7);
      compare(data);
      if (c.dims[0] > 33)
        for (std::int64_t rows : {4, 5, 8, 9, 16, 17, 20, 21, 32, 33}) compare(first_rows(data, rows));
    }
  return compared;
}

TEST(Amx, Int8KernelsAreBitEqualToThoseWithoutTiles) {
  const Info* cpu = cpu_with({"avx512_vnni"});
  if (!cpu) GTEST_SKIP() << "needs AVX-512 VNNI";
  Trap trap;
  EXPECT_GE(compare_variants(false, *cpu, {"int8_avx512vnni", "int8_amx_emulated", "int8_amx"}), 150);
  EXPECT_TRUE(trapped > 0 || cpu->has_feature("amx_int8")) << "no AMX instruction was run";
}

TEST(Amx, Bf16KernelsAreBitEqualToTheEmulatedOnes) {
  const Info* cpu = cpu_with({"avx512_bf16"});
  if (!cpu) GTEST_SKIP() << "needs AVX-512 BF16, which every processor with AMX has";
  Trap trap;
  EXPECT_GE(compare_variants(true, *cpu, {"bf16_amx_emulated", "bf16_amx"}), 15);
  EXPECT_TRUE(trapped > 0 || cpu->has_feature("amx_bf16")) << "no AMX instruction was run";
}

// What the tests of all kernels rely on: every machine with AVX-512 is offered the emulated kernels, as the rig asks.
TEST(Amx, EmulatedKernelsAreAmongTheVariantsTested) {
  const Info* cpu = cpu_with({"avx512"});
  if (!cpu) GTEST_SKIP() << "needs AVX-512";
  std::set<std::string> offered;
  for (const char* name : {"gemm@1", "expert_gemm@1"})
    for (const Case& c : find_op(name)->cases())
      if (c.tested)
        for (const std::string& variant : Library().variants(c.segment, 0, *cpu))
          offered.insert(std::string(name) + " " + variant);
  for (const char* name : {"gemm@1", "expert_gemm@1"}) {
    EXPECT_TRUE(offered.count(std::string(name) + " bf16_amx_emulated")) << name;
    EXPECT_EQ(offered.count(std::string(name) + " int8_amx_emulated") != 0, cpu->has_feature("avx512_vnni")) << name;
  }
}

TEST(Amx, RowsAreRoundedToBf16Alike) {
  const Info* cpu = cpu_with({"avx512_bf16", "amx_emulation"});
  if (!cpu) GTEST_SKIP() << "needs AVX-512 BF16";
  std::vector<std::uint32_t> x;
  for (std::uint32_t high :
       {0x0000u, 0x0001u, 0x007fu, 0x0080u, 0x3f80u, 0x3f81u, 0x7f7fu, 0x7f80u, 0x7f81u, 0x7fc0u, 0xbf80u, 0xff80u})
    for (std::uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) x.push_back(high << 16 | low);
  auto rounded = [&](const char* variant) {
    std::vector<std::uint16_t> row;
    for (const Case& c : find_op("gemm@1")->cases()) {
      Segment s = c.segment;
      s.nodes[0].variant = variant;
      if (!Library().claim(s, *cpu).whole()) continue;
      auto lowered = Library().lower(s, *cpu);
      const Launch& l = lowered->launches[0];
      const auto k = l.args_as<RoundParams>().k;
      x.resize(k);
      row.resize(k);
      void* pointers[] = {x.data(), row.data()};
      const std::int64_t dims[max_symbols] = {1};
      const CallArgs args{sizeof(CallArgs), nullptr, pointers, dims, l.args.data(), 0, 1, nullptr};
      l.call(&args);
      break;
    }
    return row;
  };
  const auto want = rounded("bf16_avx512bf16");
  ASSERT_GE(want.size(), 72u);
  EXPECT_EQ(rounded("bf16_amx_emulated"), want);
}

#endif

}  // namespace
}  // namespace switchyard::test
