// Runs the launches of Format::call kernels without any device, one tile at a time, with guard bytes around every
// value: finds kernels that leave their arguments, leave elements unwritten, or have two tiles of one launch write one
// element.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "hal/shared/launch_plan.h"
#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::test {

// Bytes with a guard on both sides; the content starts on a 64-byte border, as a device's buffers do.
class Guarded {
 public:
  explicit Guarded(std::size_t bytes) : bytes_(bytes), memory_(bytes + 2 * guard + 64, pattern) {
    auto address = reinterpret_cast<std::uintptr_t>(memory_.data()) + guard;
    begin_ = (address + 63) / 64 * 64 - reinterpret_cast<std::uintptr_t>(memory_.data());
  }
  std::byte* data() { return memory_.data() + begin_; }
  std::size_t size() const { return bytes_; }
  std::span<std::byte> bytes() { return {data(), bytes_}; }
  bool intact() const {
    auto is_pattern = [](std::byte b) { return b == pattern; };
    return std::all_of(memory_.begin(), memory_.begin() + static_cast<std::ptrdiff_t>(begin_), is_pattern) &&
           std::all_of(memory_.begin() + static_cast<std::ptrdiff_t>(begin_ + bytes_), memory_.end(), is_pattern);
  }

 private:
  static constexpr std::size_t guard = 256;
  static constexpr std::byte pattern{0xa5};
  std::size_t bytes_, begin_ = 0;
  std::vector<std::byte> memory_;
};

// What was never written: NaN as f32, -1 as i32.
constexpr std::byte unwritten{0xff};

struct DirectRun {
  std::vector<std::string> faults;             // empty: all is well
  std::vector<std::vector<std::byte>> values;  // bytes of outputs and states, by value
};

class DirectRunner {
 public:
  DirectRunner(const kernels::CaseData& data, const hal::Info& info) : data_(data), info_(info) {}

  // by_tile: each tile alone, last one first, with its writes compared to the other tiles'; else whole launches.
  DirectRun run(bool by_tile) {
    const hal::Segment& s = data_.c.segment;
    kernels::Library library;
    auto lowered = library.lower(s, info_);
    if (!lowered) return fault(describe(lowered.error()));
    dims_ = hal::padded(data_.c.dims);
    values_.clear();
    content_ = data_.bytes;
    for (const hal::Packing& p : lowered->packings) {
      std::vector<std::span<const std::byte>> sources(p.constants.size());
      std::transform(p.constants.begin(), p.constants.end(), sources.begin(),
                     [&](auto v) { return std::span<const std::byte>(data_.bytes[v]); });
      std::vector<std::byte> packed(p.bytes);
      if (auto done = p.pack(sources, packed); !done) return fault(describe(done.error()));
      content_[p.constants.front()] = std::move(packed);
    }
    for (std::uint32_t v = 0; v < s.values.size(); ++v)
      place(s.constant(v) ? content_[v].size() : hal::tensor_bytes(s.values[v], dims_), content_[v]);
    for (const hal::Tensor& t : lowered->temporaries) place(hal::max_bytes(t), {});
    for (auto v : s.inputs) fixed_.insert(v);
    for (const hal::Constant& c : s.constants) fixed_.insert(c.value);
    for (const hal::Launch& l : lowered->launches)
      if (hal::runs(l, dims_)) launch(l, by_tile);
    for (std::uint32_t v = 0; v < values_.size(); ++v) {
      if (!values_[v]->intact()) fault("bytes around value " + std::to_string(v) + " were touched");
      if (fixed_.count(v) && !std::equal(content_[v].begin(), content_[v].end(), values_[v]->data()))
        fault("input or constant " + std::to_string(v) + " was changed");
    }
    run_.values.resize(s.values.size());
    for (const auto* list : {&s.outputs, &s.states})
      for (auto v : *list) run_.values[v].assign(values_[v]->data(), values_[v]->data() + values_[v]->size());
    for (auto v : s.outputs)
      for (std::size_t i = 0; i + 4 <= values_[v]->size(); i += 4)
        if (std::all_of(values_[v]->data() + i, values_[v]->data() + i + 4,
                        [](std::byte b) { return b == unwritten; })) {
          fault("element " + std::to_string(i / 4) + " of output " + std::to_string(v) + " was never written");
          break;
        }
    return std::move(run_);
  }

 private:
  DirectRun fault(std::string text) {
    run_.faults.push_back(std::move(text));
    return run_;
  }

  void place(std::size_t bytes, const std::vector<std::byte>& content) {
    values_.push_back(std::make_unique<Guarded>(bytes));
    auto to = values_.back()->bytes();
    std::fill(to.begin(), to.end(), unwritten);
    std::copy(content.begin(), content.end(), to.begin());
  }

  void launch(const hal::Launch& l, bool by_tile) {
    const std::uint32_t tiles = l.grid(l, dims_)[0];
    std::vector<void*> pointers;
    std::vector<std::uint32_t> written;
    for (const hal::Arg& a : l.arguments) {
      if (a.value != hal::no_value && a.value >= values_.size()) {
        fault(l.entry + " names value " + std::to_string(a.value));
        return;
      }
      pointers.push_back(a.value == hal::no_value ? nullptr : values_[a.value]->data() + a.offset);
      if (a.write && a.value != hal::no_value) written.push_back(a.value);
    }
    Guarded scratch(l.thread_scratch);
    auto call = [&](std::uint32_t first, std::uint32_t last) {
      std::fill(scratch.bytes().begin(), scratch.bytes().end(), unwritten);
      hal::CallArgs args{sizeof(hal::CallArgs), nullptr, pointers.data(), dims_.data(), l.args.data(), first, last,
                         scratch.data()};
      l.call(&args);
      if (!scratch.intact()) fault("bytes around the thread scratch of " + l.entry + " were touched");
    };
    if (!by_tile) {
      call(0, tiles);
      return;
    }
    std::map<std::uint32_t, std::vector<std::byte>> before, after;
    std::map<std::uint32_t, std::vector<bool>> touched;
    for (auto v : written) {
      before[v] = after[v] = {values_[v]->data(), values_[v]->data() + values_[v]->size()};
      touched[v].resize(values_[v]->size());
    }
    for (std::uint32_t tile = tiles; tile-- > 0;) {
      for (auto& [v, bytes] : before) std::copy(bytes.begin(), bytes.end(), values_[v]->data());
      call(tile, tile + 1);
      for (auto& [v, bytes] : before)
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          if (values_[v]->data()[i] == bytes[i]) continue;
          if (touched[v][i])
            fault(l.entry + ": tile " + std::to_string(tile) + " writes byte " + std::to_string(i) + " of value " +
                  std::to_string(v) + ", which another tile wrote");
          touched[v][i] = true;
          after[v][i] = values_[v]->data()[i];
        }
      if (!run_.faults.empty()) break;
    }
    for (auto& [v, bytes] : after) std::copy(bytes.begin(), bytes.end(), values_[v]->data());
  }

  const kernels::CaseData& data_;
  const hal::Info& info_;
  std::array<std::int64_t, hal::max_symbols> dims_{};
  std::vector<std::vector<std::byte>> content_;   // of the segment's values before the run, constants packed
  std::vector<std::unique_ptr<Guarded>> values_;  // of the segment, then temporaries
  std::set<std::uint32_t> fixed_;                 // inputs and constants: must not change
  DirectRun run_;
};

}  // namespace switchyard::test
