// A model from a shape's name: the slots of a GGUF file, filled from a seed.
#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "kernels/common/quant.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/slots.h"
#include "models/quant/fill.h"
#include "models/shapes/shapes.h"

namespace switchyard::models {
namespace {

using hal::Code;
using hal::DType;
using hal::Error;

bool ends(const Slot& slot, std::string_view tail) { return slot.names[0].ends_with(tail); }

DType type_of(const Slot& slot, DType weights) {
  if (slot.role != Role::matrix || ends(slot, "ffn_gate_inp.weight")) return DType::f32;
  bool low = weights == DType::q4_0 || weights == DType::q4_k || weights == DType::q5_k;
  DType type = low && ends(slot, "token_embd.weight") ? DType::q6_k : weights;
  return hal::row_bytes(type, slot.shape.back()) ? type : DType::f16;
}

std::uint64_t bytes_of(const Weight& weight) {
  std::uint64_t bytes = hal::row_bytes(weight.dtype, weight.shape.back());
  for (std::size_t i = 0; i + 1 < weight.shape.size(); ++i) bytes *= static_cast<std::uint64_t>(weight.shape[i]);
  return bytes;
}

// Values of the small tensors in the range that trained models have: A from -16 to -1, and dt after softplus from about
// 0.02 to 0.3, so that states neither vanish nor grow over any length.
float small_value(const Slot& slot, Random& random) {
  if (slot.role == Role::decay) return -random.uniform(1, 16);
  if (ends(slot, "ssm_dt.bias")) return random.uniform(-4, -1);
  if (ends(slot, "ssm_conv1d.weight")) return random.normal(0.3f);
  if (ends(slot, ".bias")) return random.normal(0.1f);
  return 1;  // norms and D
}

void fill_small(const Slot& slot, std::uint64_t seed) {
  Random random(seed);
  auto values = std::make_shared<std::vector<float>>(bytes_of(*slot.to) / 4);
  for (float& v : *values) v = small_value(slot, random);
  slot.to->data = std::as_bytes(std::span(*values));
  slot.to->owner = std::move(values);
}

// Fills the matrices from all cores: the time goes into getting pages from the system.
class Filling {
 public:
  explicit Filling(std::uint64_t seed) : seed_(seed) {}

  void add(const Slot& slot) {
    DType type = slot.to->dtype;
    pools_.try_emplace(type, type, 0.02f, seed_ + static_cast<std::uint64_t>(type));
    jobs_.push_back(&slot);
  }
  hal::Status run() {
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < std::min(std::thread::hardware_concurrency(), 16u); ++i)
      threads.emplace_back([this] { work(); });
    work();
    for (std::thread& t : threads) t.join();
    if (refused_)
      return Error{Code::out_of_memory, text("weights: ", refused_.load(), " bytes for one matrix were refused")};
    return hal::ok();
  }

 private:
  void work() {
    for (std::size_t i = next_++; i < jobs_.size() && !refused_; i = next_++) {
      Weight& weight = *jobs_[i]->to;
      std::uint64_t bytes = bytes_of(weight);
      Memory memory = allocate_pages(bytes);
      if (memory.bytes.empty()) {
        refused_ = bytes;
        return;
      }
      pools_.at(weight.dtype).fill(memory.bytes, weight.key);
      weight.data = memory.bytes;
      weight.owner = std::move(memory.owner);
    }
  }

  std::uint64_t seed_;
  std::map<DType, Pool> pools_;
  std::vector<const Slot*> jobs_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace

hal::Result<Model> load_shape(std::string_view name, const LoadOptions& options) {
  std::optional<std::string> full = full_shape_name(name);
  if (!full) {
    std::string names;
    for (const std::string& known : shape_names()) names += (names.empty() ? "" : ", ") + known;
    return Error{Code::not_found, text("no file and no built-in shape ", printable(name), "; shapes are ", names,
                                       " (or without granite-4.0-)")};
  }
  if (!kernels::is_weight_type(options.weights))
    return Error{Code::invalid_argument, text("weights ", hal::to_string(options.weights),
                                              "; expected f32, f16, bf16, q8_0, q4_0, q4_k, q5_k or q6_k")};
  Model model;
  model.name = *full;
  model.config = *find_shape(*full);
  model.seeded = true;
  std::vector<Slot> slots = gguf_slots(model, false);
  Filling filling(options.seed);
  Hash content;
  content.put(*full);
  content.put(options.seed);
  for (const Slot& slot : slots) {
    Weight& weight = *slot.to;
    weight.dtype = type_of(slot, options.weights);
    weight.shape = slot.shape;
    content.put(weight.dtype);
    Hash key;
    key.put(*full);
    key.put(options.seed);
    key.put(slot.names[0]);
    key.put(weight.dtype);
    weight.key = key.value();
    model.file_bytes += bytes_of(weight);
    if (options.no_data) continue;
    if (slot.role != Role::matrix) {
      fill_small(slot, weight.key);
    } else {
      filling.add(slot);
    }
  }
  // The system grants pages it does not have and ends the process that touches them, so ask first.
  hal::Bytes available = available_memory();
  if (!options.no_data && available != 0 && model.file_bytes > available)
    return Error{Code::out_of_memory, text(*full, " with ", hal::to_string(options.weights), " weights takes ",
                                           static_cast<double>(model.file_bytes) / 1e9, " GB; ",
                                           static_cast<double>(available) / 1e9, " GB of memory are available")};
  HAL_CHECK(filling.run());
  if (model.config.tied) model.head = model.embedding;
  model.content_hash = content.value();
  return model;
}

}  // namespace switchyard::models
