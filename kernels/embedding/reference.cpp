#include "kernels/embedding/embedding.h"

namespace switchyard::kernels::embedding {

Status reference(ReferenceArgs& a) {
  const auto& table = a.in(0);
  const auto& rows = a.in(1);
  auto& y = a.out(0);
  const std::int64_t v = a.in_dim(0, 0), d = a.in_dim(0, 1);
  const double scale = a.node.attrs_as<Attrs>().scale;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    auto row = static_cast<std::int64_t>(rows[r]);
    if (row < 0 || row >= v)
      return Error{Code::invalid_argument,
                   "embedding: row " + std::to_string(row) + " of a table of " + std::to_string(v)};
    for (std::int64_t i = 0; i < d; ++i)
      y[r * static_cast<std::size_t>(d) + static_cast<std::size_t>(i)] =
          scale * table[static_cast<std::size_t>(row * d + i)];
  }
  return ok();
}

}  // namespace switchyard::kernels::embedding
