// safetensors: one file, or a folder with config.json and one or several of them.
#pragma once
#include <map>
#include <span>
#include <string>

#include "hal/result.h"
#include "models/formats/file.h"
#include "models/formats/tensor.h"

namespace switchyard::models {

struct Safetensors {
  FileTensors tensors;
  std::map<std::string, std::string, std::less<>> metadata;  // of __metadata__
};

// One file in memory. `owner` keeps `file` alive and is passed on to each tensor, `identity` too. Entries must tile the
// data without holes or overlap. data of a tensor may lie at any alignment: see aligned().
// Refusals are Code::io, begin with `name` and name the tensor, what was there and what was expected.
hal::Result<Safetensors> parse_safetensors(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                           std::uint64_t identity, const std::string& name);
hal::Result<Safetensors> open_safetensors(const std::string& path);

struct Checkpoint {
  FileTensors tensors;
  FileRef config;              // config.json
  std::vector<FileRef> files;  // without config.json, in order of name
};

// `path`: a folder with config.json and either model.safetensors or model.safetensors.index.json and what it lists; or
// a .safetensors file with config.json beside it. not_found when one of these is missing.
hal::Result<Checkpoint> open_checkpoint(const std::string& path);

// The same tensor with data aligned to its element: copied into new memory only where the file has it elsewhere.
FileTensor aligned(FileTensor tensor);

}  // namespace switchyard::models
