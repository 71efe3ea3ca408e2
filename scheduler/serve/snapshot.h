// Snapshot: a sequence's state and what the application adds to it, as one file or one block of memory.
//
// Format 1, all numbers little-endian, no gaps, no optional parts: what was read and is written again has the same
// bytes.
//   head      char[8] "SWYDSNAP", u32 format, u32 bytes of the head with its checksum, u64 bytes of the whole file,
//             u64 model hash, char[8] name of the KV cache's type ("f16"), u64 tokens, u64 bytes of extra, u32 layers,
//             u32 bytes of the model's name; the name;
//             per layer, ascending: i64 layer, u64 bytes of conv_window, of ssm_state, of k, of v;
//             u64 checksum of all that
//   sections  the log, i32 per token; extra; of every layer conv_window, ssm_state, k, v: each in blocks of 1 MiB, the
//             last as long as what is left, and after each block its u64 checksum, seeded with its offset in the file
//   end       u64 checksum of the checksums before it, in their order
// Checksums are XXH3, 64 bits. They find damage; against a forger they are no help.
#pragma once
#include <filesystem>

#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

struct Snapshot {
  SequenceState state;
  std::string model_name;
  std::string extra;  // the application's own, usually JSON text; its bytes are kept as they are
};

// What whoever loads a snapshot can take.
struct SnapshotExpectation {
  struct Layer {
    hal::Bytes conv_window = 0, ssm_state = 0, kv_row = 0;  // kv_row: one token's k, and as much v
  };
  std::uint64_t model_hash = 0;
  std::string model_name;  // for messages; the hash decides
  hal::DType kv = hal::DType::f32;
  std::map<std::int64_t, Layer> layers;
  std::int64_t vocab = 0, context = 0;
};
SnapshotExpectation snapshot_expectation(const models::Model& model, hal::DType kv, std::int64_t context);

// Writes beside `path`, brings it to the disk, then renames: whatever happens, `path` holds its old or its new content,
// whole, and is on the disk when this returns. Only its owner may read it. The state is not copied.
// invalid_argument: a model name above 4096 bytes, more than 65536 layers. io, not_found: the file system's reason.
hal::Status save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot);
// not_found: no such file. io: unreadable, no snapshot, another format, cut, damaged or too long, with the place.
// invalid_argument: another model, another type of KV cache, another shape, too long a context: with both sides.
// Sizes are checked before memory is taken, and memory fills only with blocks whose checksums are right.
hal::Result<Snapshot> load_snapshot(const std::filesystem::path& path, const SnapshotExpectation* expected = nullptr);

// The same bytes in memory. Errors as above, but for the file system's; their text begins with "snapshot".
hal::Result<std::vector<std::byte>> snapshot_bytes(const Snapshot& snapshot);
hal::Result<Snapshot> snapshot_from(std::span<const std::byte> bytes, const SnapshotExpectation* expected = nullptr);

}  // namespace switchyard::scheduler
