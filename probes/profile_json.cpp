#include "probes/json.h"
#include "probes/profile.h"

namespace switchyard::probes {
namespace {

constexpr std::string_view schema = "switchyard.profile/2";

// A time, rate or factor that plans may rest on.
double sane(const Json& j, const char* key, double least = 0) {
  constexpr double most = 1e18;
  const double v = j.at(key);
  if (!(v >= least && v <= most))
    throw std::runtime_error(std::string(key) + " is " + Json(v).dump() + ", expected a number from " +
                             Json(least).dump() + " to 1e18");
  return v;
}

Json write(const Stat& s) {
  return {{"median", s.median}, {"min", s.min},         {"max", s.max},
          {"spread", s.spread}, {"samples", s.samples}, {"runs", s.runs},
          {"warmup", s.warmup}, {"noisy", s.noisy()},   {"how", "measured"}};
}
Stat read_stat(const Json& j) {
  return {sane(j, "median"), sane(j, "min"), sane(j, "max"), sane(j, "spread"),
          j.at("samples"),   j.at("runs"),   j.at("warmup")};
}

Json write(const CopyCurve& c) {
  Json points = Json::array();
  for (const CopyPoint& p : c.points) points.push_back({{"bytes", p.bytes}, {"seconds", write(p.seconds)}});
  return points;
}
CopyCurve read_curve(const Json& j) {
  CopyCurve c;
  for (const Json& p : j) c.points.push_back({p.at("bytes"), read_stat(p.at("seconds"))});
  return c;
}

Json write(const Rate& r) { return {{"per_second", r.per_second}, {"seconds", write(r.seconds)}, {"with", r.with}}; }
Rate read_rate(const Json& j) { return {sane(j, "per_second"), read_stat(j.at("seconds")), j.at("with")}; }

using kernels::Products;

Json write(const ByProducts& rates) {
  Json j = Json::object();
  for (Products p : kernels::all_products)
    if (const Rate& r = rates[p]; r.per_second > 0) j[kernels::to_string(p)] = write(r);
  return j;
}
ByProducts read_by_products(const Json& j) {
  ByProducts rates;
  for (Products p : kernels::all_products)
    if (j.contains(kernels::to_string(p))) rates[p] = read_rate(j[kernels::to_string(p)]);
  return rates;
}
Products read_products(const std::string& name) {
  for (Products p : kernels::all_products)
    if (name == kernels::to_string(p)) return p;
  throw std::runtime_error("products are " + name + ", expected f32, int8 or bf16");
}

Json write(const Step& s) {
  return {{"rows", s.rows}, {"sequences", s.sequences}, {"past", s.past}, {"logits", s.logits}};
}
Step read_step(const Json& j) { return {j.at("rows"), j.at("sequences"), j.at("past"), j.at("logits")}; }

Json write(const Power& p) { return {{"watts", p.watts}, {"source", source_of(p)}, {"from", p.from}}; }
std::optional<Power> read_power(const Json& j, const char* key) {
  if (!j.contains(key)) return std::nullopt;
  const Json& p = j[key];
  const std::string source = p.at("source");
  if (source != "declared" && source != "measured")
    throw std::runtime_error(std::string(key) + ": source is " + source + ", expected declared or measured");
  return Power{sane(p, "watts"), source == "measured", p.at("from")};
}

Json write(const DeviceProfile& d) {
  Json j{{"id", d.id},
         {"driver", d.driver},
         {"build", d.build},
         {"date", d.date},
         {"read", write(d.read)},
         {"stream", write(d.stream)},
         {"compute", write(d.compute)},
         {"peak", write(d.peak)},
         {"launch", write(d.launch)},
         {"to_device", write(d.to_device)},
         {"to_host", write(d.to_host)},
         {"ops", Json::array()},
         {"units", Json::array()},
         {"notes", d.notes}};
  if (d.power) j["power"] = write(*d.power);
  for (const OpEntry& o : d.ops)
    j["ops"].push_back({{"op", o.op},
                        {"name", o.name},
                        {"weights", o.weights},
                        {"variant", o.variant},
                        {"products", kernels::to_string(o.products)},
                        {"rows", o.rows},
                        {"flops", o.flops},
                        {"bytes", o.bytes},
                        {"seconds", write(o.seconds)}});
  for (const UnitEntry& u : d.units)
    j["units"].push_back({{"key", u.key},
                          {"name", u.name},
                          {"step", write(u.step)},
                          {"resident", u.resident},
                          {"scratch", u.scratch},
                          {"seconds", write(u.seconds)}});
  return j;
}

DeviceProfile read_device(const Json& j) {
  DeviceProfile d;
  d.id = j.at("id");
  d.driver = j.at("driver");
  d.build = j.at("build");
  d.date = j.at("date");
  d.read = read_rate(j.at("read"));
  d.stream = read_rate(j.at("stream"));
  d.compute = read_by_products(j.at("compute"));
  d.peak = read_by_products(j.at("peak"));
  d.launch = read_stat(j.at("launch"));
  d.power = read_power(j, "power");
  d.to_device = read_curve(j.at("to_device"));
  d.to_host = read_curve(j.at("to_host"));
  d.notes = j.at("notes").get<std::vector<std::string>>();
  for (const Json& o : j.at("ops"))
    d.ops.push_back({o.at("op"), o.at("name"), o.at("weights"), o.at("variant"), read_products(o.at("products")),
                     o.at("rows"), o.at("flops"), o.at("bytes"), read_stat(o.at("seconds"))});
  for (const Json& u : j.at("units"))
    d.units.push_back({u.at("key"), u.at("name"), read_step(u.at("step")), u.at("resident"), u.at("scratch"),
                       read_stat(u.at("seconds"))});
  return d;
}

}  // namespace

std::string to_json(const Profile& profile) {
  Json j{{"schema", schema},
         {"machine", profile.machine},
         {"devices", Json::array()},
         {"links", Json::array()},
         {"contention", Json::array()}};
  for (const DeviceProfile& d : profile.devices) j["devices"].push_back(write(d));
  for (const Link& l : profile.links)
    j["links"].push_back({{"from", l.from}, {"to", l.to}, {"path", l.path}, {"copies", write(l.copies)}});
  if (profile.rest) j["rest"] = write(*profile.rest);
  for (const Contention& c : profile.contention)
    j["contention"].push_back(
        {{"device", c.device}, {"beside", c.beside}, {"reads", c.reads}, {"arithmetic", c.arithmetic}});
  return text_of(j, 1) + "\n";
}

hal::Result<Profile> profile_from_json(std::string_view text) {
  return parse<Profile>(text, schema, "profile", [](const Json& j) -> hal::Result<Profile> {
    Profile p;
    p.machine = j.at("machine");
    for (const Json& d : j.at("devices")) p.devices.push_back(read_device(d));
    for (const Json& l : j.at("links"))
      p.links.push_back({l.at("from"), l.at("to"), l.at("path"), read_curve(l.at("copies"))});
    for (const Json& c : j.value("contention", Json::array()))
      p.contention.push_back({c.at("device"), c.at("beside"), sane(c, "reads", 1), sane(c, "arithmetic", 1)});
    p.rest = read_power(j, "rest");
    return p;
  });
}

}  // namespace switchyard::probes
