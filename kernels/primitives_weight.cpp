// Weights of a primitive graph: block formats taken apart into integers, scale and zero point, which graph compilers
// keep compressed: Const -> Convert [-> Subtract zero] -> Multiply scale -> Reshape. The block layouts:
// kernels/common/quant.cpp.
#include <cmath>

#include "kernels/common/quant.h"
#include "kernels/primitives.h"

namespace switchyard::kernels {
namespace {

float half_at(const std::byte* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, 2);
  return f16_to_f32(bits);
}
unsigned byte_at(const std::byte* p) { return std::to_integer<unsigned>(*p); }

// One block: q[elements], then per group of `group` elements a scale and the minimum that is taken off (0 where there
// is none).
struct Taken {
  int q[256];
  float scale[16], minimum[16];
};

void scales_of_k(const std::byte* b, float d, float m, Taken& t) {
  for (unsigned g = 0; g < 8; ++g) {
    unsigned s, n;
    if (g < 4) {
      s = byte_at(b + g) & 63;
      n = byte_at(b + g + 4) & 63;
    } else {
      s = (byte_at(b + g + 4) & 15) | (byte_at(b + g - 4) >> 6) << 4;
      n = byte_at(b + g + 4) >> 4 | (byte_at(b + g) >> 6) << 4;
    }
    t.scale[g] = d * static_cast<float>(s);
    t.minimum[g] = m * static_cast<float>(n);
  }
}

void take(DType type, const std::byte* b, Taken& t) {
  if (type == DType::q8_0) {
    t.scale[0] = half_at(b);
    for (int i = 0; i < 32; ++i) t.q[i] = static_cast<std::int8_t>(byte_at(b + 2 + i));
  } else if (type == DType::q4_0) {
    t.scale[0] = half_at(b);
    for (int i = 0; i < 16; ++i) {
      t.q[i] = static_cast<int>(byte_at(b + 2 + i) & 15) - 8;
      t.q[i + 16] = static_cast<int>(byte_at(b + 2 + i) >> 4) - 8;
    }
  } else if (type == DType::q6_k) {
    float d = half_at(b + 208);
    for (int g = 0; g < 16; ++g) t.scale[g] = d * static_cast<float>(static_cast<std::int8_t>(byte_at(b + 192 + g)));
    for (int e = 0; e < 256; ++e) {
      int half = e / 128, quarter = e % 128 / 32, l = e % 32;
      unsigned low = byte_at(b + 64 * half + 32 * (quarter % 2) + l), high = byte_at(b + 128 + 32 * half + l);
      t.q[e] = static_cast<int>((quarter < 2 ? low & 15 : low >> 4) | (high >> (2 * quarter) & 3) << 4) - 32;
    }
  } else {
    scales_of_k(b + 4, half_at(b), half_at(b + 2), t);
    const std::byte* q = b + (type == DType::q5_k ? 48 : 16);
    for (int e = 0; e < 256; ++e) {
      int g = e / 32, l = e % 32;
      unsigned v = byte_at(q + 32 * (g / 2) + l);
      v = g % 2 ? v >> 4 : v & 15;
      if (type == DType::q5_k) v |= (byte_at(b + 16 + l) >> g & 1) << 4;
      t.q[e] = static_cast<int>(v);
    }
  }
}

struct Form {
  DType integers;
  int group;
  bool has_zero;
  bool scale_is_half;  // exactly: the format's own scale
};
Form form_of(DType type) {
  switch (type) {
    case DType::q8_0: return {DType::i8, 32, false, true};
    case DType::q4_0: return {DType::i4, 32, false, true};
    case DType::q4_k: return {DType::u4, 32, true, false};
    case DType::q5_k: return {DType::u8, 32, true, false};
    default: return {DType::i8, 16, false, false};
  }
}

template <class T>
std::shared_ptr<std::vector<std::byte>> bytes_of(const std::vector<T>& v) {
  auto b = std::as_bytes(std::span(v));
  return std::make_shared<std::vector<std::byte>>(b.begin(), b.end());
}

}  // namespace

