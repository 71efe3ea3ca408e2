// switchyard logits MODEL --tokens 1,2,3 --out FILE.safetensors: logits of every position, f32 [tokens, vocab].
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/generate.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  ModelArguments model;
  PlacementArguments placement;
  std::string tokens, out;
};

void write_safetensors(const std::string& path, const std::vector<float>& data, std::size_t rows, std::size_t columns) {
  nlohmann::json header{
      {"logits", {{"dtype", "F32"}, {"shape", {rows, columns}}, {"data_offsets", {0, data.size() * 4}}}}};
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), 8);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size() * 4));
  file.flush();
  if (!file) fail(failed, "cannot write " + path);
}

void run(const Arguments& a, const Global& global) {
  std::vector<std::int32_t> tokens = token_list(a.tokens);
  Fleet fleet(global);
  Placed placed = place(a.placement, fleet, a.model.load(), static_cast<std::int64_t>(tokens.size()));
  auto& executor = placed.executor;
  auto session = check(executor->create_sequence());
  std::vector<float> logits = check(executor->feed(*session, tokens, scheduler::WantLogits::all));
  fleet.finish();
  write_safetensors(a.out, logits, tokens.size(), static_cast<std::size_t>(executor->model().config.vocab));
  say("logits of " + std::to_string(tokens.size()) + " tokens in " + std::to_string(executor->steps()) +
      " steps written to " + a.out);
}

}  // namespace

void add_logits(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("logits", "write the logits of every position of a prompt");
  a->model.add_to(*verb);
  a->placement.add_to(*verb);
  verb->add_option("--tokens", a->tokens, "the prompt: token ids with commas")->required();
  verb->add_option("--out", a->out, "safetensors file to write: tensor `logits`, f32 [tokens, vocab]")->required();
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
