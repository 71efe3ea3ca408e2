// The journal's promise: a process that is killed at any instruction has every token on the disk that append() took.
#include <sys/mman.h>

#include <atomic>
#include <cmath>

#include "tests/serve/journal_samples.h"

namespace switchyard {
namespace {

using namespace test;

constexpr std::size_t slots = 4;

// One session after the other per slot: the generation, the length that was acknowledged, and whether it is being
// closed; 0: the first was not acknowledged yet. In one word, as the process may die between two.
struct Acknowledged {
  std::array<std::atomic<std::uint64_t>, slots> words;
  std::atomic<int> steps;  // of all processes
  static std::uint64_t pack(std::uint64_t generation, std::uint64_t length, bool closing) {
    return generation << 40 | length << 1 | std::uint64_t{closing};
  }
  struct Slot {
    std::uint64_t generation, length;
    bool may_be_closed;
  };
  Slot at(std::size_t slot) const {
    const std::uint64_t word = words[slot];
    return {word >> 40, (word & ((UINT64_C(1) << 40) - 1)) >> 1, word == 0 || word % 2 == 1};
  }
};

std::uint64_t id_of(std::size_t slot, std::uint64_t generation) { return generation * slots + slot; }
std::string parameters_of(std::uint64_t id) { return "{\"id\":" + std::to_string(id) + "}"; }
std::int32_t token_of(std::uint64_t id, std::uint64_t i) {
  return static_cast<std::int32_t>((id * 0x9e3779b97f4a7c15ull + i) * 0xbf58476d1ce4e5b9ull >> 40);
}
Tokens tokens_of(std::uint64_t id, std::uint64_t from, std::uint64_t n) {
  Tokens tokens(n);
  for (std::uint64_t i = 0; i < n; ++i) tokens[i] = token_of(id, from + i);
  return tokens;
}

// What the application does until it is killed. What was found at its start goes on.
void use(const std::filesystem::path& path, std::uint64_t seed, Acknowledged& acknowledged) {
  std::mt19937_64 random(seed);
  JournalOptions options;
  options.compact_bytes = random() % 2 == 0 ? 4096 : 1 << 19;
  const OpenedJournal opened = get(Journal::open(path, options));
  Journal& journal = *opened.journal;
  std::array<std::uint64_t, slots> generation{}, length{};
  auto begin = [&](std::size_t slot, std::uint64_t g) {
    good(journal.open_session(id_of(slot, g), parameters_of(id_of(slot, g))));
    generation[slot] = g, length[slot] = 0;
    acknowledged.words[slot] = Acknowledged::pack(g, 0, false);
  };
  for (const JournalSession& s : opened.content.sessions) {
    const std::size_t slot = s.id % slots;
    generation[slot] = s.id / slots, length[slot] = s.tokens.size();
    acknowledged.words[slot] = Acknowledged::pack(generation[slot], length[slot], false);
  }
  for (std::size_t slot = 0; slot < slots; ++slot)
    if (generation[slot] == 0) begin(slot, acknowledged.at(slot).generation + 1);
  for (;;) {
    const auto dice = random() % 1000;
    if (dice < 20) {
      const std::size_t slot = random() % slots;
      acknowledged.words[slot] = Acknowledged::pack(generation[slot], length[slot], true);
      good(journal.close_session(id_of(slot, generation[slot])));
      begin(slot, generation[slot] + 1);
    } else if (dice < 21) {
      good(journal.compact());
    } else {
      std::vector<Tokens> tokens;
      std::vector<JournalAppend> step;
      const std::size_t first = random() % slots, n = 1 + random() % slots;
      tokens.reserve(n);
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t slot = (first + i) % slots;
        const auto id = id_of(slot, generation[slot]);
        tokens.push_back(tokens_of(id, length[slot], dice < 31 ? random() % 20000 : random() % 6));
        step.push_back({id, length[slot], tokens.back()});
      }
      good(journal.append(step));
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t slot = (first + i) % slots;
        length[slot] += tokens[i].size();
        acknowledged.words[slot] = Acknowledged::pack(generation[slot], length[slot], false);
      }
      ++acknowledged.steps;
    }
  }
}

