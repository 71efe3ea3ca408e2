#include "scheduler/serve/ledger.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/serve/small_machine.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::gb;
using test::small_machine;

LedgerRow row(const Ledger& ledger, const std::string& name) {
  for (const LedgerRow& r : ledger.snapshot())
    if (r.name == name) return r;
  ADD_FAILURE() << "no row " << name;
  return {};
}

TEST(Ledger, RowsAreThoseOfThePlan) {
  const auto rows = Ledger::make(small_machine())->snapshot();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "host");
  EXPECT_EQ(rows[0].limit, 16 * gb);
  EXPECT_EQ(rows[1].name, "card:0");
  EXPECT_EQ(rows[1].within, "");
  EXPECT_EQ(rows[2].name, "inner:0");
  EXPECT_EQ(rows[2].within, "host");
  EXPECT_EQ(rows[2].limit, 6 * gb);
}

TEST(Ledger, ReservationsCountUntilTheyDie) {
  const auto ledger = Ledger::make(small_machine());
  {
    auto a = ledger->reserve("inner:0", 2 * gb, {"chat", Use::weights});
    ASSERT_TRUE(a) << hal::describe(a.error());
    auto b = ledger->reserve("cpu:0", 3 * gb, {"chat", Use::kv});
    ASSERT_TRUE(b);
    EXPECT_EQ(row(*ledger, "host").reserved, 5 * gb);
    EXPECT_EQ(row(*ledger, "inner:0").reserved, 2 * gb);
    ASSERT_TRUE(a->grow(gb));
    EXPECT_EQ(a->bytes(), 3 * gb);
    b->shrink(100 * gb);  // no more than it has
    EXPECT_EQ(b->bytes(), 0u);
    EXPECT_EQ(row(*ledger, "host").reserved, 3 * gb);

    Reservation moved = std::move(*a);
    EXPECT_EQ(moved.bytes(), 3 * gb);
    EXPECT_EQ(a->bytes(), 0u);  // NOLINT(bugprone-use-after-move): it holds nothing now
    EXPECT_FALSE(a->grow(1));
    auto c = ledger->reserve("cpu:0", gb, {"draft", Use::state});
    ASSERT_TRUE(c);
    moved = std::move(*c);  // what it held goes back
    EXPECT_EQ(row(*ledger, "host").reserved, gb);
    const auto held = row(*ledger, "host").held;
    ASSERT_EQ(held.size(), 1u);
    EXPECT_EQ(held[0].holder.owner, "draft");
    EXPECT_EQ(held[0].holder.use, Use::state);
    EXPECT_EQ(held[0].bytes, gb);
  }
  for (const LedgerRow& r : ledger->snapshot()) {
    EXPECT_EQ(r.reserved, 0u) << r.name;
    EXPECT_TRUE(r.held.empty()) << r.name;
  }
}

TEST(Ledger, AReservationKeepsItsLedger) {
  auto ledger = Ledger::make(small_machine());
  auto held = ledger->reserve("cpu:0", gb, {"a", Use::kv});
  ledger.reset();
  EXPECT_TRUE(held->grow(gb));
}

TEST(Ledger, RefusalsSayWhatWasAskedWhatIsThereAndWhoHoldsIt) {
  const auto ledger = Ledger::make(small_machine());
  const auto weights = ledger->reserve("card:0", 5 * gb, {"chat", Use::weights});
  const auto kv = ledger->reserve("card:0", gb, {"chat", Use::kv});
  const auto other = ledger->reserve("card:0", gb / 2, {"draft", Use::weights});
  const std::vector<Candidate> candidates{{"context", "a context of 2048 instead of 4096", gb},
                                          {"context", "a context of 3072 instead of 4096", gb / 2},
                                          {"context", "a context of 3584 instead of 4096", gb / 4},
                                          {"sessions", "1 session less", gb / 4},
                                          {"sessions", "2 sessions less", gb / 2}};
  const auto refused = ledger->reserve("card:0", 192 * gb / 100, {"coder", Use::kv}, candidates);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, hal::Code::out_of_memory);
  EXPECT_EQ(refused.error().message,
            "0.42 GB short in card:0; a context of 3072 instead of 4096, or 2 sessions less would fit (coder asked for "
            "1.92 GB of kv on card:0; 1.50 GB left of 8.00 GB; held by chat 6.00 GB (weights 5.00 GB, kv 1.00 GB), "
            "draft 0.50 GB (weights 0.50 GB))");
  EXPECT_EQ(row(*ledger, "card:0").reserved, 65 * gb / 10) << "a refusal changes nothing";
}

