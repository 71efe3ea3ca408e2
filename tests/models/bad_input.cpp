// Falsified files: each must be refused in time, with the tensor or key and what was expected.
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <regex>

#include "models/formats/json.h"
#include "models/formats/safetensors.h"
#include "models/granite_hybrid/assemble.h"
#include "tests/models/samples.h"

namespace switchyard::models {
namespace {

hal::Result<Model> read_gguf(const Bytes& file) {
  HAL_TRY(Gguf gguf, parse_gguf(std::as_bytes(std::span(file)), nullptr, 0, "test"));
  return assemble(gguf, "test");
}
hal::Result<Model> read_safetensors(const std::string& config, const Bytes& file) {
  HAL_TRY(Safetensors tensors, parse_safetensors(std::as_bytes(std::span(file)), nullptr, 0, "test"));
  return assemble(config, tensors.tensors, "test");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double limit = 10;
#elif defined(__has_feature)
constexpr double limit = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 10 : 1;
#else
constexpr double limit = 1;  // in seconds of this process, whatever else the machine does
#endif
double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// `read` within a second: Code::io, and a message with every part of `says` (separated by |).
void expect_refused(const std::string& name, const std::string& says, const std::function<hal::Result<Model>()>& read) {
  double begin = seconds();
  auto model = read();
  EXPECT_LT(seconds() - begin, limit) << name;
  ASSERT_FALSE(model) << name << " was accepted";
  EXPECT_EQ(model.error().code, hal::Code::io) << name << ": " << describe(model.error());
  std::istringstream parts(says);
  for (std::string part; std::getline(parts, part, '|');)
    EXPECT_NE(model.error().message.find(part), std::string::npos)
        << name << ": " << model.error().message << "\n lacks " << part;
}

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

constexpr std::uint32_t u32 = 4, i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9, u64 = 10, f64 = 12;
constexpr std::uint64_t huge = 0xffffffffffffffffu, big = std::uint64_t{1} << 62;
const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();

struct GgufCase {
  const char* name;
  const char* says;
  std::function<void(GgufSample&)> falsify;
};
Bytes u32_array(std::vector<std::uint32_t> v) {
  Bytes out = raw(u32) + raw<std::uint64_t>(v.size());
  for (auto n : v) out += raw(n);
  return out;
}

const GgufCase gguf_cases[] = {
    {"magic", "GGUF", [](auto& g) { g.magic = "GGML"; }},
    {"version 1", "version 1|expected 2 or 3", [](auto& g) { g.version = 1; }},
    {"version 4", "version 4", [](auto& g) { g.version = 4; }},
    {"big-endian", "big-endian", [](auto& g) { g.version = 0x03000000; }},
    {"tensor count lies", "tensor count 18446744073709551615", [](auto& g) { g.tensor_count = huge; }},
    {"tensor count above what fits", "tensor count 60000", [](auto& g) { g.tensor_count = 60000; }},
    {"one tensor more than there is", "tensor", [](auto& g) { g.tensor_count += 1; }},
    {"key count lies", "key count", [](auto& g) { g.key_count = huge; }},
    {"key count above what fits", "key count 65000", [](auto& g) { g.key_count = 65000; }},
    {"one key less", "", [](auto& g) { g.key_count -= 1; }},
    {"key twice", "key 'granitehybrid.block_count' appears twice",
     [](auto& g) {
       g.keys.push_back(g.key("block_count"));
       g.key_count++;
     }},
    {"key without a name", "name of key 1|0 bytes", [](auto& g) { g.key("block_count").name = ""; }},
    {"string length lies", "general.architecture|18446744073709551615 bytes",
     [](auto& g) { g.set("architecture", string, raw(huge)); }},
    {"string length 2^62", "general.architecture", [](auto& g) { g.set("architecture", string, raw(big)); }},
    {"unknown value type", "type 13", [](auto& g) { g.set("block_count", 13, raw<std::uint32_t>(2)); }},
    {"array count lies", "head_count_kv|array of 18446744073709551615 u32",
     [](auto& g) { g.set("head_count_kv", array, raw(u32) + raw(huge)); }},
    {"array count overflows", "head_count_kv|array",
     [](auto& g) { g.set("head_count_kv", array, raw(u64) + raw(big)); }},
    {"string array count lies", "array of 1000000000 string",
     [](auto& g) { g.set("head_count_kv", array, raw(string) + raw<std::uint64_t>(1000000000)); }},
    {"array of arrays", "array of arrays",
     [](auto& g) {
       Bytes nested;
       for (int i = 0; i < 100000; ++i) nested += raw(array) + raw<std::uint64_t>(1);
       g.set("head_count_kv", array, nested);
     }},
    {"bool of 2", "bool of 2", [](auto& g) { g.set("finetuned", boolean, Bytes(1, 2)); }},
    {"alignment 0", "general.alignment|expected a power of two",
     [](auto& g) {
       g.keys.push_back({"general.alignment", u32, raw<std::uint32_t>(0)});
       g.key_count++;
     }},
    {"alignment 24", "general.alignment is u32 24",
     [](auto& g) {
       g.keys.push_back({"general.alignment", u32, raw<std::uint32_t>(24)});
       g.key_count++;
     }},
    {"alignment huge", "general.alignment",
     [](auto& g) {
       g.keys.push_back({"general.alignment", u64, raw(big)});
       g.key_count++;
     }},
    {"alignment of another type", "general.alignment",
     [](auto& g) {
       g.keys.push_back({"general.alignment", string, gguf_string("32")});
       g.key_count++;
     }},

    {"no dimensions", "'blk.0.ssm_in.weight' has 0 dimensions",
     [](auto& g) { g.tensor("blk.0.ssm_in.weight").dims = {}; }},
    {"five dimensions", "5 dimensions",
     [](auto& g) {
       g.tensor("blk.0.ssm_in.weight").dims = {32, 164, 1, 1, 1};
     }},
    {"dimension 0", "dimension 1 is 0",
     [](auto& g) {
       g.tensor("blk.0.ssm_in.weight").dims = {32, 0};
     }},
    {"negative dimension", "dimension 0 is 18446744073709551615",
     [](auto& g) {
       g.tensor("blk.0.ssm_in.weight").dims = {huge, 164};
     }},
    {"product overflows", "more than 2^63",
     [](auto& g) {
       g.tensor("blk.0.ssm_in.weight").dims = {big, 8};
     }},
    {"product wraps to small", "more than 2^63",
     [](auto& g) {
       g.tensor("blk.0.ssm_in.weight").dims = {std::uint64_t{1} << 32, std::uint64_t{1} << 32};
     }},
    {"larger than the file", "token_embd.weight|bytes",
     [](auto& g) {
       g.tensor("token_embd.weight").dims = {32, 1u << 30};
     }},
    {"q4_1", "type Q4_1|supported", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 3; }},
    {"iq2_xs", "type IQ2_XS", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 17; }},
    {"mxfp4", "type MXFP4", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 39; }},
    {"f64", "type F64", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 28; }},
    {"unknown tensor type", "type 4294967295", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 0xffffffff; }},
    {"row no multiple of the block", "rows of 32 elements|Q4_K needs a multiple of 256",
     [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 12; }},
    {"type smaller than the data", "offset", [](auto& g) { g.tensor("blk.0.ssm_in.weight").type = 1; }},
    {"tensor name too long", "64 bytes; expected 1 to 63",
     [](auto& g) { g.tensor("output_norm.weight").name = std::string(64, 'x'); }},
    {"tensor name empty", "0 bytes", [](auto& g) { g.tensor("output_norm.weight").name = ""; }},
    {"tensor name length lies", "name of tensor 0", [](auto& g) { g.tensors[0].name.assign(1 << 20, 'x'); }},
    {"offset misaligned", "multiple of the alignment 32", [](auto& g) { g.tensor("blk.0.ssm_in.weight").offset += 4; }},
    {"offset past the end", "offset", [](auto& g) { g.tensor("blk.0.ssm_in.weight").offset = big; }},
    {"offset wraps", "offset 18446744073709551584",
     [](auto& g) { g.tensor("blk.1.ffn_down.weight").offset = huge - 31; }},
    {"tensors overlap", "no overlap",
     [](auto& g) { g.tensor("blk.0.ssm_out.weight").offset = g.tensor("blk.0.ssm_in.weight").offset; }},
    {"hole", "no holes", [](auto& g) { g.tensors.back().offset += 32; }},
    {"tensor twice", "appears twice",
     [](auto& g) {
       g.tensors.push_back(g.tensors.back());
       g.place();
     }},

    {"no architecture", "general.architecture", [](auto& g) { g.erase_key("architecture"); }},
    {"other architecture", "general.architecture is 'llama'|granitehybrid",
     [](auto& g) { g.set("architecture", string, gguf_string("llama")); }},
    {"architecture is a number", "general.architecture is u32 7",
     [](auto& g) { g.set("architecture", u32, raw<std::uint32_t>(7)); }},
    {"no block count", "granitehybrid.block_count is missing", [](auto& g) { g.erase_key("block_count"); }},
    {"no layers", "block_count is u32 0", [](auto& g) { g.set("block_count", u32, raw<std::uint32_t>(0)); }},
    {"negative layers", "block_count is i32 -2", [](auto& g) { g.set("block_count", i32, raw<std::int32_t>(-2)); }},
    {"layers lie", "block_count is u32 4294967295", [](auto& g) { g.set("block_count", u32, raw(0xffffffffu)); }},
    {"more layers than tensors", "head_count_kv", [](auto& g) { g.set("block_count", u32, raw<std::uint32_t>(4000)); }},
    {"4000 layers without tensors", "'blk.2.attn_norm.weight' is missing",
     [](auto& g) {
       std::vector<std::uint32_t> kinds(4000, 0);
       kinds[1] = 1;
       g.set("head_count_kv", array, u32_array(kinds));
       g.set("block_count", u32, raw<std::uint32_t>(4000));
     }},
    {"layers as f32", "block_count is f32 2", [](auto& g) { g.set("block_count", f32, raw(2.0f)); }},
    {"kv heads differ", "head_count_kv",
     [](auto& g) {
       g.set("head_count_kv", array, u32_array({2, 1}));
     }},
    {"kv heads do not divide heads", "3",
     [](auto& g) {
       g.set("head_count_kv", array, u32_array({0, 3}));
     }},
    {"kv heads as strings", "head_count_kv",
     [](auto& g) {
       g.set("head_count_kv", array, raw(string) + raw<std::uint64_t>(2) + gguf_string("0") + gguf_string("1"));
     }},
    {"no heads", "head_count", [](auto& g) { g.set("attention.head_count", u32, raw<std::uint32_t>(0)); }},
    {"heads do not divide hidden", "attention.head_count is 3",
     [](auto& g) { g.set("attention.head_count", u32, raw<std::uint32_t>(3)); }},
    {"huge hidden", "embedding_length is u32 4294967295",
     [](auto& g) { g.set("embedding_length", u32, raw(0xffffffffu)); }},
    {"u64 beyond i64", "embedding_length is u64 beyond", [](auto& g) { g.set("embedding_length", u64, raw(huge)); }},
    {"ssm heads do not divide", "time_step_rank is 5",
     [](auto& g) { g.set("time_step_rank", u32, raw<std::uint32_t>(5)); }},
    {"groups do not divide", "3", [](auto& g) { g.set("group_count", u32, raw<std::uint32_t>(3)); }},
    {"groups 0", "group_count is u32 0", [](auto& g) { g.set("group_count", u32, raw<std::uint32_t>(0)); }},
    {"state 0", "state_size is u32 0", [](auto& g) { g.set("state_size", u32, raw<std::uint32_t>(0)); }},
    {"kernel 1", "conv_kernel is u32 1", [](auto& g) { g.set("conv_kernel", u32, raw<std::uint32_t>(1)); }},
    {"eps NaN", "rms_epsilon is f32 nan", [](auto& g) { g.set("rms_epsilon", f32, raw(nan)); }},
    {"eps 0", "rms_epsilon is f32 0", [](auto& g) { g.set("rms_epsilon", f32, raw(0.0f)); }},
    {"scale NaN", "embedding_scale is f32 nan", [](auto& g) { g.set("embedding_scale", f32, raw(nan)); }},
    {"scale inf", "residual_scale is f32 inf", [](auto& g) { g.set("residual_scale", f32, raw(inf)); }},
    {"scale negative", "logit_scale is f32 -8", [](auto& g) { g.set("logit_scale", f32, raw(-8.0f)); }},
    {"scale below float", "attention.scale", [](auto& g) { g.set("attention.scale", f64, raw(1e-300)); }},
    {"eos outside", "eos_token_id is u32 40|0 to 39",
     [](auto& g) { g.set("eos_token_id", u32, raw<std::uint32_t>(40)); }},
    {"partial rope", "rope.dimension_count is 8",
     [](auto& g) {
       g.set("finetuned", boolean, Bytes(1, 1));
       g.keys.push_back({"granitehybrid.rope.dimension_count", u32, raw<std::uint32_t>(8)});
       g.key_count++;
     }},
    {"rope theta NaN", "rope.freq_base is f32 nan",
     [](auto& g) {
       g.set("finetuned", boolean, Bytes(1, 1));
       g.keys.push_back({"granitehybrid.rope.freq_base", f32, raw(nan)});
       g.key_count++;
     }},
    {"yarn", "rope.scaling.type is 'yarn'",
     [](auto& g) {
       g.set("finetuned", boolean, Bytes(1, 1));
       g.keys.push_back({"granitehybrid.rope.scaling.type", string, gguf_string("yarn")});
       g.key_count++;
     }},
    {"more used than experts", "expert",
     [](auto& g) {
       g.keys.push_back({"granitehybrid.expert_count", u32, raw<std::uint32_t>(4)});
       g.keys.push_back({"granitehybrid.expert_used_count", u32, raw<std::uint32_t>(5)});
       g.key_count += 2;
     }},

    {"tensor missing", "tensor 'blk.1.attn_v.weight' is missing|[16, 32]",
     [](auto& g) { g.erase_tensor("blk.1.attn_v.weight"); }},
    {"tensor too many", "'blk.1.attn_q_norm.weight' [16] has no place",
     [](auto& g) {
       auto extra = g.tensor("blk.0.ssm_dt.bias");
       extra.name = "blk.1.attn_q_norm.weight";
       extra.dims = {16};
       extra.data = Bytes(64, '\0');
       g.tensors.push_back(extra);
       g.place();
     }},
    {"shape turned", "'blk.0.ssm_out.weight' has shape [64, 32]; expected [32, 64]",
     [](auto& g) {
       g.tensor("blk.0.ssm_out.weight").dims = {32, 64};
     }},
    {"shape of three", "blk.0.ssm_out.weight",
     [](auto& g) {
       g.tensor("blk.0.ssm_out.weight").dims = {32, 2, 32};
     }},
    {"vocabulary differs", "token_embd.weight|[40, 32]|[41, 32]",
     [](auto& g) { g.set("vocab_size", u32, raw<std::uint32_t>(41)); }},
    {"NaN in a norm", "'output_norm.weight' has nan at element 3|finite",
     [](auto& g) { g.tensor("output_norm.weight").data.replace(12, 4, raw(nan)); }},
    {"infinity in a bias", "'blk.0.ssm_dt.bias' has -inf",
     [](auto& g) { g.tensor("blk.0.ssm_dt.bias").data.replace(0, 4, raw(-inf)); }},
    {"state that grows", "'blk.0.ssm_a' has 2|at most 0",
     [](auto& g) { g.tensor("blk.0.ssm_a").data.replace(4, 4, raw(2.0f)); }},
};