void expect_kept(const JournalContent& content, const Acknowledged& acknowledged) {
  std::array<bool, slots> found{};
  for (const JournalSession& s : content.sessions) {
    const std::size_t slot = s.id % slots;
    const auto expected = acknowledged.at(slot);
    EXPECT_FALSE(found[slot]) << "two sessions of slot " << slot;
    found[slot] = true;
    if (s.id == id_of(slot, expected.generation))
      EXPECT_GE(s.tokens.size(), expected.length) << "tokens of session " << s.id << " were lost";
    else
      EXPECT_TRUE(expected.may_be_closed && s.id == id_of(slot, expected.generation + 1)) << "session " << s.id;
    EXPECT_EQ(s.parameters, parameters_of(s.id));
    EXPECT_TRUE(s.tokens == tokens_of(s.id, 0, s.tokens.size())) << "session " << s.id << " has other tokens";
  }
  for (std::size_t slot = 0; slot < slots; ++slot)
    EXPECT_TRUE(found[slot] || acknowledged.at(slot).may_be_closed) << "the session of slot " << slot << " was lost";
}

struct JournalKills : test::JournalFile {
  JournalKills() : JournalFile(quick()) {}
};

TEST_F(JournalKills, LoseNoTokenThatWasAcknowledged) {
  void* shared = mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& acknowledged = *new (shared) Acknowledged{};
  constexpr unsigned seed = 31;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> exponent(std::log(200.0), std::log(20'000.0));
  constexpr int kills = test::sanitized ? 80 : 400;
  int torn = 0, compactions_cut_short = 0;
  for (int kill = 0; kill < kills; ++kill) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", kill " + std::to_string(kill));
    const auto time = std::chrono::microseconds(static_cast<std::int64_t>(std::exp(exponent(random))));
    const std::uint64_t work = random();
    const int before = acknowledged.steps;
    // At times that begin with the process, and with its first step.
    killed_after(
        time, [&] { use(path(), work, acknowledged); }, [&] { return kill % 2 == 0 || acknowledged.steps > before; });
    if (!std::filesystem::exists(path())) continue;  // killed before it began
    const JournalContent content = reading(this->content(path()));
    expect_kept(content, acknowledged);
    if (HasFailure()) return;
    torn += content.lost_bytes > 0;
    compactions_cut_short += names() != "j.journal ";
  }
  std::printf("seed %u: %d kills, %d steps, %d torn records, %d compactions cut short\n", seed, kills,
              acknowledged.steps.load(), torn, compactions_cut_short);
  EXPECT_GE(acknowledged.steps, kills / 2);  // else little was done between the kills
  opened();
  EXPECT_EQ(names(), "j.journal ");
  munmap(shared, sizeof(Acknowledged));
}

// Any thread, while others compact and bring it to the disk.
TEST_F(JournalKills, ThreadsDoNotDisturbEachOther) {
  JournalOptions options;
  options.durability = scheduler::Durability::interval;
  options.interval = std::chrono::milliseconds(1);
  options.compact_bytes = 20'000;
  {
    const auto journal = opened(options).journal;
    std::vector<std::jthread> threads;
    for (std::uint64_t id = 1; id <= 4; ++id)
      threads.emplace_back([&, id] {
        good(journal->open_session(id, parameters_of(id)));
        for (std::uint64_t i = 0; i < 500; ++i) good(append(*journal, id, i, tokens_of(id, i, 1)));
      });
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) good(i % 2 ? journal->flush() : journal->compact());
    });
  }
  const auto found = sessions();
  ASSERT_EQ(found.size(), 4u);
  for (const JournalSession& s : found) EXPECT_EQ(s.tokens, tokens_of(s.id, 0, 500));
}

}  // namespace
}  // namespace switchyard
