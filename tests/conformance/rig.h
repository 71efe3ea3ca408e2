// The contract of hal/ on every device found. Tests are named by noun: Buffer.Maps/cpu_0.
//   SWITCHYARD_SIM       files of simulated devices, separated by colons
//   SWITCHYARD_REMOTE    backends in processes of their own, see tests/support/remote.h
//   SWITCHYARD_VALIDATE  1: every device behind hal/layers/validate.h, which must change nothing
//   SWITCHYARD_REPORT    file to write the results to; SWITCHYARD_STACK: the name of the driver stack, for the report
#pragma once
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <memory>

#include "hal/backend.h"
#include "kernels/builder.h"
#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::test {

using namespace hal;

const std::vector<Info>& devices();
std::vector<std::string> device_ids();
DeviceRef open_device(const std::string& id);  // once per program; null, and a failure, where it cannot be opened
std::string test_name(const ::testing::TestParamInfo<std::string>& info);

constexpr std::chrono::seconds patience{60};

// Runs on one device; its parameter is the device's id.
class Contract : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;
  void TearDown() override;
  Device& device() { return *device_; }
  const DeviceRef& device_ref() { return device_; }

  BufferRef buffer(Bytes bytes, Memory memory = Memory::device);  // null, and a failure, where refused
  std::shared_ptr<Queue> queue();
  TimelineRef timeline(std::uint64_t initial = 0);
  // Submits on a new queue and waits.
  Status run(std::vector<Command> commands, std::shared_ptr<Timing> timing = nullptr);

 private:
  DeviceRef device_;
  std::string for_now_;  // the reason, where failures are expected
  ::testing::TestPartResultArray expected_;
  std::unique_ptr<::testing::ScopedFakeTestPartResultReporter> catcher_;
};

std::vector<std::byte> pattern(std::size_t bytes, unsigned seed);
std::vector<std::byte> read(Buffer& buffer, Bytes offset, std::size_t bytes);

// The segment as this device can take it: with fixed dims where it compiles only those. Null: it declines it.
std::optional<Segment> usable(Device& device, const Segment& segment, Dims dims);

// The first case of `op` whose name contains `name` and that the device takes, with data.
std::optional<kernels::CaseData> small_case(Device& device, const std::string& op, const std::string& name = "");
// Of any op, so that a device that claims anything at all has one.
std::optional<kernels::CaseData> any_case(Device& device);

// A compiled case with buffers of its own, to be run again and again with other dims and inputs.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> make(Device& device, const Segment& segment);
  // bytes: by value; inputs and states of the size the dims say. Gives outputs and states, by value.
  Result<std::vector<std::vector<std::byte>>> run(const std::vector<std::vector<std::byte>>& bytes,
                                                  const std::vector<std::int64_t>& dims);
  const ProgramRef& program() const { return program_; }

 private:
  Segment segment_;
  ProgramRef program_;
  std::shared_ptr<Queue> queue_;
  TimelineRef timeline_;
  std::vector<BufferRef> buffers_;  // inputs, states, outputs, at the largest dims
  BufferRef scratch_;
  std::uint64_t submitted_ = 0;
};

template <class T>
void expect_code(Code expected, const Result<T>& result, const char* file, int line) {
  if (result)
    ADD_FAILURE_AT(file, line) << "succeeded, expected " << to_string(expected);
  else if (result.error().code != expected)
    ADD_FAILURE_AT(file, line) << describe(result.error()) << ", expected " << to_string(expected);
}

#define ASSERT_OK(...)                                                                      \
  do {                                                                                      \
    const auto& ok_status_ = (__VA_ARGS__);                                                 \
    if (!ok_status_.has_value()) FAIL() << ::switchyard::hal::describe(ok_status_.error()); \
  } while (false)
#define EXPECT_CODE(expected, ...) ::switchyard::test::expect_code(expected, __VA_ARGS__, __FILE__, __LINE__)

#define ON_EVERY_DEVICE(suite)                                                                   \
  GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(suite);                                          \
  INSTANTIATE_TEST_SUITE_P(Device, suite, ::testing::ValuesIn(::switchyard::test::device_ids()), \
                           ::switchyard::test::test_name)

}  // namespace switchyard::test