TEST(Ledger, TheLeastCandidateThatFits) {
  const auto ledger = Ledger::make(small_machine());
  auto text = [&](const std::vector<Candidate>& candidates) {
    return ledger->reserve("card:0", 9 * gb, {"a", Use::kv}, candidates).error().message;
  };
  EXPECT_EQ(text({}),
            "1.00 GB short in card:0 (a asked for 9.00 GB of kv on card:0; 8.00 GB left of 8.00 GB; held by nobody)");
  EXPECT_NE(text({{"x", "exactly", gb}, {"x", "more", gb + 1}}).find("; exactly would fit ("), std::string::npos);
  EXPECT_NE(text({{"x", "more", gb + 1}, {"x", "exactly", gb}}).find("; exactly would fit ("), std::string::npos);
  EXPECT_NE(text({{"x", "a little", gb - 1}}).find("; not even a little fits, which saves 1.00 GB ("),
            std::string::npos);
  EXPECT_NE(text({{"x", "a little", gb / 2}, {"y", "nothing", 0}}).find("not even a little fits, which saves 0.50 GB"),
            std::string::npos);
}

TEST(Ledger, ManyOwnersAreSummedUp) {
  const auto ledger = Ledger::make(small_machine());
  std::vector<Reservation> held;
  for (int i = 1; i <= 7; ++i) {
    auto one = ledger->reserve("card:0", static_cast<hal::Bytes>(i) * gb / 10, {"e" + std::to_string(i), Use::state});
    held.push_back(std::move(*one));
  }
  const std::string text = ledger->reserve("card:0", 9 * gb, {"a", Use::kv}).error().message;
  EXPECT_NE(text.find("held by e7 0.70 GB (state 0.70 GB), e6 0.60 GB (state 0.60 GB), e5 0.50 GB (state 0.50 GB), "
                      "e4 0.40 GB (state 0.40 GB), 3 more 0.60 GB)"),
            std::string::npos)
      << text;
}

TEST(Ledger, ADeviceIsLimitedByItsOwnRowAndByThePool) {
  const auto ledger = Ledger::make(small_machine());
  EXPECT_NE(ledger->reserve("inner:0", 7 * gb, {"a", Use::kv}).error().message.find("1.00 GB short in inner:0"),
            std::string::npos);
  const auto most = ledger->reserve("cpu:0", 13 * gb, {"b", Use::kv});
  ASSERT_TRUE(most);
  EXPECT_NE(ledger->reserve("inner:0", 5 * gb, {"a", Use::kv}).error().message.find("2.00 GB short in host"),
            std::string::npos);
  // Short in both: as much as the shorter of them lacks.
  EXPECT_NE(ledger->reserve("inner:0", 8 * gb, {"a", Use::kv}).error().message.find("5.00 GB short in host"),
            std::string::npos);
  EXPECT_TRUE(ledger->reserve("inner:0", 3 * gb, {"a", Use::kv}));
}

TEST(Ledger, UnknownNamesAreRefusedWithThoseThereAre) {
  const auto ledger = Ledger::make(small_machine());
  const auto refused = ledger->reserve("card:1", 1, {"a", Use::kv});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, hal::Code::not_found);
  EXPECT_NE(refused.error().message.find("card:1 is not one of this machine: card:0 cpu:0 inner:0"), std::string::npos);
  EXPECT_EQ(ledger->watch_pool("inner:0", [] { return Reading{}; }).error().code, hal::Code::not_found);
  EXPECT_EQ(ledger->watch_device("card:0", [] { return Reading{}; }).error().code, hal::Code::not_found);
  EXPECT_EQ(ledger->add_relief({ReliefOrder::shrink, "none", "x", {}}).error().code, hal::Code::not_found);
}

