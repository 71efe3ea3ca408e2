#include "models/granite_hybrid/weights.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "kernels/common/quant.h"
#include "models/formats/gguf.h"
#include "models/formats/safetensors.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/assemble.h"
#include "models/granite_hybrid/slots.h"
#include "models/shapes/shapes.h"

namespace switchyard::models {
namespace {

using hal::Code;
using hal::Error;

std::vector<std::int64_t> without_ones(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> out;
  for (std::int64_t n : shape)
    if (n != 1) out.push_back(n);
  return out;
}

// Puts tensors into slots and remembers which were used.
class Filler {
 public:
  Filler(const FileTensors& tensors, std::string name) : tensors_(tensors), name_(std::move(name)) {}

  hal::Status fill(const Slot& slot) {
    HAL_TRY(const FileTensor* tensor, find(slot));
    if (without_ones(tensor->shape) != without_ones(slot.source))
      return refuse(*tensor, text("shape ", shape_text(tensor->shape)), shape_text(slot.source));
    if (!kernels::is_weight_type(tensor->dtype))
      return refuse(*tensor, text("type ", hal::to_string(tensor->dtype)), "f32, f16, bf16 or a block type");
    slot.to->shape = slot.shape;
    Hash key;
    key.put(tensor->file);
    key.put(tensor->name);
    key.put(slot.first_row);
    key.put(slot.role);
    slot.to->key = key.value();
    return slot.role == Role::matrix ? map(slot, *tensor) : convert(slot, *tensor);
  }

