// Weights: a model file opened, every tensor checked against the config and put in its place.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hal/segment.h"
#include "models/granite_hybrid/config.h"

namespace switchyard::models {

// shape is row-major, [out, in] for a matrix. data is little-endian, in the dtype's blocks, aligned to the element.
struct Weight {
  hal::DType dtype = hal::DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;    // empty in a model loaded without data
  std::uint64_t key = 0;              // equal keys are equal bytes; tied head and embedding have one
  std::shared_ptr<const void> owner;  // keeps data alive: a file's map, or memory that goes with its last owner
  bool mapped = false;                // data lies in a file's map
  bool present() const { return !shape.empty(); }
};

// Matrices keep the file's type and lie in its map. Everything of one dimension, norms and the convolution are f32.
// Letters: Hd hidden, Di d_inner, Cc conv_channels, H ssm_heads, d head_dim, E experts, I expert_width, S shared_width.
struct LayerWeights {
  Weight input_norm, post_norm;                // [Hd]
  Weight in_proj, in_proj_bias;                // [2 Di + 2 G N + H, Hd]: rows z, x, B, C, dt; the bias is optional
  Weight conv_weight, conv_bias;               // [Cc, K], the last column meets the present token; [Cc], optional
  Weight dt_bias, a, d;                        // [H]; a = -exp(A_log)
  Weight ssm_norm;                             // [Di]
  Weight out_proj, out_proj_bias;              // [Hd, Di]
  Weight q, k, v, o;                           // [heads d, Hd], [kv_heads d, Hd] twice, [Hd, heads d]
  Weight q_bias, k_bias, v_bias, o_bias;       // optional
  Weight router;                               // [E, Hd]
  Weight experts_gate, experts_up;             // [E, I, Hd]: in GGUF files
  Weight experts_gate_up;                      // [E, 2 I, Hd], gate rows first: in safetensors; one of the two forms
  Weight experts_down;                         // [E, Hd, I]
  Weight shared_gate, shared_up, shared_down;  // [S, Hd] twice, [Hd, S]
};

struct Model {
  std::string name;
  Config config;
  Weight embedding, final_norm, head;  // [vocab, Hd], [Hd], [vocab, Hd]
  std::vector<LayerWeights> layers;
  hal::Bytes file_bytes = 0;  // of all its files, or of all weights when seeded
  std::uint64_t content_hash =
      0;                // of names, shapes, types, metadata and a sample of the data; the same on every machine
  bool seeded = false;  // weights come from a seed: speed and memory are real, the text is not
};

struct LoadOptions {
  hal::DType weights = hal::DType::q4_k;  // of a built-in shape's matrices; a file has its own
  std::uint64_t seed = 0;                 // of a built-in shape
  bool no_data = false;                   // of a built-in shape: sizes and types only, for planning
};

// A GGUF file (the first or any part of a split one), a safetensors file or folder with config.json, or the name of a
// built-in shape (models/shapes/shapes.h). Files go before names.
// not_found: neither; lists the names. io: refused, with the tensor or key, what it held and what was expected.
hal::Result<Model> load(const std::string& path_or_shape, const LoadOptions& options = {});

}  // namespace switchyard::models
