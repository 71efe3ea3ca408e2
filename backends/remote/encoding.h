// Values as bytes, for two processes of one machine and one build. A type's fields are listed once, for both
// directions: fields(archive, value) in messages.h.
#pragma once
#include <array>
#include <concepts>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace switchyard::backends::remote {

template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  std::string take() { return std::move(bytes_); }

 private:
  void put(const Scalar auto& v) { bytes_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void put(const std::string& v) {
    put(v.size());
    bytes_ += v;
  }
  template <class T>
  void put(const std::vector<T>& v) {
    put(v.size());
    if constexpr (Scalar<T>) {
      bytes_.append(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T));
    } else {
      for (const T& x : v) put(x);
    }
  }
  template <Scalar T, std::size_t n>
  void put(const std::array<T, n>& v) {
    bytes_.append(reinterpret_cast<const char*>(v.data()), sizeof v);
  }
  template <class T>
  void put(const T& v) {
    fields(*this, v);
  }

  std::string bytes_;
};

// Reads what a Writer wrote. What is too short or too long is not ok(); the values are then unspecified.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool ok() const { return ok_ && rest_.empty(); }

 private:
  void copy(void* to, std::size_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      return;
    }
    if (n != 0) std::memcpy(to, rest_.data(), n);
    rest_.remove_prefix(n);
  }
  void get(Scalar auto& v) { copy(&v, sizeof v); }
  void get(bool& v) {
    std::uint8_t byte = 0;
    get(byte);
    v = byte != 0;
  }
  std::size_t count(std::size_t least) {  // of elements that take at least so many bytes each
    std::size_t n = 0;
    get(n);
    if (n > rest_.size() / least) ok_ = false;
    return ok_ ? n : 0;
  }
  void get(std::string& v) {
    v.resize(count(1));
    copy(v.data(), v.size());
  }
  template <class T>
  void get(std::vector<T>& v) {
    if constexpr (Scalar<T>) {
      v.resize(count(sizeof(T)));
      copy(v.data(), v.size() * sizeof(T));
    } else {
      const std::size_t n = count(1);
      v.clear();
      for (std::size_t i = 0; i < n && ok_; ++i) get(v.emplace_back());
    }
  }
  template <Scalar T, std::size_t n>
  void get(std::array<T, n>& v) {
    copy(v.data(), sizeof v);
  }
  template <class T>
  void get(T& v) {
    fields(*this, v);
  }

  std::string_view rest_;
  bool ok_ = true;
};

template <class... T>
std::string encode(const T&... values) {
  Writer w;
  w(values...);
  return w.take();
}
template <class... T>
[[nodiscard]] bool decode(std::string_view bytes, T&... values) {
  Reader r(bytes);
  r(values...);
  return r.ok();
}

}  // namespace switchyard::backends::remote
