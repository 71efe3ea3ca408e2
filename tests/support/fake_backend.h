// A backend whose devices are only described: for discovery and planning. What its driver does is the test's to say.
#pragma once
#include <functional>

#include "hal/backend.h"

namespace switchyard::test {

struct FakeDevice final : hal::Device {
  hal::Info about;
  std::vector<hal::Heap> memory;
  const hal::Info& info() const override { return about; }
  hal::Result<std::vector<hal::Heap>> heaps() const override { return memory; }
  hal::Path path(const hal::Device&) const override { return hal::Path::staged; }
  hal::Result<hal::BufferRef> allocate(const hal::BufferDesc&) override { return no(); }
  hal::Result<hal::TimelineRef> create_timeline(std::uint64_t) override { return no(); }
  hal::Result<std::shared_ptr<hal::Queue>> create_queue(hal::QueueKind) override { return no(); }
  hal::Claim claim(const hal::Segment&) const override { return {}; }
  hal::Result<hal::ProgramRef> compile(const hal::Segment&, const hal::CompileOptions&) override { return no(); }
  static hal::Error no() { return {hal::Code::unsupported, "a fake device runs nothing"}; }
};

struct FakeBackend final : hal::Backend {
  std::string api;
  std::function<void()> on_discover = [] {};
  std::vector<hal::Info> infos;
  std::vector<hal::Absence> absent;
  hal::Bytes memory = 1u << 30;
  int discovered = 0, opened = 0;
  explicit FakeBackend(std::string name) : api(std::move(name)) {}
  std::string_view name() const override { return api; }
  hal::Discovery discover() override {
    ++discovered;
    on_discover();
    return {infos, absent};
  }
  hal::Result<hal::DeviceRef> open(std::string_view id, const hal::Host&) override {
    ++opened;
    for (const hal::Info& i : infos)
      if (i.id == id) {
        auto device = std::make_shared<FakeDevice>();
        device->about = i;
        device->memory = {{memory, memory / 2, 0, true, false}};
        return hal::DeviceRef(device);
      }
    return hal::Error{hal::Code::not_found, std::string(id)};
  }
};

inline hal::Info fake_info(const std::string& api, int number, const std::string& name) {
  hal::Info info;
  info.id = api + ":" + std::to_string(number);
  info.api = api;
  info.name = name;
  info.driver = "fake 1.0";
  info.kind = hal::Kind::dgpu;
  info.formats = {hal::Format::call};
  return info;
}

}  // namespace switchyard::test