TEST(Ledger, HugeRequestsDoNotWrapAround) {
  const auto ledger = Ledger::make(small_machine());
  const auto held = ledger->reserve("card:0", gb, {"a", Use::kv});
  EXPECT_FALSE(ledger->reserve("card:0", ~hal::Bytes{0}, {"a", Use::kv}));
  EXPECT_FALSE(ledger->reserve("card:0", ~hal::Bytes{0} - gb + 1, {"a", Use::kv}));
  EXPECT_TRUE(ledger->reserve("card:0", 0, {"a", Use::kv}));
}

// Against sums kept by hand: granted if and only if it fits everywhere.
TEST(Ledger, GrantsWhatFitsAndNothingElse) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    auto below = [&](hal::Bytes n) { return std::uniform_int_distribution<hal::Bytes>(0, n - 1)(random); };
    const auto ledger = Ledger::make(small_machine());
    const std::vector<std::string> devices{"cpu:0", "inner:0", "card:0"};
    std::map<std::string, hal::Bytes> sums;
    auto fits = [&](const std::string& device, hal::Bytes bytes) {
      if (device == "card:0") return sums["card:0"] + bytes <= 8 * gb;
      return sums["cpu:0"] + sums["inner:0"] + bytes <= 16 * gb &&
             (device == "cpu:0" || sums[device] + bytes <= 6 * gb);
    };
    std::vector<Reservation> held;
    int granted = 0, refused = 0;
    for (int i = 0; i < 3000; ++i) {
      const std::string& device = devices[below(3)];
      const hal::Bytes bytes = below(3 * gb);
      if (const auto what = below(4); what < 2) {
        auto made = ledger->reserve(device, bytes, {"o" + std::to_string(below(3)), all_uses[below(5)]});
        ASSERT_EQ(bool(made), fits(device, bytes)) << i;
        ++(made ? granted : refused);
        if (!made) continue;
        sums[device] += bytes;
        held.push_back(std::move(*made));
      } else if (!held.empty()) {
        Reservation& one = held[below(held.size())];
        if (what == 2) {
          const bool can = fits(one.device(), bytes);
          ASSERT_EQ(bool(one.grow(bytes)), can) << i;
          if (can) sums[one.device()] += bytes;
        } else {
          sums[one.device()] -= one.bytes();
          std::swap(one, held.back());
          held.pop_back();
        }
      }
      ASSERT_EQ(row(*ledger, "host").reserved, sums["cpu:0"] + sums["inner:0"]);
      ASSERT_EQ(row(*ledger, "inner:0").reserved, sums["inner:0"]);
      ASSERT_EQ(row(*ledger, "card:0").reserved, sums["card:0"]);
      for (const LedgerRow& r : ledger->snapshot()) {
        hal::Bytes sum = 0;
        for (const auto& h : r.held) sum += h.bytes;
        ASSERT_EQ(sum, r.reserved) << r.name;
      }
    }
    EXPECT_GT(granted, 100);
    EXPECT_GT(refused, 100);
  }
}

TEST(Ledger, OneForTheProcessAsLongAsSomebodyHoldsIt) {
  auto first = process_ledger(small_machine());
  ASSERT_TRUE(first);
  const auto held = (*first)->reserve("card:0", gb, {"a", Use::kv});
  EXPECT_EQ(*process_ledger(small_machine()), *first);
  probes::Machine another = small_machine();
  another.host.cpu = "another";
  const auto refused = process_ledger(another);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, hal::Code::invalid_argument);
}

TEST(Ledger, AnotherMachinesLedgerOnceTheFirstIsGone) {
  { ASSERT_TRUE(process_ledger(small_machine())); }
  probes::Machine another = small_machine();
  another.host.cpu = "another";
  EXPECT_TRUE(process_ledger(another));
}

}  // namespace
}  // namespace switchyard