TEST(BadInput, FalsifiedGguf) {
  for (const GgufCase& c : gguf_cases) {
    GgufSample g(false);
    c.falsify(g);
    Bytes file = g.build();
    expect_refused(c.name, c.says, [&] { return read_gguf(file); });
  }
}

// ---------------------------------------------------------------- safetensors

struct HeaderCase {
  const char* name;
  const char* says;
  std::function<void(SafetensorsSample&)> falsify;
};
constexpr const char* in_proj = "model.layers.0.mamba.in_proj.weight";

const HeaderCase header_cases[] = {
    {"header length lies", "header length", [](auto& s) { s.extra_length = huge - 100000; }},
    {"header length one more", "JSON", [](auto& s) { s.extra_length = 1; }},
    {"header longer than allowed", "header length 10000|at most 33554432",
     [](auto& s) { s.extra_length = 100'000'000; }},
    {"no dtype", "in_proj|lacks one of dtype", [](auto& s) { s.tensor(in_proj).erase("dtype"); }},
    {"no offsets", "lacks one of", [](auto& s) { s.tensor(in_proj).erase("data_offsets"); }},
    {"unknown dtype", "in_proj|'F8_E4M3'", [](auto& s) { s.tensor(in_proj)["dtype"] = "F8_E4M3"; }},
    {"f64", "'F64'", [](auto& s) { s.tensor(in_proj)["dtype"] = "F64"; }},
    {"dtype is a number", "in_proj", [](auto& s) { s.tensor(in_proj)["dtype"] = 3; }},
    {"integers as weights", "has type i32", [](auto& s) { s.tensor(in_proj)["dtype"] = "I32"; }},
    {"unknown field", "'strides'",
     [](auto& s) {
       s.tensor(in_proj)["strides"] = {1, 2};
     }},
    {"entry is a list", "a list",
     [](auto& s) {
       s.tensor(in_proj) = {1, 2};
     }},
    {"entry is null", "null", [](auto& s) { s.tensor(in_proj) = nullptr; }},
    {"shape is a string", "shape", [](auto& s) { s.tensor(in_proj)["shape"] = "[164, 32]"; }},
    {"shape nested", "a list",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {{164, 32}};
     }},
    {"negative size", "-164",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {-164, 32};
     }},
    {"fractional size", "164.5",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {164.5, 32};
     }},
    {"size beyond i64", "less than 2^63",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {huge, 32};
     }},
    {"product overflows", "more than 2^63",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {big, 32};
     }},
    {"product wraps", "more than 2^63",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {std::uint64_t{1} << 31, std::uint64_t{1} << 31};
     }},
    {"too many dimensions", "more than 8", [](auto& s) { s.tensor(in_proj)["shape"] = std::vector<int>(1000, 1); }},
    {"shape too large", "data_offsets|expected 1312000 bytes",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {10250, 32};
     }},
    {"size 0", "data_offsets",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {0, 32};
     }},
    {"one offset", "1 numbers; expected 2", [](auto& s) { s.tensor(in_proj)["data_offsets"] = {0}; }},
    {"three offsets", "3 numbers",
     [](auto& s) {
       s.tensor(in_proj)["data_offsets"] = {0, 1, 2};
     }},
    {"negative offset", "-4",
     [](auto& s) {
       s.tensor(in_proj)["data_offsets"] = {-4, 20};
     }},
    {"offsets turned", "data_offsets",
     [](auto& s) {
       auto o = s.tensor(in_proj)["data_offsets"];
       s.tensor(in_proj)["data_offsets"] = {o[1], o[0]};
     }},
    {"offsets huge", "data_offsets",
     [](auto& s) {
       s.tensor(in_proj)["data_offsets"] = {INT64_MAX - 20992, INT64_MAX};
     }},
    {"overlap", "no holes, no overlap",
     [](auto& s) {
       s.tensor(in_proj)["data_offsets"] = {0, 20992};
     }},
    {"hole", "no holes", [](auto& s) { s.header.erase(in_proj); }},
    {"data too short", "data", [](auto& s) { s.data.resize(s.data.size() - 1); }},
    {"data too long", "bytes of data; the tensors take", [](auto& s) { s.data += "x"; }},
    {"empty header", "missing",
     [](auto& s) {
       s.header = nlohmann::json::object();
       s.data.clear();
     }},
    {"header is a list", "a list", [](auto& s) { s.header = nlohmann::json::array({1}); }},
    {"metadata is a list", "a list", [](auto& s) { s.header["__metadata__"] = {1}; }},
    {"metadata of numbers", "7",
     [](auto& s) {
       s.header["__metadata__"] = {{"format", 7}};
     }},
    {"empty name", "0 bytes", [](auto& s) { s.header[""] = s.tensor(in_proj); }},
    {"long name", "300 bytes", [](auto& s) { s.header[std::string(300, 'x')] = s.tensor(in_proj); }},
    {"shape differs from the configuration", "in_proj.weight' has shape [32, 164]; expected [164, 32]",
     [](auto& s) {
       s.tensor(in_proj)["shape"] = {32, 164};
     }},
    {"both names of a tensor", "has no place",
     [](auto& s) {
       s.header["model.layers.0.block_sparse_moe.router.weight"] = {
           {"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {s.data.size(), s.data.size()}}};
     }},
    {"NaN in a norm", "'model.norm.weight' has nan",
     [](auto& s) {
       s.data.replace(s.tensor("model.norm.weight")["data_offsets"][0].template get<std::size_t>(), 4, raw(nan));
     }},
    {"A_log beyond exp", "A_log' has 100",
     [](auto& s) {
       s.data.replace(s.tensor("model.layers.0.mamba.A_log")["data_offsets"][0].template get<std::size_t>(), 4,
                      raw(100.0f));
     }},
};

TEST(BadInput, FalsifiedSafetensors) {
  for (const HeaderCase& c : header_cases) {
    SafetensorsSample s(false);
    c.falsify(s);
    Bytes file = s.build();
    expect_refused(c.name, c.says, [&] { return read_safetensors(s.config.dump(), file); });
  }
}

TEST(BadInput, HeadersThatAreNotWhatTheySeem) {
  SafetensorsSample s(false);
  Bytes good = s.header.dump();
  std::string twice = "{\"" + std::string(in_proj) + "\":" + s.tensor(in_proj).dump() + "," + good.substr(1);
  struct {
    const char* name;
    Bytes header;
    const char* says;
  } cases[] = {
      {"tensor twice", twice, "appears twice"},
      {"field twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
       "'dtype' appears twice"},
      {"100000 lists", Bytes(100000, '['), "a list"},
      {"100000 objects",
       [] {
         Bytes h;
         for (int i = 0; i < 100000; ++i) h += "{\"a\":";
         return h;
       }(),
       "key 'a'"},
      {"30 MB of spaces", Bytes(30 << 20, ' '), "JSON"},
      {"10 MB of one string", "\"" + Bytes(10 << 20, 'x') + "\"", "stands where"},
      {"10 MB of one name", "{\"" + Bytes(10 << 20, 'x') + "\":1}", "bytes; expected 1 to 256"},
      {"10 MB of sizes",
       "{\"a\":{\"shape\":[" +
           [] {
             Bytes h;
             for (int i = 0; i < 5 << 20; ++i) h += "1,";
             return h;
           }(),
       "more than 8"},
      {"no JSON", "hello", "not JSON"},
      {"zero byte behind the end", good + std::string(1, '\0') + "x", "a zero byte"},
      {"invalid UTF-8", "{\"\xff\xfe\":1}", "JSON"},
      {"two values", "{} {}", "JSON"},
      {"Infinity", "{\"a\":Infinity}", "JSON"},
      {"number too large", "{\"a\":{\"shape\":[1e999]}}", ""},
      {"million entries",
       [] {
         Bytes h = "{";
         for (int i = 0; i < 200000; ++i)
           h += "\"" + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},";
         return h;
       }(),
       "more than 65536 tensors"},
  };
  for (auto& c : cases) {
    Bytes file = SafetensorsSample::build(c.header, s.data);
    expect_refused(c.name, c.says, [&] { return read_safetensors(s.config.dump(), file); });
  }
}

