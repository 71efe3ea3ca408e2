#include "hal/shared/launch_plan.h"

#include <algorithm>

namespace switchyard::hal {
namespace {

struct Interval {
  std::size_t first, last;  // launches
  Bytes offset, bytes;
};

// First fit: the lowest offset free during [first, last].
Bytes fit(std::vector<Interval>& placed, std::size_t first, std::size_t last, Bytes bytes, Bytes align) {
  std::vector<const Interval*> busy;
  for (const Interval& i : placed)
    if (i.first <= last && first <= i.last) busy.push_back(&i);
  std::sort(busy.begin(), busy.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  Bytes offset = 0;
  for (const Interval* i : busy) {
    if (offset + bytes <= i->offset) break;
    offset = std::max(offset, (i->offset + i->bytes + align - 1) / align * align);
  }
  placed.push_back({first, last, offset, bytes});
  return offset;
}

struct Touch {
  Place::Where where;
  std::uint32_t index;
  Bytes begin, end;
  bool write;
  bool conflicts(const Touch& o) const {
    return (write || o.write) && where == o.where && index == o.index && begin < o.end && o.begin < end;
  }
};

}  // namespace

Status LaunchPlan::Held::write(std::span<std::byte> to) const {
  if (to.size() < bytes)
    return Error{Code::internal, "constant: " + std::to_string(bytes) + " bytes into " + std::to_string(to.size())};
  if (!pack) {
    std::memcpy(to.data(), sources[0].data.data(), bytes);
    return ok();
  }
  std::vector<std::span<const std::byte>> data;
  for (const Constant& c : sources) data.push_back(c.data);
  return pack(data, to);
}

Result<LaunchPlan> LaunchPlan::make(const Segment& segment, Lowered lowered, Bytes align) {
  LaunchPlan plan;
  plan.launches = std::move(lowered.launches);
  const std::size_t n = segment.values.size();
  plan.places.resize(n + lowered.temporaries.size());
  auto tensor = [&](std::uint32_t v) -> const Tensor& {
    return v < n ? segment.values[v] : lowered.temporaries[v - n];
  };

  std::uint32_t next = 0;
  for (const auto* list : {&segment.inputs, &segment.states, &segment.outputs})
    for (std::uint32_t v : *list) {
      plan.places[v] = {Place::Where::slice, next++, 0, max_bytes(segment.values[v])};
      plan.slice_tensors.push_back(segment.values[v]);
    }
  plan.slices = next;
  plan.first_state = static_cast<std::uint32_t>(segment.inputs.size());
  plan.end_state = plan.first_state + static_cast<std::uint32_t>(segment.states.size());

  std::vector<bool> used(n, false);
  for (const Launch& l : plan.launches)
    for (const Arg& a : l.arguments)
      if (a.value < n) used[a.value] = true;
  std::map<std::pair<std::uint64_t, std::string>, std::uint32_t> index;  // into plan.constants
  auto hold = [&](Held held, std::uint32_t value) {
    const auto end = static_cast<std::uint32_t>(plan.constants.size());
    const auto at = held.key ? index.try_emplace({held.key, held.layout}, end).first->second : end;
    plan.places[value] = {Place::Where::constant, at, 0, held.bytes};
    if (at < end) return;
    plan.resident += held.bytes;
    plan.constants.push_back(std::move(held));
  };
  std::vector<bool> packed(n, false);
  for (Packing& p : lowered.packings) {
    Held held{0, p.layout, p.bytes, {}, std::move(p.pack)};
    for (std::uint32_t v : p.constants) {
      const Constant* c = segment.constant(v);
      if (!c) return Error{Code::internal, "packing of value " + std::to_string(v) + ", which is no constant"};
      held.sources.push_back(*c);
      held.key = held.key * 1099511628211ull + c->key;
      packed[v] = true;
    }
    if (std::any_of(held.sources.begin(), held.sources.end(), [](const Constant& c) { return !c.key; })) held.key = 0;
    hold(std::move(held), p.constants.front());
  }
  for (const Constant& c : segment.constants) {
    if (packed[c.value] || !used[c.value]) continue;
    const Bytes bytes = max_bytes(segment.values[c.value]);
    if (!c.data.empty() && c.data.size() != bytes)
      return Error{Code::invalid_argument, "constant " + std::to_string(c.value) + ": " +
                                               std::to_string(c.data.size()) + " bytes, its shape needs " +
                                               std::to_string(bytes)};
    hold(Held{c.key, "", bytes, {c}, nullptr}, c.value);
  }

  // Everything else lives in scratch from its first launch to its last.
  struct Life {
    std::size_t first = SIZE_MAX, last = 0;
  };
  std::vector<Life> lives(plan.places.size());
  for (std::size_t l = 0; l < plan.launches.size(); ++l)
    for (const Arg& a : plan.launches[l].arguments) {
      if (a.value == no_value) continue;
      if (a.value >= plan.places.size())
        return Error{Code::internal, "launch " + plan.launches[l].entry + " names value " + std::to_string(a.value)};
      lives[a.value].first = std::min(lives[a.value].first, l);
      lives[a.value].last = l;
    }
  std::vector<Interval> placed;
  for (std::uint32_t v = 0; v < plan.places.size(); ++v) {
    if (plan.places[v].where != Place::Where::nowhere || lives[v].first == SIZE_MAX) continue;
    Bytes bytes = (max_bytes(tensor(v)) + align - 1) / align * align;
    Bytes offset = fit(placed, lives[v].first, lives[v].last, bytes, align);
    plan.places[v] = {Place::Where::scratch, 0, offset, bytes};
    plan.scratch = std::max(plan.scratch, offset + bytes);
  }

  std::vector<Touch> since;
  for (const Launch& l : plan.launches) {
    std::vector<Touch> mine;
    for (const Arg& a : l.arguments) {
      if (a.value == no_value) continue;
      const Place& p = plan.places[a.value];
      if (p.where == Place::Where::constant) continue;
      Bytes begin = p.offset + a.offset;
      mine.push_back({p.where, p.index, begin, a.bytes ? begin + a.bytes : p.offset + p.bytes, a.write});
    }
    bool barrier = std::any_of(mine.begin(), mine.end(), [&](const Touch& t) {
      return std::any_of(since.begin(), since.end(), [&](const Touch& s) { return t.conflicts(s); });
    });
    plan.barrier_before.push_back(barrier);
    if (barrier) since.clear();
    since.insert(since.end(), mine.begin(), mine.end());
  }
  return plan;
}

Slice LaunchPlan::resolve(const Arg& arg, const Run& run, std::span<const BufferRef> constant_buffers) const {
  if (arg.value == no_value) return {};
  const Place& p = places[arg.value];
  Slice base;
  switch (p.where) {
    case Place::Where::nowhere: return {};
    case Place::Where::slice: base = run.slices[p.index]; break;
    case Place::Where::constant: base = {constant_buffers[p.index], 0, p.bytes}; break;
    case Place::Where::scratch: base = {run.scratch.buffer, run.scratch.offset + p.offset, p.bytes}; break;
  }
  Bytes size = base.size();
  return {base.buffer, base.offset + arg.offset, arg.bytes ? arg.bytes : size - arg.offset};
}

Status LaunchPlan::check(const Run& run, Dims dims) const {
  if (run.slices.size() != slices)
    return Error{Code::invalid_argument,
                 "run: " + std::to_string(run.slices.size()) + " slices, the program needs " + std::to_string(slices)};
  for (std::size_t i = 0; i < slices; ++i) {
    Bytes need = tensor_bytes(slice_tensors[i], dims);
    const Slice& s = run.slices[i];
    if (!s.buffer || s.offset > s.buffer->bytes() || s.size() > s.buffer->bytes() - s.offset || s.size() < need)
      return Error{Code::invalid_argument, "run: slice " + std::to_string(i) + " has " +
                                               std::to_string(s.buffer ? s.size() : 0) + " bytes, needs " +
                                               std::to_string(need)};
  }
  if (scratch && (!run.scratch.buffer || run.scratch.size() < scratch))
    return Error{Code::invalid_argument, "run: scratch has " +
                                             std::to_string(run.scratch.buffer ? run.scratch.size() : 0) +
                                             " bytes, needs " + std::to_string(scratch)};
  return ok();
}

std::array<std::int64_t, max_symbols> padded(const std::vector<std::int64_t>& dims) {
  std::array<std::int64_t, max_symbols> all{};
  std::copy_n(dims.begin(), std::min(dims.size(), max_symbols), all.begin());
  return all;
}

std::vector<std::byte> parameter_block(const Launch& launch, Dims dims) {
  std::vector<std::byte> block(max_symbols * 4 + launch.args.size());
  for (std::size_t i = 0; i < max_symbols; ++i) {
    auto d = static_cast<std::int32_t>(i < dims.size() ? dims[i] : 0);
    std::memcpy(block.data() + 4 * i, &d, 4);
  }
  if (!launch.args.empty()) std::memcpy(block.data() + max_symbols * 4, launch.args.data(), launch.args.size());
  return block;
}

bool runs(const Launch& launch, Dims dims) {
  for (const Launch::Guard& g : launch.when) {
    std::int64_t d = static_cast<std::size_t>(g.symbol) < dims.size() ? dims[static_cast<std::size_t>(g.symbol)] : 0;
    if (d < g.min || d > g.max) return false;
  }
  auto grid = launch.grid(launch, dims);
  return grid[0] && grid[1] && grid[2];
}

}  // namespace switchyard::hal
