// A vendor library opened at run time. Never unloaded: drivers keep threads and exit handlers.
#pragma once
#include <span>
#include <string>

#include "hal/result.h"

namespace switchyard::hal {

class Dynlib {
 public:
  // Tries the names in order; unavailable with the loader's own words for each.
  static Result<Dynlib> open(std::span<const char* const> names);
  void* symbol(const char* name) const;  // null: absent
  const std::string& path() const { return path_; }

 private:
  void* handle_ = nullptr;
  std::string path_;
};

}  // namespace switchyard::hal
