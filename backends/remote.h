// A backend in a process of its own: a driver that crashes, hangs or is killed there costs its work, not the
// application. See backends/remote/README.md. Linux.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "hal/backend.h"

namespace switchyard::backends::remote {

struct Options {
  // The program that becomes the host process, with its first arguments; `--backend NAME --fd N` is put behind them.
  // Empty: the program that SWITCHYARD_BACKEND_HOST names, with the argument "backend-host" (the tool is one).
  // An application that calls serve_if_host() first thing in main is its own: {"/proc/self/exe", "backend-host"}.
  std::vector<std::string> command;
  std::vector<std::string> arguments;  // further ones
  // To answer discover and open, and a ping while anything is asked of it; then it is ended. Work under way and
  // compiling have no limit: those who wait for them know what is too long, and kill().
  std::chrono::milliseconds patience{30000};
};

// `name` is a backend of the host program. Nothing is started before discover or open; a process that has ended is
// started anew by the next of them, and devices opened before stay lost. A process ends with the last object that
// came from it.
// Every call on a lost device returns device_lost with the backend's name and how its process ended, its timelines fail
// so that nobody waits for ever, and memory that was mapped stays mapped until its Buffer dies.
hal::BackendRef make(std::string name, Options options);

// The process of a device: 0 where it is none of ours (also where a layer is around it).
int process_of(const hal::Device& device);
// Ends the process of a device, and so all devices of its backend: what waits for them gets device_lost. Any thread.
// unsupported where it is none of ours.
hal::Status kill(const hal::Device& device);

// For tests: what a host does to itself at the n-th of something, counted from 1 and for the process.
struct Fault {
  enum class At : std::uint8_t { never, submission, allocation, compile, readback };
  enum class Do : std::uint8_t { crash, hang, exit };
  At at = At::never;
  Do what = Do::crash;
  std::uint64_t nth = 1;
};

// The other side: answers on the socket `fd` with the devices of `backend` until it is closed, then gives them back and
// returns. Call it in a process that does nothing else: one whose driver does not let go within seconds is ended.
void serve(int fd, hal::Backend& backend, const hal::Host& host, const Fault& fault = {});

// First thing in main of a program that is a host: where argv[1] is "backend-host", serves and returns the exit code;
// else nothing. Arguments: --backend NAME --fd N [--sim FILE]... [--fault WHAT:ACTION:N], such as submission:crash:3.
std::optional<int> serve_if_host(int argc, char** argv, const hal::Kernels& kernels);

}  // namespace switchyard::backends::remote
