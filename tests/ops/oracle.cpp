// The reference implementation's saved inputs and outputs of single operations, through the same segments on every
// device.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernels/attention/attention.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/router_topk/router_topk.h"
#include "kernels/ssm_scan/ssm_scan.h"
#include "models/formats/safetensors.h"
#include "tests/ops/rig.h"

namespace switchyard::test {
namespace {

using namespace hal;
using namespace kernels;
using Value = std::uint32_t;

std::filesystem::path ops_folder() {
  const char* set = std::getenv("SWITCHYARD_ORACLE");
  std::filesystem::path folder = set && *set ? set : "../shared/oracle/data";
  if (std::filesystem::is_directory(folder / "data")) folder /= "data";
  return folder / "ops";
}

// Of one file: "router-e8k2".
std::vector<std::string> saved() {
  std::vector<std::string> names;
  std::error_code error;
  for (auto& entry : std::filesystem::directory_iterator(ops_folder(), error))
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

// Makes a case of a file: values with their exact content, and what is expected of outputs and states.
class Recipe {
 public:
  explicit Recipe(const std::string& name) {
    auto file = models::open_safetensors((ops_folder() / (name + ".safetensors")).string());
    if (!file) throw std::runtime_error(describe(file.error()));
    file_ = *file;
    info_ = nlohmann::json::parse(file_.metadata.at("info"));
    c_.name = name;
  }

  const nlohmann::json& info() const { return info_; }
  bool has(const std::string& name) const { return file_.tensors.count(name) != 0; }
  const models::FileTensor& tensor(const std::string& name) const { return file_.tensors.at(name); }
  std::int64_t dim(const std::string& name, std::size_t axis) const { return tensor(name).shape.at(axis); }
  std::vector<double> numbers(const std::string& name) const {
    const models::FileTensor& t = tensor(name);
    std::vector<Dim> shape;
    for (auto n : t.shape) shape.push_back(Dim::fixed(n));
    return decode({t.dtype, shape}, {}, t.data);
  }

  SegmentBuilder b;
  std::vector<std::int64_t> dims{0, 1};  // rows, sequences
  Dim rows(std::int64_t n) {
    dims[0] = n;
    return Dim::open(sym_rows, 1, n);
  }
  Dim one_sequence() const { return Dim::open(sym_sequences, 1, 1); }
  Value input(DType dtype, std::vector<Dim> shape, std::vector<double> values) {
    return filled(b.input(dtype, std::move(shape)), std::move(values));
  }
  Value state(std::vector<Dim> shape, std::vector<double> values) {
    return filled(b.state(DType::f32, std::move(shape)), std::move(values));
  }
  Value sequence(const Sequence& s) {
    return input(DType::i32, {one_sequence(), Dim::fixed(Sequence::width)},
                 {double(s.row_begin), double(s.rows), double(s.slot_in), double(s.slot_out), double(s.past)});
  }
  Value constant(DType dtype, std::vector<std::int64_t> shape, std::span<const std::byte> bytes) {
    auto owned = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());  // aligned
    return b.constant(dtype, std::move(shape), std::hash<std::string>{}(c_.name) + ++constants_, *owned, owned);
  }
  Value constant(const std::string& name) {
    return constant(tensor(name).dtype, tensor(name).shape, tensor(name).data);
  }
  void output(Value v, const std::string& name) {
    b.output(v);
    expect(v, numbers(name));
  }
  void expect(Value v, std::vector<double> values) { expected_[v] = std::move(values); }

  CaseData data() {
    c_.segment = b.take();
    c_.dims = dims;
    return make_data(c_, 1);
  }
  std::vector<std::vector<double>> expected(std::size_t values) const {
    std::vector<std::vector<double>> all(values);
    for (const auto& [v, numbers] : expected_) all[v] = numbers;
    return all;
  }

 private:
  Value filled(Value v, std::vector<double> values) {
    c_.fills[v].values = std::move(values);
    return v;
  }
  models::Safetensors file_;
  nlohmann::json info_;
  Case c_;
  std::uint64_t constants_ = 0;
  std::map<Value, std::vector<double>> expected_;
};

Value rows_input(Recipe& r, const std::string& name) {
  const auto& shape = r.tensor(name).shape;
  std::int64_t width = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) width *= shape[i];
  return r.input(r.tensor(name).dtype, {r.rows(shape[0]), Dim::fixed(width)}, r.numbers(name));
}

void router(Recipe& r) {
  auto logits = gemm::append(r.b, rows_input(r, "x"), r.constant("weight"));
  auto out = router_topk::append(r.b, logits, r.info()["top_k"].get<std::int32_t>());
  r.output(logits, "logits");
  r.output(out.index, "index");
  r.output(out.gate, "gate");
}

void experts(Recipe& r) {
  expert_gemm::Inputs in{};
  in.x = rows_input(r, "x");
  in.index = rows_input(r, "index");
  in.gate = rows_input(r, "gate");
  in.w_gate = r.constant("input_linear");
  in.w_down = r.constant("output_linear");
  r.output(expert_gemm::append(r.b, in, {static_cast<std::int32_t>(r.dim("input_linear", 0))}), "y");
}

void shared_mlp(Recipe& r) {
  const auto& both = r.tensor("input_linear");
  std::vector<std::int64_t> half{both.shape[0] / 2, both.shape[1]};
  auto w = r.constant(both.dtype, half, both.data.first(both.data.size() / 2));
  gemm::Options options;
  options.w_up = r.constant(both.dtype, half, both.data.last(both.data.size() / 2));
  auto hidden = gemm::append(r.b, rows_input(r, "x"), w, options);
  r.output(gemm::append(r.b, hidden, r.constant("output_linear")), "y");
}

void rmsnorm_plain(Recipe& r) {
  r.output(rmsnorm::append(r.b, rows_input(r, "x"), r.constant("weight"), r.info()["eps"].get<float>()), "y");
}

void rmsnorm_gated(Recipe& r) {
  rmsnorm::Attrs attrs{r.info()["eps"].get<float>(), r.info()["groups"].get<std::int32_t>(), 0};
  auto x = rows_input(r, "y_in"), gate = rows_input(r, "gate");
  r.output(rmsnorm::append_gated(r.b, x, r.constant("weight"), gate, attrs), "y");
}

// A state with slot 0 of zeros, slot 1 as the file has it; the sequence goes on in slot 2.
Value slots(Recipe& r, std::vector<std::int64_t> shape) {
  auto begin = r.numbers("state"), end = r.numbers("final_state");
  std::vector<double> before(begin.size(), 0.0), after;
  before.insert(before.end(), begin.begin(), begin.end());
  after = before;
  before.insert(before.end(), begin.size(), 0.0);
  after.insert(after.end(), end.begin(), end.end());
  std::vector<Dim> dims{Dim::fixed(3)};
  for (auto n : shape) dims.push_back(Dim::fixed(n));
  auto state = r.state(dims, before);
  r.expect(state, after);
  return state;
}

void ssm(Recipe& r) {
  const std::int64_t t = r.dim("x", 0), h = r.dim("x", 1), p = r.dim("x", 2), g = r.dim("B", 1), n = r.dim("B", 2);
  auto x = r.numbers("x"), b = r.numbers("B"), c = r.numbers("C"), a = r.numbers("A_log");
  std::vector<double> xbc;
  for (std::int64_t i = 0; i < t; ++i)
    for (auto [from, width] : {std::pair{&x, h * p}, std::pair{&b, g * n}, std::pair{&c, g * n}})
      xbc.insert(xbc.end(), from->begin() + i * width, from->begin() + (i + 1) * width);
  for (double& v : a) v = -std::exp(v);
  ssm_scan::Attrs attrs{static_cast<std::int32_t>(h), static_cast<std::int32_t>(p), static_cast<std::int32_t>(g),
                        static_cast<std::int32_t>(n)};
  if (auto limit = r.info()["time_step_limit"]; !limit.is_null())
    attrs.dt_min = limit[0].get<float>(), attrs.dt_max = limit[1].get<float>();
  auto packed = r.input(DType::f32, {r.rows(t), Dim::fixed(h * p + 2 * g * n)}, xbc);
  auto dt = rows_input(r, "dt_raw");
  auto bias = r.input(DType::f32, {Dim::fixed(h)}, r.numbers("dt_bias")),
       decay = r.input(DType::f32, {Dim::fixed(h)}, a);
  auto d = r.input(DType::f32, {Dim::fixed(h)}, r.numbers("D"));
  auto sequences = r.sequence({0, static_cast<std::int32_t>(t), 1, 2, 5});
  r.output(ssm_scan::append(r.b, packed, dt, bias, decay, d, sequences, slots(r, {h, p, n}), attrs), "y");
}

void conv1d(Recipe& r) {
  const std::int64_t c = r.dim("x", 1), k = r.dim("weight", 1);
  auto x = rows_input(r, "x"), weight = r.constant("weight");
  auto bias = r.has("bias") ? r.constant("bias") : no_value;
  auto sequences = r.sequence({0, static_cast<std::int32_t>(r.dim("x", 0)), 1, 2, 5});
  r.output(causal_conv1d::append(r.b, x, weight, bias, sequences, slots(r, {k - 1, c}), 0), "y");
}

// The past goes into pages of 16 rows, the first position's page last; the rest of every page is NaN.
void attend(Recipe& r) {
  const std::int64_t t = r.dim("q", 0), nq = r.dim("q", 1), d = r.dim("q", 2), s = r.dim("k", 0), nk = r.dim("k", 1);
  const std::int64_t size = 16, pages = (s + size - 1) / size, past = s - t, row = nk * d;
  auto paged = [&](const char* name) {
    auto all = r.numbers(name);
    std::vector<double> content(static_cast<std::size_t>((pages + 1) * size * row), NAN);
    for (std::int64_t i = 0; i < past; ++i)
      std::copy_n(all.begin() + i * row, row, content.begin() + ((pages - i / size) * size + i % size) * row);
    return content;
  };
  auto fresh = [&](const char* name) {
    auto all = r.numbers(name);
    return r.input(DType::f32, {r.rows(t), Dim::fixed(row)}, {all.begin() + past * row, all.end()});
  };
  attention::Inputs in{};
  in.q = rows_input(r, "q");
  in.k = fresh("k");
  in.v = fresh("v");
  in.sequences = r.sequence({0, static_cast<std::int32_t>(t), 0, 0, static_cast<std::int32_t>(past)});
  std::vector<double> table;
  for (std::int64_t i = 0; i < pages; ++i) table.push_back(static_cast<double>(pages - i));
  in.page_table = r.input(DType::i32, {r.one_sequence(), Dim::fixed(pages)}, table);
  std::vector<Dim> shape{Dim::fixed(pages + 1), Dim::fixed(size), Dim::fixed(nk), Dim::fixed(d)};
  in.k_pages = r.state(shape, paged("k"));
  in.v_pages = r.state(shape, paged("v"));
  attention::Attrs attrs{static_cast<std::int32_t>(nq), static_cast<std::int32_t>(nk), static_cast<std::int32_t>(d),
                         static_cast<std::int32_t>(size), r.info()["scale"].get<float>()};
  r.output(attention::append(r.b, in, attrs), "y");
}

void rotate(Recipe& r) {
  auto x = rows_input(r, "x");
  auto positions = r.input(DType::i32, {r.rows(r.dim("x", 0))}, r.numbers("position"));
  rope::Attrs attrs{static_cast<std::int32_t>(r.dim("x", 1)), static_cast<std::int32_t>(r.dim("x", 2)), 0,
                    r.info()["theta"].get<float>()};
  r.output(rope::append(r.b, x, positions, attrs), "y");
}

void unpack(Recipe& r, const std::string& type) {
  for (DType t : weight_types())
    if (hal::to_string(t) == type)
      r.output(dequantize::append(r.b, r.constant(t, r.tensor("y").shape, r.tensor("bytes").data)), "y");
}

// False: no recipe for this kind of file.
bool build(Recipe& r, const std::string& name, const std::string& kind) {
  if (kind == "router") return router(r), true;
  if (kind == "experts") return experts(r), true;
  if (kind == "shared_mlp") return shared_mlp(r), true;
  if (kind == "rmsnorm") return rmsnorm_plain(r), true;
  if (kind == "gated_rmsnorm") return rmsnorm_gated(r), true;
  if (kind == "ssm_scan" || kind == "ssm_step") return ssm(r), true;
  if (kind == "conv1d") return conv1d(r), true;
  if (kind == "attention") return attend(r), true;
  if (kind == "rope") return rotate(r), true;
  if (kind == "dequant") return unpack(r, name.substr(name.find('-') + 1)), true;
  return false;
}

using Param = std::pair<std::string, std::string>;  // device, file
std::vector<Param> params() {
  std::vector<Param> all;
  for (const Info& info : Rig::get().devices())
    for (const std::string& name : saved()) all.emplace_back(info.id, name);
  return all;
}

class Oracle : public ::testing::TestWithParam<Param> {};

TEST_P(Oracle, SavedResultsAreMet) {
  const auto& [device, name] = GetParam();
  const std::string kind = name.substr(0, name.find('-'));
  Recipe r(name);
  ASSERT_TRUE(build(r, name, kind)) << "no recipe for " << name << " (op " << r.info()["op"] << ")";
  CaseData data = r.data();
  double tolerance = 0;
  for (const Node& n : data.c.segment.nodes) tolerance = std::max(tolerance, find_op(n.op)->tolerance.f32);
  ASSERT_FALSE(data.c.segment.outputs.empty());
  run_variants(device, data, r.expected(data.c.segment.values.size()), tolerance, "oracle " + kind);
}

// The references themselves, so that an error they share with a kernel is seen.
TEST(OracleFiles, AreMetByTheReferences) {
  for (const std::string& name : saved()) {
    Recipe r(name);
    ASSERT_TRUE(build(r, name, name.substr(0, name.find('-')))) << "no recipe for " << name;
    CaseData data = r.data();
    CaseRun run;
    Status done = run_reference(data, run.values);
    ASSERT_TRUE(done) << name << ": " << describe(done.error());
    Comparison worst = compare(data, r.expected(data.c.segment.values.size()), run);
    EXPECT_LE(worst.error, 2e-7) << name << ", value " << worst.value;  // the files hold f32
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Oracle, ::testing::ValuesIn(params()),
                         [](const auto& p) { return test_name(p.param.first + "_" + p.param.second); });

TEST(OracleFiles, AreThere) {
  EXPECT_GE(saved().size(), 39u) << "no saved operations in " << std::filesystem::absolute(ops_folder())
                                 << ": set SWITCHYARD_ORACLE to the folder that has models/, gguf/, ops/ and goldens/";
}

}  // namespace
}  // namespace switchyard::test
