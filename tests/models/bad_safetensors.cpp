// Falsified safetensors files: each must be refused in time, with the tensor and what was expected.
#include "tests/models/refusing.h"

namespace switchyard::models {
namespace {

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

}  // namespace
}  // namespace switchyard::models
