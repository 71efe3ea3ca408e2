// What only files show: folders, splits, alignment, and what is no file at all.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "models/formats/gguf.h"
#include "models/formats/safetensors.h"
#include "models/granite_hybrid/assemble.h"
#include "tests/models/samples.h"
#include "tests/support/folder.h"

namespace switchyard::models {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  std::string write(const std::string& name, const Bytes& content) const {
    std::ofstream(folder / name, std::ios::binary) << content;
    return (folder / name).string();
  }
  // Every third tensor into each of three parts.
  std::vector<GgufSample> parts() const {
    GgufSample whole(true);
    std::vector<GgufSample> out(3, whole);
    for (std::size_t p = 0; p < 3; ++p) {
      GgufSample& g = out[p];
      g.tensors.clear();
      for (std::size_t i = p; i < whole.tensors.size(); i += 3) g.tensors.push_back(whole.tensors[i]);
      if (p != 0) g.keys.clear();
      g.keys.push_back({"split.no", 2, raw(static_cast<std::uint16_t>(p))});
      g.keys.push_back({"split.count", 2, raw<std::uint16_t>(3)});
      g.keys.push_back({"split.tensors.count", 5, raw(static_cast<std::int32_t>(whole.tensors.size()))});
      g.place();
    }
    return out;
  }
  std::string write_parts(const std::vector<GgufSample>& list) const {
    for (std::size_t p = 0; p < list.size(); ++p)
      write("m-0000" + std::to_string(p + 1) + "-of-00003.gguf", list[p].build());
    return (folder / "m-00001-of-00003.gguf").string();
  }
  void expect(const hal::Result<Model>& model, hal::Code code, const std::string& says) const {
    ASSERT_FALSE(model) << says;
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_NE(model.error().message.find(says), std::string::npos) << model.error().message << "\n lacks " << says;
  }
  test::Folder temporary;
  const fs::path& folder = temporary.path();
};

TEST_F(Files, WhatIsNoModel) {
  expect(load((folder / "absent.gguf").string()), hal::Code::not_found, "granite-4.0-h-tiny");
  expect(load(write("empty.gguf", "")), hal::Code::io, "the header needs 4 bytes");
  expect(load(write("text.txt", "hello, this is no model")), hal::Code::io, "expected 'GGUF'");
  expect(load(folder.string()), hal::Code::not_found, "config.json");
  write("config.json", SafetensorsSample(false).config.dump());
  expect(load(folder.string()), hal::Code::not_found, "model.safetensors.index.json");
  expect(load(write("empty.safetensors", "")), hal::Code::io, "0 bytes");
  // Nobody writes to it: an open that waits would hang here.
  ASSERT_EQ(mkfifo((folder / "pipe.gguf").c_str(), 0600), 0);
  expect(load((folder / "pipe.gguf").string()), hal::Code::io, "not a regular file");
}

TEST_F(Files, FolderOfOneFile) {
  SafetensorsSample s(true);
  write("config.json", s.config.dump());
  write("model.safetensors", s.build());
  auto model = load(folder.string());
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_EQ(model->file_bytes, s.build().size());
  EXPECT_TRUE(load((folder / "model.safetensors").string()));
}

TEST_F(Files, ShardsMustHoldWhatTheIndexPromises) {
  SafetensorsSample s(false);
  write("config.json", s.config.dump());
  write("a.safetensors", s.build());
  nlohmann::json map;
  for (auto& [name, entry] : s.header.items()) map[name] = "a.safetensors";
  auto index = [&](const nlohmann::json& weight_map) {
    write("model.safetensors.index.json", nlohmann::json{{"weight_map", weight_map}}.dump());
    return load(folder.string());
  };
  auto good = index(map);
  EXPECT_TRUE(good) << describe(good.error());
  auto changed = [&](const std::string& tensor, const nlohmann::json& file) {
    auto copy = map;
    copy[tensor] = file;
    return index(copy);
  };
  expect(changed("model.extra.weight", "a.safetensors"), hal::Code::io, "lacks tensor 'model.extra.weight'");
  expect(changed("model.norm.weight", "b.safetensors"), hal::Code::io,
         "'model.norm.weight' is not where the index has it");
  expect(changed("model.norm.weight", "../a.safetensors"), hal::Code::io, "the name of a file beside the index");
  expect(changed("model.norm.weight", 7), hal::Code::io, "weight_map holds 7");
  auto fewer = map;
  fewer.erase("model.norm.weight");
  expect(index(fewer), hal::Code::io, "'model.norm.weight' is not where the index has it");
  expect(index(nlohmann::json::array()), hal::Code::io, "weight_map");
  auto many = map;
  for (int i = 0; i < 2000; ++i) many["t" + std::to_string(i)] = "f" + std::to_string(i);
  expect(index(many), hal::Code::io, "at most 1000");
  write("model.safetensors.index.json", "[1, 2");
  expect(load(folder.string()), hal::Code::io, "not JSON");
}

