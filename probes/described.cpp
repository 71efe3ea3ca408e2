#include "probes/described.h"

#include <algorithm>
#include <map>

#include "probes/json.h"

namespace switchyard::probes {
namespace {

using kernels::Products;

constexpr std::string_view schema = "switchyard.described_machine/1";

struct Device {
  hal::Bytes fixed = 0;
  bool fixed_shapes = false;
  std::map<std::string, std::string> declines;  // by the op's name without its version
};
using Devices = std::map<std::string, Device>;  // by id

hal::Claim claim_of(const Devices& devices, const hal::Info& info, const hal::Segment& segment) {
  hal::Claim claim;
  const Device& d = devices.at(info.id);
  hal::Group all{{}, d.fixed_shapes};
  claim.scratch = d.fixed;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n) {
    const std::string& op = segment.nodes[n].op;
    if (auto why = d.declines.find(op.substr(0, op.find('@'))); why != d.declines.end())
      claim.declined.push_back({n, why->second});
    else
      all.nodes.push_back(n);
  }
  for (const hal::Constant& c : segment.constants)
    claim.holds.push_back({c.key, "", hal::max_bytes(segment.values[c.value])});
  if (!all.nodes.empty()) claim.groups.push_back(std::move(all));
  return claim;
}

// Figures are checked as they are read, so that a plan never rests on a speed of zero or a memory without end.
class Reader {
 public:
  explicit Reader(std::string at) : at_(std::move(at)) {}

  double positive(const Json& j, const char* key) {
    const double v = j.at(key);
    if (v >= 1e-6 && v <= 1e7) return v;
    wrong(key, v, "a number above zero, from 1e-6 to 1e7");
    return 1;  // something to go on with: the error is told in the end
  }
  double positive(const Json& j, const char* key, double otherwise) {
    return j.contains(key) ? positive(j, key) : otherwise;
  }
  // At most so many bytes as `within`, where that is a size too.
  hal::Bytes gigabytes(const Json& j, const char* key, hal::Bytes within = 0) {
    const double v = positive(j, key);
    const auto bytes = static_cast<hal::Bytes>(std::min(v, 1e6) * 1e9);
    if (v > 1e6 || (within && bytes > within)) wrong(key, v, "no more than there is, and than 1e6");
    return bytes;
  }
  int whole(const Json& j, const char* key) {
    const double v = positive(j, key);
    if (v < 1 || v > 1e5) wrong(key, v, "a whole number from 1 to 1e5");
    return static_cast<int>(std::clamp(v, 1.0, 1e5));
  }
  Rate rate(const Json& j, const char* key, const std::string& with) {
    const Json& r = j.at(key);
    const double peak = positive(r, "peak"), share = positive(r, "share");
    if (share > 1) wrong(key, share, "a share of at most 1");
    Rate rate;
    rate.per_second = peak * share * 1e9;
    rate.with = with;
    return rate;
  }
  const std::string& error() const { return error_; }

 private:
  void wrong(const std::string& key, double got, const char* expected) {
    if (error_.empty()) error_ = at_ + ": " + key + " is " + Json(got).dump() + ", expected " + expected;
  }
  std::string at_, error_;
};

CopyCurve copies(double seconds, double bytes_per_second) {
  CopyCurve curve;
  for (hal::Bytes bytes : {hal::Bytes{1} << 12, hal::Bytes{1} << 28}) {
    CopyPoint point{bytes, {}};
    point.seconds.median = point.seconds.min = point.seconds.max =
        seconds + static_cast<double>(bytes) / bytes_per_second;
    curve.points.push_back(point);
  }
  return curve;
}

}  // namespace

bool is_described(std::string_view text) {
  const Json j = Json::parse(text, nullptr, false);
  const Json found = j.is_object() ? j.value("schema", Json()) : Json();
  return found.is_string() && found.get_ref<const std::string&>().starts_with(schema.substr(0, schema.find('/') + 1));
}