// ---------------------------------------------------------------- config.json

struct ConfigCase {
  const char* name;
  const char* says;
  std::function<void(nlohmann::json&)> falsify;
};
const ConfigCase config_cases[] = {
    {"model type", "model_type is 'llama'|granitemoehybrid", [](auto& c) { c["model_type"] = "llama"; }},
    {"no model type", "model_type is 'missing'", [](auto& c) { c.erase("model_type"); }},
    {"activation", "hidden_act is 'gelu'|silu", [](auto& c) { c["hidden_act"] = "gelu"; }},
    {"vocabulary missing", "vocab_size is missing", [](auto& c) { c.erase("vocab_size"); }},
    {"vocabulary 0", "vocab_size is 0|1 to 16777216", [](auto& c) { c["vocab_size"] = 0; }},
    {"vocabulary a string", "vocab_size is '40'", [](auto& c) { c["vocab_size"] = "40"; }},
    {"hidden negative", "hidden_size is -32", [](auto& c) { c["hidden_size"] = -32; }},
    {"hidden huge", "hidden_size is 18446744073709551615", [](auto& c) { c["hidden_size"] = huge; }},
    {"hidden a list", "hidden_size is a list of 1", [](auto& c) { c["hidden_size"] = {32}; }},
    {"layers huge", "num_hidden_layers is 1000000000", [](auto& c) { c["num_hidden_layers"] = 1000000000; }},
    {"layers fractional", "num_hidden_layers is 2.5", [](auto& c) { c["num_hidden_layers"] = 2.5; }},
    {"layers and types differ", "layer_types is a list of 2|list of 3", [](auto& c) { c["num_hidden_layers"] = 3; }},
    {"layer type", "layer_types[1] is 'conv'|full_attention", [](auto& c) { c["layer_types"][1] = "conv"; }},
    {"layer type a number", "layer_types[0] is 1", [](auto& c) { c["layer_types"][0] = 1; }},
    {"layer types a string", "layer_types is 'mamba'", [](auto& c) { c["layer_types"] = "mamba"; }},
    {"heads 0", "num_attention_heads is 0", [](auto& c) { c["num_attention_heads"] = 0; }},
    {"heads do not divide", "num_attention_heads is 3", [](auto& c) { c["num_attention_heads"] = 3; }},
    {"kv heads do not divide", "num_key_value_heads is 3|divisor of num_attention_heads (2)",
     [](auto& c) { c["num_key_value_heads"] = 3; }},
    {"head dim 0", "head_dim is 0", [](auto& c) { c["head_dim"] = 0; }},
    {"odd head dim with rope", "head_dim is 15|even",
     [](auto& c) {
       c["head_dim"] = 15;
       c["position_embedding_type"] = "rope";
     }},
    {"inner size", "mamba_n_heads * mamba_d_head is 60|mamba_expand * hidden_size = 64",
     [](auto& c) { c["mamba_d_head"] = 15; }},
    {"inner size, auto", "3 heads, auto",
     [](auto& c) {
       c["mamba_d_head"] = "auto";
       c["mamba_n_heads"] = 3;
     }},
    {"d_head another word", "mamba_d_head is 'big'", [](auto& c) { c["mamba_d_head"] = "big"; }},
    {"expand 0", "mamba_expand is 0", [](auto& c) { c["mamba_expand"] = 0; }},
    {"groups do not divide", "mamba_n_groups is 3|divisor of mamba_n_heads (4)",
     [](auto& c) { c["mamba_n_groups"] = 3; }},
    {"groups 0", "mamba_n_groups is 0", [](auto& c) { c["mamba_n_groups"] = 0; }},
    {"state huge", "mamba_d_state is 100000", [](auto& c) { c["mamba_d_state"] = 100000; }},
    {"kernel 1", "mamba_d_conv is 1", [](auto& c) { c["mamba_d_conv"] = 1; }},
    {"used above experts", "num_experts_per_tok is 5|4 experts",
     [](auto& c) {
       c["num_local_experts"] = 4;
       c["num_experts_per_tok"] = 5;
     }},
    {"used 0 of 4", "num_experts_per_tok is 0",
     [](auto& c) {
       c["num_local_experts"] = 4;
       c["num_experts_per_tok"] = 0;
     }},
    {"experts negative", "num_local_experts is -4", [](auto& c) { c["num_local_experts"] = -4; }},
    {"no shared width", "shared_intermediate_size is missing", [](auto& c) { c.erase("shared_intermediate_size"); }},
    {"multiplier 0", "residual_multiplier is 0", [](auto& c) { c["residual_multiplier"] = 0; }},
    {"multiplier negative", "logits_scaling is -8", [](auto& c) { c["logits_scaling"] = -8; }},
    {"multiplier a string", "embedding_multiplier is '12'", [](auto& c) { c["embedding_multiplier"] = "12"; }},
    {"multiplier beyond float", "attention_multiplier", [](auto& c) { c["attention_multiplier"] = 1e300; }},
    {"eps 0", "rms_norm_eps is 0", [](auto& c) { c["rms_norm_eps"] = 0.0; }},
    {"tied a number", "tie_word_embeddings is 1", [](auto& c) { c["tie_word_embeddings"] = 1; }},
    {"not tied", "'lm_head.weight' is missing", [](auto& c) { c["tie_word_embeddings"] = false; }},
    {"bias that is not there", "'model.layers.1.self_attn.q_proj.bias' is missing",
     [](auto& c) { c["attention_bias"] = true; }},
    {"bias that nobody expects", "conv1d.bias' [96] has no place", [](auto& c) { c["mamba_conv_bias"] = false; }},
    {"limit turned", "time_step_limit is [1, 0]",
     [](auto& c) {
       c["time_step_limit"] = {1, 0};
     }},
    {"limit negative", "time_step_limit is [-1, 2]",
     [](auto& c) {
       c["time_step_limit"] = {-1, 2};
     }},
    {"limit of three", "time_step_limit is a list of 3",
     [](auto& c) {
       c["time_step_limit"] = {0, 1, 2};
     }},
    {"limit of words", "time_step_limit",
     [](auto& c) {
       c["time_step_limit"] = {"a", "b"};
     }},
    {"position", "position_embedding_type is 'alibi'", [](auto& c) { c["position_embedding_type"] = "alibi"; }},
    {"theta 0", "rope_theta is 0",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_theta"] = 0;
     }},
    {"inner theta", "rope_parameters.rope_theta is -1",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_parameters"] = {{"rope_theta", -1}};
     }},
    {"scaled rope", "rope_scaling.rope_type is 'yarn'",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_scaling"] = {{"type", "yarn"}};
     }},
    {"eos outside", "eos_token_id is 40|0 to 39",
     [](auto& c) {
       c["eos_token_id"] = {1, 40};
     }},
    {"eos a string", "eos_token_id is 'x'", [](auto& c) { c["eos_token_id"] = "x"; }},
    {"eos too many", "eos_token_id is a list of 100000",
     [](auto& c) { c["eos_token_id"] = std::vector<int>(100000, 1); }},
    {"a list", "expected an object", [](auto& c) { c = nlohmann::json::array(); }},
};

