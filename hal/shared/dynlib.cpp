#include "hal/shared/dynlib.h"

#include <dlfcn.h>

namespace switchyard::hal {

Result<Dynlib> Dynlib::open(std::span<const char* const> names) {
  std::string tried;
  for (const char* name : names) {
    Dynlib lib;
    lib.handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (lib.handle_) {
      lib.path_ = name;
      return lib;
    }
    if (!tried.empty()) tried += "; ";
    const char* why = dlerror();
    tried += why ? why : name;
  }
  return Error{Code::unavailable, tried};
}

void* Dynlib::symbol(const char* name) const { return dlsym(handle_, name); }

}  // namespace switchyard::hal
