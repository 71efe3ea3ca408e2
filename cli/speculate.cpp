// switchyard speculate TARGET --draft MODEL: where a draft model goes, how many tokens it drafts, and whether it pays.
#include <cstdio>

#include "cli/generate.h"
#include "scheduler/plan/speculation.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  PrecisionArguments precision;
  ModelArguments target;
  TargetArguments machine;
  std::string draft, draft_weights, records, context = "4096", rollback = "slots", out;
  double acceptance = -1, contention = 1, more_ms = 0;
  std::int64_t most = 16;
};

void run(const Arguments& a, const Global& global) {
  scheduler::StageOptions options;
  options.context = count(a.context);
  a.precision.apply(options);
  scheduler::SpeculationRequest request;
  request.rollback = check(scheduler::rollback_from(a.rollback));
  request.contention = a.contention;
  request.more_per_round = a.more_ms * 1e-3;
  request.most = a.most;
  request.acceptance = a.acceptance;
  if (!a.records.empty()) {
    const auto measured = check(scheduler::acceptance_from(read_text(a.records)));
    request.acceptance = measured.rate();
    char text[96];
    std::snprintf(text, sizeof text, "acceptance %.3f: %lld of %lld tokens; by position:", measured.rate(),
                  static_cast<long long>(measured.accepted), static_cast<long long>(measured.tried));
    std::string words = text;
    for (double rate : measured.at) {
      std::snprintf(text, sizeof text, " %.2f", rate);
      words += text;
    }
    say(words);
  }
  ModelArguments drafts = a.target;
  drafts.model = a.draft;
  if (!a.draft_weights.empty()) drafts.weights = a.draft_weights;
  const models::Model target = a.target.load(true), draft = drafts.load(true);
  if (target.config.vocab != draft.config.vocab)
    fail(usage, draft.name + " has a vocabulary of " + std::to_string(draft.config.vocab) + ", " + target.name +
                    " one of " + std::to_string(target.config.vocab) + ": a draft needs the same");
  const Target there = target_for(a.machine, global, {&target, &draft}, options);
  request.target = scheduler::request_for(target, options);
  request.draft = scheduler::request_for(draft, options);
  const auto plan = check(scheduler::make_speculation_plan(there.machine, there.profile, request, there.claim));
  const std::string text = to_json(plan);
  if (!a.out.empty()) write_text(a.out, text);
  std::printf("%s", global.json ? text.c_str() : explain(plan).c_str());
}

}  // namespace

void add_speculate(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "speculate", "place a draft model beside a target, choose how many tokens to draft, and say whether it pays");
  a->target.add_to(*verb);
  verb->add_option("--draft", a->draft, "the draft model: a file, a folder or a built-in shape")->required();
  verb->add_option("--draft-weights", a->draft_weights, "weight type of a built-in draft; default: as --weights");
  CLI::Option* acceptance = verb->add_option("--acceptance", a->acceptance,
                                             "probability that a drafted token is accepted, 0 to 1; it is of these "
                                             "models and your texts, so there is no default");
  CLI::Option* records = verb->add_option(
      "--records", a->records, "or a file of drafted tokens, a line POSITION,ACCEPTED for each, such as 1,1 and 2,0");
  acceptance->excludes(records);
  verb->add_option("--rollback", a->rollback,
                   "how the target's recurrent state comes back: slots (kept beside, right rows fed again), rows (kept "
                   "after every row), host (copied there and back)")
      ->capture_default_str();
  verb->add_option("--contention", a->contention, "what runs side by side takes so many times as long")
      ->capture_default_str();
  verb->add_option("--more-ms", a->more_ms, "milliseconds more in every round")->capture_default_str();
  verb->add_option("--most", a->most, "tokens drafted at most")->capture_default_str();
  a->machine.add_to(*verb);
  verb->add_option("--ctx", a->context, "tokens to keep memory for, of both; steps are costed there")
      ->capture_default_str();
  a->precision.add_to(*verb);
  verb->add_option("-o,--out", a->out, "also write the result as JSON to this file");
  verb->callback([a, acceptance, records, &global] {
    if (acceptance->count() + records->count() == 0) fail(usage, "expected --acceptance or --records");
    run(*a, global);
  });
}

}  // namespace switchyard::cli
