// What a configuration must hold, whichever file it comes from.
#pragma once
#include "models/granite_hybrid/config.h"
#include "models/granite_hybrid/keys.h"

namespace switchyard::models {

// Far above every published model, and low enough that no product of them overflows.
constexpr std::int64_t max_vocab = 1 << 24, max_hidden = 1 << 18, max_layers = 4096, max_width = 1 << 20;
constexpr std::int64_t max_heads = 1 << 14, max_head_dim = 1 << 12, max_groups = 1 << 10, max_state = 1 << 12;
constexpr std::int64_t max_kernel = 64, max_experts = 1 << 14, max_context = std::int64_t{1} << 31;
constexpr double max_multiplier = 1e6;

// The key names of one kind of file, for errors.
struct Names {
  const char *heads, *kv_heads, *ssm_heads, *groups, *experts_used, *head_dim;
};

void check_relations(Keys& keys, const Config& c, const Names& names);

// Sizes of absent parts become 0, so that nobody plans with them.
void clear_absent(Config& c);

}  // namespace switchyard::models