TEST_F(Files, SplitGguf) {
  std::string first = write_parts(parts());
  auto whole = load(write("whole.gguf", GgufSample(true).build())), split = load(first);
  ASSERT_TRUE(whole) << describe(whole.error());
  ASSERT_TRUE(split) << describe(split.error());
  EXPECT_TRUE(std::ranges::equal(whole->layers[1].q.data, split->layers[1].q.data));
  auto last = load((folder / "m-00003-of-00003.gguf").string());
  ASSERT_TRUE(last) << describe(last.error());
  EXPECT_EQ(last->content_hash, split->content_hash);
  EXPECT_EQ(last->embedding.key, split->embedding.key);
}

TEST_F(Files, SplitsThatLie) {
  auto two_first = parts();
  two_first[1].key("split.no").value = raw<std::uint16_t>(0);
  expect(load(write_parts(two_first)), hal::Code::io, "split.no is u16 0; expected 1");
  auto other_count = parts();
  other_count[2].key("split.count").value = raw<std::uint16_t>(4);
  expect(load(write_parts(other_count)), hal::Code::io, "split.count is u16 4; expected 3");
  auto tensors = parts();
  tensors[0].key("split.tensors.count").value = raw<std::int32_t>(1000);
  expect(load(write_parts(tensors)), hal::Code::io, "split.tensors.count is i32 1000");
  auto twice = parts();
  twice[2].tensors.push_back(twice[0].tensors[0]);
  twice[2].place();
  expect(load(write_parts(twice)), hal::Code::io, "is in an earlier part too");
  auto huge = parts();
  huge[0].key("split.count").value = raw<std::uint16_t>(65535);
  expect(load(write_parts(huge)), hal::Code::io, "expected 0 to 1000");
  expect(load(write("renamed.gguf", parts()[0].build())), hal::Code::io, "-of-00003.gguf");
  std::string first = write_parts(parts());
  fs::remove(folder / "m-00002-of-00003.gguf");
  expect(load(first), hal::Code::not_found, "m-00002-of-00003.gguf");
}

// A header whose length is odd puts every tensor beside its alignment: legal, and copied tensor by tensor.
TEST_F(Files, MisalignedSafetensorsAreCopied) {
  SafetensorsSample s(false);
  Bytes header = s.header.dump();
  while (header.size() % 4 != 1) header += ' ';
  write("config.json", s.config.dump());
  write("model.safetensors", SafetensorsSample::build(header, s.data));
  auto model = load(folder.string());
  ASSERT_TRUE(model) << describe(model.error());
  for (const Weight* w :
       {&model->embedding, &model->layers[0].in_proj, &model->layers[0].shared_up, &model->layers[1].q}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->data.data()) % 4, 0u);
    for (std::size_t i = 0; i < w->data.size(); i += 4) {
      float v;
      std::memcpy(&v, w->data.data() + i, 4);
      ASSERT_EQ(v, 0.125f);
    }
  }
  EXPECT_NE(model->layers[0].in_proj.owner, model->embedding.owner);
}

TEST_F(Files, WeightsOutliveTheModel) {
  Weight kept;
  {
    auto model = load(write("m.gguf", GgufSample(false).build()));
    ASSERT_TRUE(model) << describe(model.error());
    kept = model->embedding;
  }
  fs::remove(folder / "m.gguf");
  float v;
  std::memcpy(&v, kept.data.data() + kept.data.size() - 4, 4);
  EXPECT_EQ(v, 0.125f);
}

TEST_F(Files, KeysFollowTheContentOfTheFile) {
  auto a = load(write("a.gguf", GgufSample(false).build()));
  auto b = load(write("b.gguf", GgufSample(false).build()));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->content_hash, b->content_hash);
  GgufSample changed(false);
  changed.tensor("blk.0.ssm_out.weight").data.replace(0, 4, raw(0.5f));
  auto c = load(write("c.gguf", changed.build()));
  ASSERT_TRUE(c);
  EXPECT_NE(a->content_hash, c->content_hash);
  EXPECT_NE(a->layers[0].out_proj.key, c->layers[0].out_proj.key);
}

}  // namespace
}  // namespace switchyard::models
