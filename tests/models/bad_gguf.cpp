// Falsified GGUF files: each must be refused in time, with the tensor or key and what was expected.
#include "tests/models/refusing.h"

namespace switchyard::models {
namespace {

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

}  // namespace
}  // namespace switchyard::models
