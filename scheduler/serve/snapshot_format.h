// What the writer and the reader of snapshots share; the format itself is told in snapshot.h. Internal.
#pragma once
#include <array>
#include <functional>

#include "scheduler/serve/snapshot.h"

namespace switchyard::scheduler {

struct SnapshotFormat {
  static constexpr std::string_view magic = "SWYDSNAP";
  static constexpr std::uint32_t version = 1;
  static constexpr std::size_t begin_bytes = 16, fixed_bytes = 64, layer_bytes = 40, sum_bytes = 8;
  static constexpr std::size_t block_bytes = 1 << 20;
  static constexpr std::size_t longest_name = 4096, most_layers = 65536;
  static constexpr std::size_t longest_head = fixed_bytes + longest_name + most_layers * layer_bytes + sum_bytes;
  // In the order of the file.
  static constexpr std::array parts{&LayerState::conv_window, &LayerState::ssm_state, &LayerState::k, &LayerState::v};

  using TypeName = std::array<char, 8>;
  static TypeName name_of(hal::DType type);  // filled up with zeros
};

struct SnapshotHead {
  struct Layer {
    std::int64_t layer = 0;
    std::array<std::uint64_t, SnapshotFormat::parts.size()> bytes{};
  };
  std::uint64_t file_bytes = 0, model_hash = 0;
  SnapshotFormat::TypeName kv{};
  std::uint64_t tokens = 0, extra = 0;
  std::string model_name;
  std::vector<Layer> layers;

  std::size_t bytes() const {
    return SnapshotFormat::fixed_bytes + model_name.size() + layers.size() * SnapshotFormat::layer_bytes +
           SnapshotFormat::sum_bytes;
  }
  // The log, extra, then the parts of each layer.
  std::size_t sections() const { return 2 + layers.size() * SnapshotFormat::parts.size(); }
  std::uint64_t section_bytes(std::size_t section) const;  // without checksums; of the log: tokens below 2^61 only
  std::string section_name(std::size_t section) const;
};

// With the checksums of its blocks. False: beyond 64 bits.
bool stored_bytes(std::uint64_t section_bytes, std::uint64_t& stored);

}  // namespace switchyard::scheduler
