// Session: a conversation with a model on the devices of its choice, as an application holds it.
//
//   submit() gives it tokens and asks for more; they arrive through a callback, next() or wait().
//   Its log (what was submitted and what was made) is the truth; the state on a device is a cache of it. So a session can
//   be moved while it runs, and a lost device costs time but no token: none is lost and none comes twice.
// Any thread; calls of one session by several threads take effect in some order. Every call after close() is refused
// (invalid_argument). Calls that wait for the worker (all but log, stats, cancel and close) are refused
// (invalid_argument) inside a callback, which would wait for itself.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "scheduler/serve/generation.h"
#include "scheduler/serve/sampling.h"

namespace switchyard::scheduler {

struct SessionOptions {
  // Where it runs: "" as the engine's plan says; "vulkan:0", "npu" (any name that probes::resolve takes): everything
  // there, what the device declines elsewhere; "not gpu", "not vulkan"; "experts=cpu:0, 0-11=cuda:0" as plan pins.
  // Several with commas.
  std::string pin;
  bool strict = false;  // never elsewhere: what declines is an error, and while the device is away the session waits
  int priority = 0;     // higher first
  std::int64_t context = 0;  // most tokens; 0: the engine's
  Sampling sampling;
  TokenMask mask;
};

enum class Finish : std::uint8_t { length, stop, cancelled, context };
const char* to_string(Finish finish);

// Tokens as they come, and the end of a submission: finish, or an error (which next() and wait() return as theirs).
struct Piece {
  std::vector<std::int32_t> tokens;
  std::optional<Finish> finish;
  std::optional<hal::Error> error;
};
// On a thread of the engine's. One that throws ends the submission with an error (invalid_argument, with its text).
using OnPiece = std::function<void(const Piece& piece)>;

struct MoveReport {
  std::string from, to;     // devices, "vulkan:0 + cpu:0"
  std::uint64_t bytes = 0;  // of state carried
  double predicted_seconds = 0,
         seconds = 0;  // the pause; predicted 0: unknown. Opening a model elsewhere is no part of it
};

struct SessionStats {
  std::uint64_t id = 0;
  std::string devices;                  // where it is; empty: nowhere at present
  std::int64_t length = 0, cached = 0;  // of the log; of it, what the device state covers
  std::int64_t prompt_tokens = 0, made_tokens = 0;
  std::int64_t moves = 0, failures = 0, replayed_tokens = 0;  // replayed: read again after a failure
  double waited_seconds = 0;                                  // with work, but not in a step
  std::optional<MoveReport> last_move;
};

struct Conversation;
struct Core;

class Session {
 public:
  ~Session();  // closes
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  std::uint64_t id() const;
  // Appends tokens to the log and asks for more after them; max_tokens 0: they are only read. A stop token or sequence
  // is in the log, but is not given. Without `on_piece` they wait for next() or wait().
  // invalid_argument, and nothing has changed: a token outside the vocabulary, beyond the context, one submission is
  // still under way, nothing to go on from.
  hal::Status submit(std::span<const std::int32_t> tokens, const Generation& generation = {}, OnPiece on_piece = {});
  // The next tokens of the submission, or its end. timed_out: none came. invalid_argument: none is under way, or it has
  // a callback. Whatever ended it else: that error.
  hal::Result<Piece> next(std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max());
  // All of its tokens that next() has not given yet, once it ends; with a callback, none: it only waits.
  hal::Result<Piece> wait();
  // Ends the submission; tokens that were made stay. Without one: nothing.
  hal::Status cancel();

  // Waits for the next token boundary; a running submission goes on elsewhere. On error it stays where it is.
  hal::Result<MoveReport> move(const std::string& pin, bool strict = false);
  // The same log in a session of its own, on the same devices; not the submission under way.
  hal::Result<std::unique_ptr<Session>> fork();
  // Takes the last tokens back. invalid_argument: more than there are, or a submission is under way.
  hal::Status rollback(std::int64_t tokens);
  hal::Status save(const std::filesystem::path& path);
  hal::Status close();

  hal::Result<std::vector<std::int32_t>> log() const;
  hal::Result<SessionStats> stats() const;

 private:
  friend class Engine;
  Session(std::shared_ptr<Core> core, std::shared_ptr<Conversation> conversation);
  std::shared_ptr<Core> core_;
  std::shared_ptr<Conversation> it_;
};

}  // namespace switchyard::scheduler
