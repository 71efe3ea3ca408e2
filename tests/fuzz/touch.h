// Reads the borders of every weight, so that a span beyond its file is an error of the sanitizer's.
#pragma once
#include "models/granite_hybrid/weights.h"

namespace switchyard::models {

inline void touch(const Model& model) {
  static volatile unsigned sink = 0;
  auto read = [](const Weight& w) {
    if (w.data.empty()) return;
    sink = sink + static_cast<unsigned>(w.data.front()) + static_cast<unsigned>(w.data.back());
  };
  read(model.embedding);
  read(model.head);
  for (const LayerWeights& w : model.layers)
    for (const Weight* one :
         {&w.in_proj, &w.out_proj, &w.conv_weight, &w.a, &w.q, &w.k, &w.v, &w.o, &w.router, &w.experts_gate,
          &w.experts_up, &w.experts_gate_up, &w.experts_down, &w.shared_gate, &w.shared_up, &w.shared_down})
      read(*one);
}

// A refusal must say something, and be the file's fault.
inline void check(const hal::Error& error) {
  if (error.code != hal::Code::io || error.message.empty()) __builtin_trap();
}

}  // namespace switchyard::models
