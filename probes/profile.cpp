#include "probes/profile.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "kernels/op.h"
#include "probes/json.h"

#if defined(__linux__)
#include <link.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace switchyard::probes {

bool operator==(const Step& a, const Step& b) {
  return a.rows == b.rows && a.sequences == b.sequences && a.past == b.past && a.logits == b.logits;
}

bool Stat::noisy() const { return spread > noisy_spread; }

Stat summarize(std::vector<double> samples, int runs, int warmup) {
  std::sort(samples.begin(), samples.end());
  auto at = [&](double q) {
    double x = q * static_cast<double>(samples.size() - 1);
    auto i = static_cast<std::size_t>(x);
    return i + 1 < samples.size() ? samples[i] + (x - static_cast<double>(i)) * (samples[i + 1] - samples[i])
                                  : samples[i];
  };
  Stat s{at(0.5), samples.front(), samples.back(), 0, static_cast<int>(samples.size()), runs, warmup};
  s.spread = s.median > 0 ? (at(0.75) - at(0.25)) / s.median : 0;
  return s;
}

double CopyCurve::seconds(double bytes) const {
  if (points.empty()) return 0;
  if (bytes <= static_cast<double>(points.front().bytes)) return points.front().seconds.median;
  for (std::size_t i = 1; i < points.size(); ++i) {
    auto a = static_cast<double>(points[i - 1].bytes), b = static_cast<double>(points[i].bytes);
    if (bytes > b) continue;
    return points[i - 1].seconds.median +
           (bytes - a) / (b - a) * (points[i].seconds.median - points[i - 1].seconds.median);
  }
  return bytes * points.back().seconds.median / static_cast<double>(points.back().bytes);
}

double CopyCurve::gb_s() const {
  if (points.empty() || points.back().seconds.median <= 0) return 0;
  return static_cast<double>(points.back().bytes) / points.back().seconds.median / 1e9;
}

const DeviceProfile* Profile::device(std::string_view id) const {
  auto it = std::find_if(devices.begin(), devices.end(), [&](const DeviceProfile& d) { return d.id == id; });
  return it == devices.end() ? nullptr : &*it;
}

const Link* Profile::link(std::string_view from, std::string_view to) const {
  auto it = std::find_if(links.begin(), links.end(), [&](const Link& l) { return l.from == from && l.to == to; });
  return it == links.end() ? nullptr : &*it;
}

const Contention* Profile::beside(std::string_view device, std::string_view other) const {
  auto it = std::find_if(contention.begin(), contention.end(),
                         [&](const Contention& c) { return c.device == device && c.beside == other; });
  return it == contention.end() ? nullptr : &*it;
}

double DeviceProfile::arithmetic(kernels::Products products) const {
  return std::max(compute[products].per_second, compute[kernels::Products::f32].per_second);
}

double DeviceProfile::most_arithmetic(kernels::Products products) const {
  return std::max({arithmetic(products), peak[products].per_second, peak[kernels::Products::f32].per_second});
}

std::string unit_key(const hal::Segment& segment) {
  hal::Segment s = segment;
  for (hal::Tensor& t : s.values)
    for (hal::Dim& d : t.shape)
      if (d.symbol >= 0) d.min = d.max = 0;
  for (auto v : s.states)
    if (!s.values[v].shape.empty()) s.values[v].shape[0] = hal::Dim::fixed(0);  // slots or pages
  for (auto v : s.inputs)
    if (s.values[v].dtype == hal::DType::i32)
      for (std::size_t axis = 1; axis < s.values[v].shape.size(); ++axis)
        s.values[v].shape[axis] = hal::Dim::fixed(0);  // pages of a sequence
  std::uint64_t h = hal::hash(s);
  std::uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(h >> (56 - 8 * i));
  return hex(bytes, 8);
}

#if defined(__linux__)
namespace {
// The first object listed is the program itself. Its linker's note is a hash of what was linked.
int find_note(dl_phdr_info* object, std::size_t, void* out) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& header = object->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(object->dlpi_addr + header.p_vaddr);
    const char* end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      const char* name = at + sizeof note;
      const char* data = name + ((note.n_namesz + 3) & ~3u);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
        *static_cast<std::string*>(out) =
            hex(reinterpret_cast<const std::uint8_t*>(data), std::min<std::size_t>(note.n_descsz, 8));
      at = data + ((note.n_descsz + 3) & ~3u);
    }
  }
  return 1;
}
}  // namespace
#endif

std::string build_id() {
  static const std::string id = [] {
    std::string found;
#if defined(__linux__)
    dl_iterate_phdr(find_note, &found);
    if (found.empty()) {  // linked without the note: the file itself
      std::ifstream in("/proc/self/exe", std::ios::binary);
      std::stringstream text;
      text << in.rdbuf();
      found = fingerprint(text.str());
    }
#else
    found = fingerprint(__DATE__ " " __TIME__);
#endif
    return found;
  }();
  return id;
}

hal::Status check_fresh(const Profile& profile, const Machine& machine, std::string_view build) {
  const std::string again = "; measure again: switchyard profile";
  if (profile.machine != key(machine))
    return hal::Error{hal::Code::unavailable, "the profile was measured on machine " + profile.machine +
                                                  ", this one is " + key(machine) + again};
  for (const DeviceProfile& d : profile.devices) {
    const Door* door = machine.door(d.id);
    if (!door)
      return hal::Error{hal::Code::unavailable,
                        "the profile has device " + d.id + ", which this machine has not" + again};
    if (door->info.driver != d.driver)
      return hal::Error{hal::Code::unavailable, "profile of " + d.id + ": measured with driver '" + d.driver +
                                                    "', here is '" + door->info.driver + "'" + again};
    if (d.build != build)
      return hal::Error{hal::Code::unavailable, "profile of " + d.id + ": measured by build " + d.build + ", this is " +
                                                    std::string(build) + again};
  }
  return hal::ok();
}

hal::Result<std::string> cache_path(const Machine& machine) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path base;
  if (cache && *cache)
    base = cache;
  else if (home && *home)
    base = std::filesystem::path(home) / ".cache";
  else
    return hal::Error{hal::Code::unavailable,
                      "no place for the profile: neither XDG_CACHE_HOME nor HOME is set; name a file"};
  return (base / "switchyard" / ("profile-" + key(machine) + ".json")).string();
}

hal::Status save(const Profile& profile, const std::string& path) {
  std::error_code error;
  std::filesystem::path to(path);
  if (to.has_parent_path()) std::filesystem::create_directories(to.parent_path(), error);
  std::string beside = path + ".new";
#if defined(__unix__) || defined(__APPLE__)
  beside += std::to_string(getpid());
#endif
  std::ofstream out(beside, std::ios::binary);
  out << to_json(profile);
  out.close();
  if (!out) return hal::Error{hal::Code::io, "profile " + beside + ": " + std::strerror(errno)};
  std::filesystem::rename(beside, to, error);
  if (error) return hal::Error{hal::Code::io, "profile " + path + ": " + error.message()};
  return hal::ok();
}

hal::Result<Profile> load_profile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return hal::Error{hal::Code::not_found, "profile " + path + ": " + std::strerror(errno)};
  std::string text{std::istreambuf_iterator<char>(in), {}};
  auto profile = profile_from_json(text);
  if (!profile) return hal::Error{profile.error().code, path + ": " + profile.error().message};
  return profile;
}

}  // namespace switchyard::probes
