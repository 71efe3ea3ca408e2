#include "models/granite_hybrid/rules.h"

#include <algorithm>

#include "models/formats/text.h"

namespace switchyard::models {

std::int64_t Config::count(LayerKind kind) const { return std::count(kinds.begin(), kinds.end(), kind); }

void check_relations(Keys& keys, const Config& c, const Names& names) {
  if (keys.failed()) return;
  auto divides = [&](std::int64_t part, const char* key, std::int64_t whole, const std::string& what) {
    keys.require(part > 0 && whole % part == 0, key, std::to_string(part),
                 text("a divisor of ", what, " (", whole, ")"));
  };
  if (c.count(LayerKind::attention)) {
    divides(c.kv_heads, names.kv_heads, c.heads, names.heads);
    keys.require(!c.rope || c.head_dim % 2 == 0, names.head_dim, std::to_string(c.head_dim), "an even number for rope");
  }
  if (c.count(LayerKind::mamba)) divides(c.groups, names.groups, c.ssm_heads, names.ssm_heads);
  if (c.experts)
    keys.require(c.experts_used <= c.experts, names.experts_used, std::to_string(c.experts_used),
                 text("at most the ", c.experts, " experts"));
}

void clear_absent(Config& c) {
  if (!c.count(LayerKind::mamba)) c.ssm_heads = c.ssm_head_dim = c.groups = c.state = c.conv_kernel = 0;
  if (!c.count(LayerKind::attention)) c.heads = c.kv_heads = c.head_dim = 0;
  if (!c.experts) c.experts_used = c.expert_width = 0;
}

}  // namespace switchyard::models
