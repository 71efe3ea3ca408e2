// Files cut anywhere and damaged anywhere, of every format.
#include <random>

#include "tests/models/refusing.h"

namespace switchyard::models {
namespace {

TEST(Samples, AreValid) {
  for (bool experts : {false, true}) {
    auto gguf = read_gguf(GgufSample(experts).build());
    EXPECT_TRUE(gguf) << describe(gguf.error());
    SafetensorsSample s(experts);
    auto tensors = read_safetensors(s.config.dump(), s.build());
    EXPECT_TRUE(tensors) << describe(tensors.error());
  }
  GgufSample old(false);
  old.version = 2;
  EXPECT_TRUE(read_gguf(old.build()));
}

// Every length: a cut file is refused, and says so without touching what is not there (run it under asan).
TEST(BadInput, CutAnywhere) {
  GgufSample g(true);
  Bytes whole = g.build();
  for (std::size_t n = 0; n + 32 < whole.size(); n += n < 4096 ? 1 : 61) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    expect_refused("gguf of " + std::to_string(n), "", [&] { return read_gguf(cut); });
  }
  SafetensorsSample s(true);
  Bytes file = s.build();
  std::string config = s.config.dump();
  for (std::size_t n = 0; n < file.size(); n += n < 4096 ? 1 : 61) {
    Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));
    expect_refused("safetensors of " + std::to_string(n), "", [&] { return read_safetensors(config, cut); });
  }
  for (std::size_t n = 0; n < config.size(); ++n)
    expect_refused("config of " + std::to_string(n), "", [&] { return read_safetensors(config.substr(0, n), file); });
}

// Random damage: either a whole model, or Code::io with a message; never anything else.
TEST(BadInput, DamagedAnywhere) {
  std::mt19937_64 random(11);
  Bytes gguf = GgufSample(true).build();
  SafetensorsSample s(true);
  Bytes file = s.build();
  std::string config = s.config.dump();
  auto damage = [&](Bytes bytes, std::size_t within) {
    for (std::uint64_t i = 0; i <= random() % 4; ++i) {
      std::size_t at = random() % std::min(within, bytes.size() - 16);
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8); break;
        case 2: bytes.replace(at, 8, raw(random() % 2 ? huge : std::uint64_t{1} << random() % 64)); break;
        default: bytes.erase(at, 1 + random() % 8); break;
      }
    }
    return bytes;
  };
  auto check = [](const hal::Result<Model>& model) {
    if (model) return;
    EXPECT_EQ(model.error().code, hal::Code::io);
    EXPECT_FALSE(model.error().message.empty());
  };
  for (int i = 0; i < 4000; ++i) {
    check(read_gguf(damage(gguf, 3000)));
    check(read_safetensors(config, damage(file, 2000)));
    check(read_safetensors(damage(config, config.size()), file));
  }
}

}  // namespace
}  // namespace switchyard::models
