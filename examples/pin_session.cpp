// Two sessions of one model: one pinned to a device, the other moved while its tokens come.
//   pin_session MODEL [FROM] [TO]      devices as `switchyard devices` lists them; TO: the last one
#include <cstdio>

#include "backends/all.h"
#include "kernels/library.h"
#include "probes/discover/discover.h"
#include "scheduler/serve/engine.h"

using namespace switchyard;

template <class T>
T need(hal::Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "%s\n", hal::describe(result.error()).c_str());
  std::exit(1);
}

int main(int argc, char** argv) {
  static const kernels::Library kernels;
  std::vector<hal::BackendRef> backends = backends::all({});
  probes::Devices devices(need(probes::discover(backends)), backends, {&kernels, nullptr});
  const std::string from = argc > 2 ? argv[2] : "cpu:0",
                    to = argc > 3 ? argv[3] : devices.machine().doors().back()->info.id;

  auto engine = need(scheduler::Engine::open(need(models::load(argc > 1 ? argv[1] : "granite-4.0-h-350m")), devices,
                                             std::nullopt, {}));  // no profile: every session is pinned
  scheduler::SessionOptions options;
  options.pin = from;
  auto pinned = need(engine->create(options)), moving = need(engine->create(options));

  const std::vector<std::int32_t> prompt{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<std::int32_t> streamed;
  need(pinned->submit(prompt, {32, {}}));
  need(moving->submit(prompt, {32, {}}, [&](const scheduler::Piece& piece) {
    for (auto token : piece.tokens) std::printf(" %d", token), streamed.push_back(token);
    std::fflush(stdout);
  }));
  const scheduler::MoveReport move = need(moving->move(to));
  std::printf(" [moved from %s to %s: %.1f MB in %.1f ms]", move.from.c_str(), move.to.c_str(),
              static_cast<double>(move.bytes) / 1e6, move.seconds * 1e3);
  need(moving->wait());
  const bool same = need(pinned->wait()).tokens == streamed;
  std::printf("\n%s\n",
              same ? "the same tokens as the session that stayed" : "OTHER tokens than the session that stayed");
  return same ? 0 : 1;
}
