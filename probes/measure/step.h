// A segment set up for a step of a given size: what it computes there, and inputs that are valid for it.
#pragma once
#include "kernels/op.h"
#include "probes/profile.h"

namespace switchyard::probes {

// Run::dims of a step.
std::vector<std::int64_t> dims_of(const Step& step);

// The step with what the segment does not depend on set to a standard value: past without attention, logits without a
// head. Two steps with the same relevant step take the same time.
Step relevant(const hal::Segment& segment, Step step);

// The segment with slots, pages and page tables for exactly this step; open dims are raised to cover it, never lowered.
hal::Segment fitted(const hal::Segment& segment, const Step& step);
// As fitted(), with every dim fixed at the step's: for devices that compile only those.
hal::Segment fixed_at(const hal::Segment& segment, const Step& step);

// Inputs of integers by their shape and symbols: tables of sequences (rows dealt evenly, each with its own slot), page
// tables, positions, token ids (0) and rows of logits. Others keep the default fill.
std::map<std::uint32_t, kernels::Fill> fills_for(const hal::Segment& fitted, const Step& step);

}  // namespace switchyard::probes
