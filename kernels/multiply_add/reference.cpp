#include "kernels/multiply_add/multiply_add.h"

namespace switchyard::kernels::multiply_add {

Status reference(ReferenceArgs& a) {
  const auto& x = a.in(0);
  auto& y = a.out(0);
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = a.node.attrs_as<Attrs>().products * x[i];
  return ok();
}

}  // namespace switchyard::kernels::multiply_add
