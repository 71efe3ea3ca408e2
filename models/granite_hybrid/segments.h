// Segments: a range of a Granite hybrid model as ops, for one step of any mix of sequences.
//
// A model is a chain of units: the embedding, of every layer its mixer and then its feed-forward part (experts, MLP),
// where it has one, and the head. Any range of units becomes one segment; a range that does not begin with unit 0 takes
// the hidden rows of the unit before it.
#pragma once
#include "kernels/builder.h"
#include "models/granite_hybrid/weights.h"

namespace switchyard::models {

// Sizes of a step. rows, sequences and logits carry the symbols kernels::sym_*; fixed ones make a segment for graph
// devices.
struct StepShape {
  hal::Dim rows, sequences, logits;
  std::int64_t slots = 2;                                          // recurrent-state slots, slot 0 (zeros) included
  std::int64_t pages = 1, page_size = 64, pages_per_sequence = 1;  // of the paged KV cache
  hal::DType kv = hal::DType::f32;
  kernels::Activations activations = kernels::Activations::exact;
  bool routing = false;  // the experts that each router chose are outputs too
  bool scanned = false;  // what the mamba layers' convolutions and scans read are outputs too: see build_rewind
};

// What is bound to an input, state or output of the segment.
struct Binding {
  enum class Role : std::uint8_t {
    tokens,
    positions,
    sequences,
    page_table,
    logit_rows,
    hidden,
    conv_window,
    ssm_state,
    k_pages,
    v_pages,
    logits,
    routing,  // i32 [rows, experts_used]
    scanned   // f32 [rows, in_proj_rows] as output; [rows, scanned_columns] as input of a rewind
  };
  Role role;
  std::int64_t layer = -1;  // of states, routing and scanned
};

struct ModelSegment {
  hal::Segment segment;
  std::vector<Binding> inputs, states, outputs;  // one per segment.inputs, .states, .outputs; hidden or logits first
};

enum class Part : std::uint8_t { embedding, mixer, feed_forward, head };
struct UnitPart {
  Part part;
  std::int64_t layer = -1;  // of a mixer or feed-forward part
};

std::int64_t unit_count(const Model& model);
UnitPart part_of(const Model& model, std::int64_t unit);
// "embed", "layer 3 (mamba)", "layer 3 (experts)", "layer 5 (attention)", "layer 5 (mlp)", "head"
std::string unit_name(const Model& model, std::int64_t unit);
std::string unit_kind(const Model& model,
                      std::int64_t unit);  // "embed", "mamba", "attention", "experts", "mlp", "head"

// Units [first, last). A model loaded without data makes segments that can be claimed and costed, not compiled.
ModelSegment build_segment(const Model& model, std::int64_t first, std::int64_t last, const StepShape& shape);

// What a mamba layer's state depends on besides the state before: the last `scanned_columns` columns (x, B, C, dt) of
// the rows that its in_proj made.
std::int64_t scanned_columns(const Config& config);
// The states of the mamba layers of units [first, last) moved on by such rows, and nothing else: convolutions and
// scans, whose results are dropped. shape.rows: how many rows. Without a mamba layer: no nodes.
ModelSegment build_rewind(const Model& model, std::int64_t first, std::int64_t last, const StepShape& shape);

// Bytes of one session's state in a unit with `context` tokens: recurrent state once, KV for every token.
hal::Bytes state_bytes(const Model& model, std::int64_t unit, std::int64_t context, hal::DType kv);

}  // namespace switchyard::models