hal::Result<Described> described_from_json(std::string_view text) {
  return parse<Described>(text, schema, "described machine", [](const Json& j) -> hal::Result<Described> {
    Described made;
    made.name = j.at("name");
    made.title = j.at("title");
    const Json &host = j.at("host"), &sources = j.at("sources");
    Reader facts("described machine " + made.name + ": host");
    HostFacts& h = made.machine.host;
    h.cpu = host.at("cpu");
    h.system = "described";
    h.cores = facts.whole(host, "cores");
    h.threads = facts.whole(host, "threads");
    h.numa_nodes = 1;
    h.memory_total = facts.gigabytes(host, "memory_gb");
    h.memory_available = facts.gigabytes(host, "usable_gb", h.memory_total);
    made.machine.pools.push_back({std::string(host_pool), h.memory_total, h.memory_available});
    if (!facts.error().empty()) return hal::Error{hal::Code::io, facts.error()};
    auto devices = std::make_shared<Devices>();
    std::map<std::string, double> shares;  // of the memory's bandwidth
    for (const Json& d : j.at("devices")) {
      Door door;
      door.info.id = d.at("id");
      Reader read("described machine " + made.name + ": " + door.info.id);
      door.info.name = d.at("name");
      door.info.driver = "described";
      door.info.api = door.info.id.substr(0, door.info.id.find(':'));
      door.info.kind = kind_from(d.at("kind"));
      const std::string source = d.at("source");
      if (!sources.contains(source) || made.machine.door(door.info.id) || door.info.id.empty() ||
          door.info.id == host_pool)
        return hal::Error{hal::Code::io, "described machine " + made.name + ": device " + door.info.id +
                                             " has no id, one that is taken, or a source that is not listed"};
      std::string pool(host_pool);
      if (d.contains("memory_gb")) {
        pool = door.info.id;
        door.total = read.gigabytes(d, "memory_gb");
        door.budget = read.gigabytes(d, "usable_gb", door.total);
        made.machine.pools.push_back({pool, door.total, door.budget});
      } else {
        door.info.features.emplace_back(host_memory_feature);
        if (d.contains("limit_gb")) door.total = door.budget = read.gigabytes(d, "limit_gb");
      }
      DeviceProfile& p = made.profile.devices.emplace_back();
      const std::string with = "described: " + sources.at(source).get<std::string>();
      p.id = door.info.id;
      p.driver = door.info.driver;
      p.read = p.stream = read.rate(d, "read_gb_s", with);
      shares[p.id] = d.at("read_gb_s").at("share");
      p.compute[Products::f32] = read.rate(d, "f32_gflop_s", with);
      p.compute[Products::int8] = read.rate(d, "int8_gop_s", with);
      p.launch.median = read.positive(d, "submit_us") * 1e-6;
      if (d.contains("power")) {
        const std::string from = d.at("power").at("source");
        if (!sources.contains(from))
          return hal::Error{hal::Code::io, "described machine " + made.name + ": " + p.id + ": power of source " +
                                               from + ", which is not listed"};
        p.power = Power{read.positive(d.at("power"), "watts"), false, sources.at(from)};
      }
      const double each = read.positive(d, "copy_us") * 1e-6, per_second = read.positive(d, "copy_gb_s") * 1e9;
      p.to_host = copies(each, per_second);
      p.to_device = copies(each + p.launch.median, per_second);  // what comes is computed on
      p.notes.push_back("described, not measured" + std::string(d.at("checked") ? "" : "; figures from memory"));
      Device& device = (*devices)[door.info.id];
      device.fixed = static_cast<hal::Bytes>(read.positive(d, "fixed_mb", 1e-6) * 1e6);
      device.fixed_shapes = d.value("fixed_shapes", false);
      device.declines = d.value("declines", std::map<std::string, std::string>{});
      if (!read.error().empty()) return hal::Error{hal::Code::io, read.error()};
      made.machine.chips.push_back({door.info.id, door.info.name, door.info.kind, pool, false, {door}});
    }
    // Devices of one memory can read no more of it together than there is.
    for (const Door* a : made.machine.doors())
      for (const Door* b : made.machine.doors())
        if (a != b && made.machine.pool_of(a->info.id) == made.machine.pool_of(b->info.id))
          made.profile.contention.push_back(
              {a->info.id, b->info.id, std::max(1.0, shares[a->info.id] + shares[b->info.id]), 1});
    if (made.machine.chips.empty())
      return hal::Error{hal::Code::io, "described machine " + made.name + ": it has no device"};
    made.profile.machine = key(made.machine);
    made.claim = [devices](const hal::Info& info, const hal::Segment& s) { return claim_of(*devices, info, s); };
    return made;
  });
}

}  // namespace switchyard::probes
