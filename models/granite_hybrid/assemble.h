// Assemble: a model from a file that is already read. load() is this plus opening files.
#pragma once
#include <string>
#include <string_view>

#include "hal/result.h"
#include "models/formats/gguf.h"
#include "models/formats/tensor.h"
#include "models/granite_hybrid/weights.h"

namespace switchyard::models {

// Code::io as load() says; `name` is the model's and begins each refusal. file_bytes is left 0.
hal::Result<Model> assemble(const Gguf& gguf, const std::string& name);
// `config`: the text of config.json.
hal::Result<Model> assemble(std::string_view config, const FileTensors& tensors, const std::string& name);

}  // namespace switchyard::models