  // A weight that nobody takes would be left out of the computation without a word.
  hal::Status all_used(bool tied) const {
    for (auto& [name, tensor] : tensors_) {
      if (used_.contains(name) || (tied && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq")) continue;
      return Error{Code::io, text(name_, ": tensor ", printable(name), " ", shape_text(tensor.shape),
                                  " has no place in a Granite hybrid model of this configuration")};
    }
    return hal::ok();
  }

 private:
  Error refuse(const FileTensor& tensor, const std::string& found, const std::string& expected) const {
    return Error{Code::io, text(name_, ": tensor ", printable(tensor.name), " has ", found, "; expected ", expected)};
  }

  hal::Result<const FileTensor*> find(const Slot& slot) {
    const FileTensor* found = nullptr;
    for (const std::string& name : slot.names) {
      auto at = tensors_.find(name);
      if (at == tensors_.end()) continue;
      if (found)
        return Error{Code::io, text(name_, ": both ", printable(found->name), " and ", printable(name), " are there")};
      found = &at->second;
    }
    if (!found)
      return Error{Code::io, text(name_, ": tensor ", printable(slot.names[0]), " is missing; expected shape ",
                                  shape_text(slot.source))};
    used_.insert(found->name);
    return found;
  }

  hal::Status map(const Slot& slot, const FileTensor& tensor) {
    FileTensor source = aligned(tensor);
    std::uint64_t row = hal::row_bytes(tensor.dtype, slot.shape.back()), bytes = row;
    for (std::size_t i = 0; i + 1 < slot.shape.size(); ++i) bytes *= static_cast<std::uint64_t>(slot.shape[i]);
    std::uint64_t begin = row * static_cast<std::uint64_t>(slot.first_row);
    if (row == 0 || begin > source.data.size() || bytes > source.data.size() - begin)
      return refuse(tensor, text(source.data.size(), " bytes"), text(begin + bytes));
    slot.to->dtype = tensor.dtype;
    slot.to->data = source.data.subspan(begin, bytes);
    slot.to->owner = std::move(source.owner);
    slot.to->mapped = source.mapped;
    return hal::ok();
  }

  hal::Status convert(const Slot& slot, const FileTensor& tensor) {
    std::int64_t n = 1;
    for (std::int64_t size : slot.shape) n *= size;
    auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(n));
    if (!kernels::dequantize_row(tensor.dtype, tensor.data.data(), n, values->data()))
      return refuse(tensor, text(n, " elements of ", hal::to_string(tensor.dtype)), "whole blocks");
    for (std::size_t i = 0; i < values->size(); ++i) {
      float& v = (*values)[i];
      float read = v;
      if (slot.role == Role::decay_log) v = -std::exp(v);
      if (!std::isfinite(v)) return refuse(tensor, text(read, " at element ", i), "finite numbers");
      if (slot.role == Role::decay && v > 0)
        return refuse(tensor, text(read, " at element ", i), "A = -exp(A_log), at most 0");
    }
    slot.to->dtype = hal::DType::f32;
    slot.to->data = std::as_bytes(std::span(*values));
    slot.to->owner = std::move(values);
    return hal::ok();
  }

  const FileTensors& tensors_;
  std::string name_;
  std::set<std::string> used_;
};

void put_tensors(Hash& hash, const FileTensors& tensors) {
  constexpr std::size_t sample = 64;
  for (auto& [name, tensor] : tensors) {
    hash.put(name);
    hash.put(tensor.dtype);
    hash.put(std::as_bytes(std::span(tensor.shape)));
    auto data = tensor.data;
    for (std::size_t part = 0; part < 3; ++part) {
      std::size_t n = std::min(sample, data.size());
      hash.put(data.subspan((data.size() - n) / 2 * part, n));
    }
  }
}

hal::Status fill_all(Model& model, const FileTensors& tensors, const std::vector<Slot>& slots) {
  Filler filler(tensors, model.name);
  for (const Slot& slot : slots) HAL_CHECK(filler.fill(slot));
  HAL_CHECK(filler.all_used(model.config.tied));
  if (model.config.tied) model.head = model.embedding;
  return hal::ok();
}

}  // namespace

hal::Result<Model> assemble(const Gguf& gguf, const std::string& name) {
  Model model;
  model.name = name;
  HAL_TRY(model.config, config_from_gguf(gguf, name));
  bool fused = gguf.tensors.contains("blk.0.ffn_gate_up_exps.weight");
  HAL_CHECK(fill_all(model, gguf.tensors, gguf_slots(model, fused)));
  Hash hash;
  for (auto& [key, value] : gguf.metadata) {
    hash.put(key);
    hash.put(value.bytes);
  }
  put_tensors(hash, gguf.tensors);
  model.content_hash = hash.value();
  return model;
}

hal::Result<Model> assemble(std::string_view config, const FileTensors& tensors, const std::string& name) {
  Model model;
  model.name = name;
  HAL_TRY(model.config, config_from_json(config, name + ": config.json"));
  HAL_CHECK(fill_all(model, tensors, checkpoint_slots(model)));
  Hash hash;
  hash.put(config);
  put_tensors(hash, tensors);
  model.content_hash = hash.value();
  return model;
}

namespace {

hal::Bytes total_bytes(const std::vector<FileRef>& files) {
  hal::Bytes bytes = 0;
  for (const FileRef& file : files) bytes += file->bytes().size();
  return bytes;
}

hal::Result<Model> load_gguf(const std::string& path) {
  HAL_TRY(Gguf gguf, open_gguf(path));
  HAL_TRY(Model model, assemble(gguf, path));
  model.file_bytes = total_bytes(gguf.files);
  return model;
}

hal::Result<Model> load_checkpoint(const std::string& path) {
  HAL_TRY(Checkpoint checkpoint, open_checkpoint(path));
  auto config = checkpoint.config->bytes();
  std::string_view json(reinterpret_cast<const char*>(config.data()), config.size());
  HAL_TRY(Model model, assemble(json, checkpoint.tensors, path));
  model.file_bytes = total_bytes(checkpoint.files);
  return model;
}

}  // namespace

hal::Result<Model> load(const std::string& path_or_shape, const LoadOptions& options) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path path = path_or_shape;
  if (fs::is_directory(path, ignored)) return load_checkpoint(path_or_shape);
  if (!fs::exists(path, ignored)) return load_shape(path_or_shape, options);
  if (path.extension() != ".safetensors") return load_gguf(path_or_shape);
  // A shard alone is half a model: its folder is what was meant.
  if (fs::exists(path.parent_path() / "model.safetensors.index.json", ignored))
    return load_checkpoint(path.has_parent_path() ? path.parent_path().string() : ".");
  return load_checkpoint(path_or_shape);
}

}  // namespace switchyard::models