GraphWriter::Parts GraphWriter::parts(std::uint32_t v, bool swapped) {
  if (auto known = parts_.find({v, swapped}); known != parts_.end()) return known->second;
  const Tensor& t = source_.values[v];
  const Constant* c = source_.constant(v);
  std::int64_t columns = t.shape.back().max, rows = max_elements(t) / columns;
  const Bytes row = row_bytes(t.dtype, columns);
  Parts made;
  if (!c || c->data.size() != max_bytes(t) || row == 0) {
    if (!error_)
      error_ = Error{Code::invalid_argument,
                     "decompose: weight " + std::to_string(v) + " " + to_string(t) + " has " +
                         (c ? std::to_string(c->data.size()) + " bytes of data, needs " + std::to_string(max_bytes(t))
                            : std::string("no data: it is no constant"))};
    made.q = add_value(DType::f32, {rows, columns});
    return made;
  }
  // Row r of the graph's constant is row `from(r)` of the source.
  const std::int64_t lead = swapped ? t.shape[0].max : 1, inner = rows / lead;
  auto from = [&](std::int64_t r) { return swapped ? r % lead * inner + r / lead : r; };
  const std::uint64_t key = c->key * 1000003 + (swapped ? 2 : 1);
  const bool plain = block(t.dtype).elements == 1;
  if (plain && !swapped) {
    made.q = make_constant(t.dtype, {rows, columns}, c->key, c->data, c->owner);
  } else if (plain) {
    auto data = std::make_shared<std::vector<std::byte>>(c->data.size());
    for (std::int64_t r = 0; r < rows; ++r)
      std::memcpy(data->data() + static_cast<Bytes>(r) * row, c->data.data() + static_cast<Bytes>(from(r)) * row, row);
    made.q = make_constant(t.dtype, {rows, columns}, key, *data, data);
  } else {
    const Form f = form_of(t.dtype);
    const std::int64_t width = block(t.dtype).elements, per_block = width / f.group, groups = columns / f.group;
    const bool halves = arithmetic_ == Arithmetic::f16 || f.scale_is_half;
    const bool nibbles = f.integers == DType::i4 || f.integers == DType::u4;
    auto q = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(rows * columns / (nibbles ? 2 : 1)));
    std::vector<float> scale(static_cast<std::size_t>(rows * groups)), zero(f.has_zero ? scale.size() : 0);
    Taken block_values;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t b = 0; b < columns / width; ++b) {
        take(t.dtype, c->data.data() + static_cast<Bytes>(from(r)) * row + static_cast<Bytes>(b) * block(t.dtype).bytes,
             block_values);
        for (std::int64_t g = 0; g < per_block; ++g) {
          auto at = static_cast<std::size_t>(r * groups + b * per_block + g);
          scale[at] = block_values.scale[g];
          if (!f.has_zero) continue;
          // s q - m = s (q - m / s). A group whose scale is 0 (or too small for the number it is kept in) is the
          // constant -m.
          float minimum = block_values.minimum[g];
          bool flat = scale[at] == 0 || (halves && (f32_to_f16(scale[at]) << 1 & 0xffff) == 0) ||
                      (halves && std::abs(minimum / scale[at]) > 60000);
          if (flat) {
            for (int i = 0; i < f.group; ++i) block_values.q[g * f.group + i] = 0;
            scale[at] = minimum;
            zero[at] = minimum == 0 ? 0.0f : 1.0f;
          } else {
            zero[at] = minimum / scale[at];
          }
        }
        for (std::int64_t i = 0; i < width; ++i) {
          auto at = static_cast<std::size_t>(r * columns + b * width + i);
          auto value = static_cast<std::uint8_t>(block_values.q[i]);
          if (!nibbles)
            (*q)[at] = std::byte{value};
          else
            (*q)[at / 2] |= static_cast<std::byte>((value & 15) << (at % 2 * 4));
        }
      }
    auto store = [&](const std::vector<float>& values, std::uint64_t salt) {
      std::shared_ptr<std::vector<std::byte>> bytes;
      if (halves) {
        std::vector<std::uint16_t> h;
        for (float x : values) h.push_back(f32_to_f16(x));
        bytes = bytes_of(h);
      } else {
        bytes = bytes_of(values);
      }
      return make_constant(halves ? DType::f16 : DType::f32, {rows, groups, 1}, key * 31 + salt + (halves ? 16 : 0),
                           *bytes, bytes);
    };
    made.q = make_constant(f.integers, {rows, groups, f.group}, key * 31 + 1, *q, q);
    made.scale = store(scale, 2);
    if (f.has_zero) made.zero = store(zero, 3);
  }
  parts_[{v, swapped}] = made;
  return made;
}

std::uint32_t GraphWriter::expand(const Parts& p, std::vector<std::int64_t> shape) {
  std::uint32_t w = convert(p.q, DType::f32);
  if (p.zero != no_value) w = sub(w, convert(p.zero, DType::f32));
  if (p.scale != no_value) w = mul(w, convert(p.scale, DType::f32));
  return reshape(w, std::move(shape));
}

std::uint32_t GraphWriter::weight(std::uint32_t v) {
  auto [it, fresh] = weights_.try_emplace({v, false}, 0);
  if (!fresh) return it->second;
  std::vector<std::int64_t> shape;
  for (const Dim& d : source_.values[v].shape) shape.push_back(d.max);
  return it->second = expand(parts(v, false), shape);
}

std::uint32_t GraphWriter::weight_swapped(std::uint32_t v) {
  const Tensor& t = source_.values[v];
  if (t.shape.size() != 3) return fail("weight_swapped of " + to_string(t), DType::f32, {1});
  auto [it, fresh] = weights_.try_emplace({v, true}, 0);
  if (!fresh) return it->second;
  return it->second = expand(parts(v, true), {t.shape[1].max, t.shape[0].max, t.shape[2].max});
}

std::uint32_t GraphWriter::weight_rows(std::uint32_t v, std::uint32_t index) {
  const Tensor& t = source_.values[v];
  if (t.shape.size() != 2) return fail("weight_rows of " + to_string(t), DType::f32, {1});
  Parts p = parts(v, false);
  for (std::uint32_t* part : {&p.q, &p.zero, &p.scale})
    if (*part != no_value) *part = gather(*part, index);
  return expand(p, {shape(index)[0], t.shape[1].max});
}

}  // namespace switchyard::kernels
