// The one implementation of hal::Kernels: claim, lower and decompose, by code format and features, from the ops' own
// lists.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

const std::vector<const OpInfo*>& ops();
const OpInfo* find_op(std::string_view name);  // "ssm_scan@1" or "ssm_scan"; null: unknown

// Stateless; may be shared by any number of devices.
class Library final : public Kernels {
 public:
  Claim claim(const Segment& segment, const Info& info) const override;
  Result<Lowered> lower(const Segment& segment, const Info& info) const override;
  Result<Decomposed> decompose(const Segment& segment, Arithmetic arithmetic) const override;
  std::vector<std::string> variants(const Segment& segment, std::uint32_t node, const Info& info) const override;
};

// Structure and every node's own check: indices in range, written before read, shapes. invalid_argument names the node.
Status check(const Segment& segment);

// What a node lets a device do to its input rows; exact for ops that have none to round.
Activations activations_of(const Node& node);
// Exact activations: f32. Rounded: int8 beside quantised weights, bf16 beside bf16 ones.
Products products_of(const Segment& segment, const Node& node);
// The first constant a node reads, its weights; no_value: none.
std::uint32_t first_constant(const Segment& segment, const Node& node);

// Sum over nodes.
Cost cost(const Segment& segment, Dims dims);

}  // namespace switchyard::kernels
