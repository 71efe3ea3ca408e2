// Weights are kept once and packed: what programs hold stays near the file's size for every weight type.
#include "scheduler/run/executor.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

struct Resident : testing::TestWithParam<std::tuple<const char*, std::string, bool>> {};

TEST_P(Resident, AtMostATenthAboveTheFile) {
  auto device = test::open_device(std::get<1>(GetParam()));
  std::string name = std::get<0>(GetParam());
  auto model = models::load(test::oracle_path("gguf/" + name + ".gguf"));
  ASSERT_TRUE(model) << hal::describe(model.error());
  const double file = static_cast<double>(model->file_bytes);
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)), device);
  scheduler::ExecutorOptions options;
  if (std::get<2>(GetParam())) options.activations = kernels::Activations::rounded;
  auto executor = scheduler::Executor::open(std::move(model).value(), devices, options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  double held = 0;
  for (const auto& stage : (*executor)->report()) held += static_cast<double>(stage.resident);
  EXPECT_GT(held, 0.5 * file);
  EXPECT_LE(held, 1.1 * file);
}

INSTANTIATE_TEST_SUITE_P(Types, Resident,
                         testing::Combine(testing::Values("moe-hybrid-f32", "moe-hybrid-f16", "moe-hybrid-bf16",
                                                          "moe-hybrid-q8_0", "quant256-q4_0", "quant256-q4_k",
                                                          "quant256-q5_k", "quant256-q6_k"),
                                          testing::ValuesIn(test::found_devices()), testing::Bool()),
                         [](const auto& i) {
                           return test::as_name(std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param) +
                                                (std::get<2>(i.param) ? "_rounded" : "_exact"));
                         });

}  // namespace
}  // namespace switchyard
