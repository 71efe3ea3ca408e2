// switchyard bench [MODEL]: a whole model's speed, or without a model the table of ops.
#include "cli/bench.h"

namespace switchyard::cli {

void add_bench(CLI::App& app, Global& global) {
  auto a = std::make_shared<BenchArguments>();
  CLI::App* verb = app.add_subcommand(
      "bench", "measure a whole model, or the ops, and say how far from the device's limit they are");
  verb->add_option("model", a->model, "GGUF file, safetensors folder or built-in shape; without it: the table of ops");
  verb->add_option("--weights", a->weights, "weight type of a built-in shape")->capture_default_str();
  verb->add_option("--seed", a->seed, "seed of a built-in shape's weights")->capture_default_str();
  a->placement.add_to(*verb);
  verb->add_option("-p,--prompt", a->prompt, "tokens of the prefill test; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("-n,--generate", a->generate, "tokens of the decode test; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--parallel", a->parallel, "also decode this many sessions at once")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("-r,--repeats", a->repeats)->check(CLI::PositiveNumber)->capture_default_str();
  verb->add_option("-t,--threads", a->threads, "CPU threads; default: all this process may use")
      ->check(CLI::PositiveNumber);
  CLI::Option* op = verb->add_option("--op", a->op, "only this op of the table");
  verb->add_option("--case", a->cases, "only these of the op's cases, by their names in the table")
      ->delimiter(',')
      ->needs(op);
  verb->add_flag("--quick", a->quick, "fewer runs and cases");
  verb->callback([a, &global] {
    if (!a->threads.empty()) setenv("SWITCHYARD_CPU_THREADS", a->threads.c_str(), 1);
    a->model.empty() ? bench_ops(*a, global) : bench_model(*a, global);
  });
}

}  // namespace switchyard::cli
