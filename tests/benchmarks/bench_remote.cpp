// What a process of its own costs: a device here and the same device there, side by side.
//
//   bench_remote [DEVICE=cpu:0]
//
// Microseconds of a submission (one Fill of 64 bytes) waited for at once, of one in a row of 200, and GB/s of reads and
// writes of 64 MiB; medians of some rounds, the two in turn. One JSON object on stdout.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "backends/all.h"
#include "kernels/library.h"

using namespace switchyard;
using namespace hal;

namespace {

constexpr int rounds = 15, in_a_row = 200, alone = 100;
constexpr std::size_t large = 64 << 20;

template <class T>
T check(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "%s\n", describe(result.error()).c_str());
  std::exit(1);
}

double seconds(const auto& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

class Side {
 public:
  explicit Side(DeviceRef device)
      : device_(std::move(device)),
        queue_(check(device_->create_queue(QueueKind::any))),
        timeline_(check(device_->create_timeline(0))),
        little_(check(device_->allocate({64, Memory::device, "little"}))),
        much_(check(device_->allocate({large, Memory::device, "much"}))),
        host_(large) {}

  void round() {
    alone_.push_back(seconds([&] {
                       for (int i = 0; i < alone; ++i) {
                         submit();
                         check(timeline_->wait(value_, std::chrono::nanoseconds::max()));
                       }
                     }) /
                     alone * 1e6);
    row_.push_back(seconds([&] {
                     for (int i = 0; i < in_a_row; ++i) submit();
                     check(timeline_->wait(value_, std::chrono::nanoseconds::max()));
                   }) /
                   in_a_row * 1e6);
    write_.push_back(large / 1e9 / seconds([&] { check(much_->write(0, host_)); }));
    read_.push_back(large / 1e9 / seconds([&] { check(much_->read(0, host_)); }));
  }

  nlohmann::json report() const {
    return {{"driver", device_->info().driver},
            {"submission_alone_us", median(alone_)},
            {"submission_in_a_row_us", median(row_)},
            {"write_gb_s", median(write_)},
            {"read_gb_s", median(read_)}};
  }

 private:
  void submit() { check(queue_->submit({{}, {Fill{{little_}, 1}}, {{timeline_, ++value_}}, nullptr})); }

  DeviceRef device_;
  std::shared_ptr<Queue> queue_;
  TimelineRef timeline_;
  BufferRef little_, much_;
  std::vector<std::byte> host_;
  std::uint64_t value_ = 0;
  std::vector<double> alone_, row_, write_, read_;
};

}  // namespace

int main(int argc, char** argv) {
  const kernels::Library library;
  if (auto code = backends::remote::serve_if_host(argc, argv, library)) return *code;
  const std::string id = argc > 1 ? argv[1] : "cpu:0", name = id.substr(0, id.find(':'));
  std::vector<Side> sides;
  for (const std::vector<std::string>& there : {std::vector<std::string>{}, {name}})
    for (const BackendRef& b : backends::all({{}, there, {{"/proc/self/exe", "backend-host"}, {}}}))
      if (b->name() == name) sides.emplace_back(check(b->open(id, {&library, nullptr})));
  if (sides.size() != 2) {
    std::fprintf(stderr, "no backend %s\n", name.c_str());
    return 1;
  }
  for (int i = 0; i < rounds; ++i)
    for (Side& side : sides) side.round();
  std::printf("%s\n", nlohmann::json{{"here", sides[0].report()}, {"there", sides[1].report()}}.dump(2).c_str());
}
