// switchyard VERB: one file per verb; this one lists them and turns failures into messages and exit codes.
#include <cstdio>

#include "backends/all.h"
#include "cli/context.h"

namespace switchyard::cli {
void add_devices(CLI::App&, Global&);
void add_profile(CLI::App&, Global&);
void add_plan(CLI::App&, Global&);
void add_pair(CLI::App&, Global&);
void add_speculate(CLI::App&, Global&);
void add_run(CLI::App&, Global&);
void add_logits(CLI::App&, Global&);
void add_experts(CLI::App&, Global&);
void add_bench(CLI::App&, Global&);
}  // namespace switchyard::cli

int main(int argc, char** argv) {
  using namespace switchyard::cli;
  if (auto code = switchyard::backends::remote::serve_if_host(argc, argv, switchyard::kernels::Library())) return *code;
  CLI::App app{"Finds every accelerator of this PC, measures it, and places models on it.", "switchyard"};
  app.require_subcommand(1);
  Global global;
  for (Verb add :
       {add_devices, add_profile, add_bench, add_plan, add_pair, add_speculate, add_run, add_logits, add_experts})
    add(app, global);
  for (CLI::App* verb : app.get_subcommands({})) {
    verb->add_flag("--json", global.json, "machine-readable output on stdout");
    verb->add_flag("--check", global.validate, "check every call against the device contract");
    verb->add_option("--sim", global.sims, "file that describes a simulated device; may be repeated");
    verb->add_option("--remote", global.remote, "backends that run in a process of their own, such as vulkan,opencl")
        ->delimiter(',')
        ->envname("SWITCHYARD_REMOTE");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? done : usage;
  } catch (const Failure& failure) {
    say("switchyard: " + failure.message);
    return failure.code;
  } catch (const std::exception& error) {
    say(std::string("switchyard: ") + error.what());
    return failed;
  }
  return done;
}