TEST(BadInput, FalsifiedConfig) {
  for (const ConfigCase& c : config_cases) {
    SafetensorsSample s(false);
    Bytes file = s.build();
    c.falsify(s.config);
    expect_refused(c.name, c.says, [&] { return read_safetensors(s.config.dump(), file); });
  }
}

TEST(BadInput, ConfigText) {
  SafetensorsSample s(false);
  Bytes file = s.build();
  std::string good = s.config.dump();
  auto with = [&](const std::string& field) { return "{" + field + "," + good.substr(1); };
  struct {
    const char* name;
    std::string config;
    const char* says;
  } cases[] = {
      {"empty", "", "JSON"},
      {"cut", good.substr(0, good.size() / 2), "JSON"},
      {"key twice", with("\"hidden_size\": 32"), "'hidden_size' appears twice"},
      {"nested deep", Bytes(1 << 20, '['), "nested deeper than 64"},
      {"nested deep in a field", with("\"x\":" + Bytes(1 << 20, '[') + Bytes(1 << 20, ']')), "nested deeper"},
      {"objects nested deep",
       [] {
         Bytes h;
         for (int i = 0; i < 100000; ++i) h += "{\"a\":";
         return h;
       }(),
       "nested deeper"},
      {"too large", Bytes(20 << 20, ' '), "at most 16777216"},
      {"NaN", std::regex_replace(good, std::regex("\"residual_multiplier\":[0-9.]+"), "\"residual_multiplier\":NaN"),
       "residual_multiplier is NaN"},
      {"Infinity", std::regex_replace(good, std::regex("\"logits_scaling\":[0-9.]+"), "\"logits_scaling\":Infinity"),
       "logits_scaling is Infinity"},
      {"Infinity as a size", std::regex_replace(good, std::regex("\"vocab_size\":[0-9.]+"), "\"vocab_size\":Infinity"),
       "vocab_size is Infinity"},
      {"1e999", std::regex_replace(good, std::regex("\"logits_scaling\":[0-9.]+"), "\"logits_scaling\":1e999"),
       "not JSON"},
      {"NaN limit", with("\"time_step_limit\":[NaN, Infinity]"), "time_step_limit is [NaN, Infinity]"},
      {"zero byte behind the end", good + std::string(1, '\0') + "x", "a zero byte"},
      {"not UTF-8", with("\"x\":\"\xff\""), "JSON"},
  };
  for (auto& c : cases) expect_refused(c.name, c.says, [&] { return read_safetensors(c.config, file); });
}

// ---------------------------------------------------------------- systematic

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
