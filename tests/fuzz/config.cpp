// Input: the text of a config.json. An accepted configuration must keep what the rest relies on.
#include "models/granite_hybrid/config.h"

#include "models/granite_hybrid/slots.h"
#include "tests/fuzz/touch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace switchyard::models;
  auto config = config_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!config) return check(config.error()), 0;
  const Config& c = *config;
  bool mamba = c.count(LayerKind::mamba) > 0, attention = c.count(LayerKind::attention) > 0;
  if (static_cast<std::int64_t>(c.kinds.size()) != c.layers || c.layers < 1 || c.vocab < 1 || c.hidden < 1)
    __builtin_trap();
  if (mamba && (c.ssm_heads % c.groups || c.d_inner() % c.groups || c.d_inner() % c.hidden || c.conv_kernel < 2))
    __builtin_trap();
  if (attention && (c.heads % c.kv_heads || c.head_dim < 1 || (c.rope && c.head_dim % 2))) __builtin_trap();
  if (c.experts_used > c.experts || (c.experts && c.experts_used < 1)) __builtin_trap();
  for (float v : {c.embedding_multiplier, c.residual_multiplier, c.attention_multiplier, c.logits_scaling, c.eps})
    if (!(v > 0 && v < 1e7f)) __builtin_trap();
  if (!(c.dt_min >= 0 && c.dt_min < c.dt_max)) __builtin_trap();
  Model model;
  model.config = c;
  for (const Slot& slot : checkpoint_slots(model))
    for (std::int64_t n : slot.source)
      if (n < 1) __builtin_trap();
  return 0;
}
