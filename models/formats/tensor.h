// A tensor as it lies in a file, and the names of one or several files' tensors.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hal/segment.h"

namespace switchyard::models {

// shape is row-major; data has exactly the bytes that shape and dtype ask for, and lies in the file's map.
struct FileTensor {
  std::string name;
  hal::DType dtype = hal::DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
  std::shared_ptr<const void> owner;  // keeps data alive
  std::uint64_t file = 0;             // File::identity()
  bool mapped = false;                // data lies in a file's map
};

// By name; the order of a map makes errors and hashes the same in every run.
using FileTensors = std::map<std::string, FileTensor, std::less<>>;

}  // namespace switchyard::models
