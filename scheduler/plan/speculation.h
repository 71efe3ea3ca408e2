// Speculation over two devices: a draft model proposes k tokens, the target verifies them in one step of k + 1 rows and
// adds a token of its own. A drafted token is accepted with probability a, each by itself, up to the first refusal, so
// a round makes (1 - a^(k+1)) / (1 - a) tokens (Leviathan et al. 2023, equation 1). A round takes
//
//   sequential   k t_d + t_T(k+1) + the way back
//   overlapped   while the target verifies, the draft goes on with k + 1 tokens: its guess of the target's own token,
//                and the next k. Right with probability a^(k+1): max(t_T(k+1), (k+1) t_d). Else what it drafted is
//                wasted, and after the verification it drafts k anew, k t_d, beside the way back.
//   k = 0        t_T(1): no speculation
//
// The way back is for rounds that fall short, after j < k accepted tokens: the target's state must be that of the j + 1
// rows that were right. The contention factor stretches what runs side by side. First steps of a draft that also feed
// it tokens it has not seen are counted as steps of one row.
#pragma once
#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {

double expected_tokens(double acceptance, std::int64_t drafted);  // of a round; acceptance in [0, 1]

// What a round is made of, in seconds.
struct RoundCosts {
  std::function<double(std::int64_t rows)> target;  // t_T
  double draft = 0;                                 // t_d
  double save = 0, restore = 0;  // of the target's state: before every round; in one that falls short
  bool replay = false;           // the rows that were right are fed again: t_T(j+1) more
  double contention = 1;
};
double sequential_seconds(const RoundCosts& costs, double acceptance, std::int64_t drafted);  // of a round
double overlapped_seconds(const RoundCosts& costs, double acceptance, std::int64_t drafted);

// Measured acceptance: a line for every drafted token of every round, "POSITION,ACCEPTED": 1,2,3... in its round, and 1
// or 0. Tokens behind a refused one of their round say nothing and are not counted. Empty lines and those that begin
// with # are skipped. io, with the line: anything else, a position that does not follow, a token accepted behind a
// refusal; no tokens at all.
struct Acceptance {
  std::int64_t tried = 0, accepted = 0;
  std::vector<double> at;  // by position: of those tried there
  double rate() const { return static_cast<double>(accepted) / static_cast<double>(tried); }
};
hal::Result<Acceptance> acceptance_from(std::string_view text);

// How the target's recurrent state comes back. A KV cache is cut, which is free; a target without recurrent state needs
// none of these.
//   slots   kept in a slot of its own before the round, and the rows that were right are fed again: checkpoint and
//           rollback of Executor
//   rows    kept after every row: nothing to do
//   host    as slots, but the state is copied to the host before every round, and back
enum class Rollback : std::uint8_t { slots, rows, host };
const char* to_string(Rollback rollback);
hal::Result<Rollback> rollback_from(std::string_view name);  // invalid_argument lists them

struct SpeculationRequest {
  PlanRequest target, draft;  // mode, device, limits and advise are not used; of models with one vocabulary
  double acceptance = 0;
  Rollback rollback = Rollback::slots;
  double more_per_round = 0;  // seconds of any other kind
  double contention = 1;
  std::int64_t most = 16;  // tokens drafted
};

// Below this speculation is not worth its memory, and stays off.
inline constexpr double speculation_pays = 1.05;

struct DraftChoice {
  std::int64_t drafted = 0;  // k
  bool overlapped = false;
  double tokens = 1, seconds = 0, speedup = 1;  // of a round; against the target alone at its best placement
};

// One way of placing both models.
struct SpeculationPlacement {
  bool target_first = true;                // it chose its place before the draft; else the draft did
  std::vector<std::string> target, draft;  // devices, each once
  std::string impossible;                  // why; then the rest says nothing
  bool apart = false;                      // no chip has parts of both: they can overlap
  double draft_seconds = 0, save_seconds = 0, restore_seconds = 0;
  std::vector<double> target_seconds;  // [rows - 1]
  DraftChoice best;
};

struct SpeculationPlan {
  std::string target, draft, machine;
  double acceptance = 0, contention = 1;
  Rollback rollback = Rollback::slots;
  bool recurrent = false;    // the target has state that must be brought back
  double alone_seconds = 0;  // of a token without speculation
  std::vector<SpeculationPlacement> placements;
  std::size_t chosen = 0;               // the fastest of them; placements.size(): none is possible
  bool on = false;                      // it is faster than speculation_pays
  std::vector<DraftChoice> by_drafted;  // of the chosen one: for every k and sort
};

// Places both models: the target first and the draft in the memory it leaves, on each device by itself and spread as a
// plan would; and the draft first on each device, and the target in the rest. The fastest of these is chosen, with k.
// invalid_argument: acceptance outside [0, 1], contention below 1, seconds below 0, most outside 0..64, experts on
// two devices. Errors of make_plan for the target alone; out_of_memory where that does not fit.
hal::Result<SpeculationPlan> make_speculation_plan(const probes::Machine& machine, const probes::Profile& profile,
                                                   const SpeculationRequest& request, const ClaimFunction& claim = {});

std::string to_json(const SpeculationPlan& plan);  // "switchyard.speculation/1"
std::string explain(const SpeculationPlan& plan);

}  // namespace switchyard::scheduler
