// The picture of a plan is read back: every tag closed, every part of the plan there, nothing from outside.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

struct Element {
  std::string name, text;  // text: of all inside
  std::map<std::string, std::string> attributes;
  std::string of(const std::string& key) const { return attributes.count(key) ? attributes.at(key) : ""; }
  double number(const std::string& key) const { return std::stod(of(key)); }
};

// Strict, as XML is, but for the first line: what is not closed, quoted or escaped is an error.
class Page {
 public:
  explicit Page(const std::string& html) : rest_(html) {
    const std::string_view doctype = "<!DOCTYPE html>\n";
    if (!take(doctype)) fail("no doctype");
    while (!rest_.empty() && error.empty()) {
      if (rest_[0] == '<') {
        tag();
      } else {
        const auto end = std::min(rest_.find('<'), rest_.size());
        const std::string text = decoded(rest_.substr(0, end));
        for (std::size_t open : open_) elements[open].text += text;
        rest_.remove_prefix(end);
      }
    }
    if (error.empty() && !open_.empty()) fail("not closed: " + elements[open_.back()].name);
  }

  std::vector<Element> all(const std::string& name, const std::string& kind = "") const {
    std::vector<Element> found;
    for (const Element& e : elements)
      if (e.name == name && (kind.empty() || e.of("class") == kind)) found.push_back(e);
    return found;
  }
  // In the text of an element of that name, or in an attribute `title`.
  bool says(const std::string& name, const std::string& text) const {
    return std::any_of(elements.begin(), elements.end(), [&](const Element& e) {
      return e.name == name &&
             (e.text.find(text) != std::string::npos || e.of("title").find(text) != std::string::npos);
    });
  }

  std::string error;
  std::vector<Element> elements;

 private:
  void fail(const std::string& why) { error = why + " before: " + std::string(rest_.substr(0, 80)); }
  bool take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }
  std::string name() {
    std::size_t n = 0;
    while (n < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '-')) ++n;
    std::string found(rest_.substr(0, n));
    rest_.remove_prefix(n);
    if (found.empty()) fail("no name");
    return found;
  }
  std::string decoded(std::string_view text) {
    static const std::map<std::string_view, std::string> entities{{"amp", "&"},     {"lt", "<"},  {"gt", ">"},
                                                                  {"quot", "\""},   {"#39", "'"}, {"middot", "."},
                                                                  {"plusmn", "+-"}, {"le", "<="}, {"rarr", "->"}};
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (static_cast<unsigned char>(text[i]) < 32 && text[i] != '\n') fail("control character");
      if (text[i] != '&') {
        out += text[i];
        continue;
      }
      const auto end = text.find(';', i);
      const auto entity =
          end == std::string_view::npos ? entities.end() : entities.find(text.substr(i + 1, end - i - 1));
      if (entity == entities.end()) return fail("a bare &"), out;
      out += entity->second;
      i = end;
    }
    return out;
  }
  void tag() {
    take("<");
    if (take("/")) {
      const std::string closed = name();
      if (open_.empty() || elements[open_.back()].name != closed) return fail("closes " + closed);
      open_.pop_back();
      if (!take(">")) fail("no >");
      return;
    }
    Element e{name(), "", {}};
    while (error.empty() && take(" ")) {
      const std::string key = name();
      const auto end = take("=\"") ? rest_.find('"') : std::string_view::npos;
      if (end == std::string_view::npos) return fail("attribute " + key + " is not quoted");
      if (rest_.substr(0, end).find('<') != std::string_view::npos) return fail("< in an attribute");
      if (!e.attributes.emplace(key, decoded(rest_.substr(0, end))).second) return fail(key + " twice");
      rest_.remove_prefix(end + 1);
    }
    const bool empty = take("/");
    if (!take(">")) return fail("no >");
    elements.push_back(std::move(e));
    if (!empty) open_.push_back(elements.size() - 1);
  }

  std::string_view rest_;
  std::vector<std::size_t> open_;
};

// Everything the plan holds is there, in the picture and in the tables.
void expect_whole(const Plan& plan) {
  const std::string html = to_html(plan);
  const Page page(html);
  ASSERT_EQ(page.error, "");
  EXPECT_TRUE(page.all("script").empty());
  for (const char* outside : {"http", "src=", "href=", "@import", "url(h"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  const auto rows = page.all("g", "row");
  ASSERT_EQ(rows.size(), plan.layers.size());
  for (std::size_t u = 0; u < rows.size(); ++u) {
    const PlannedLayer& l = plan.layers[u];
    EXPECT_NE(rows[u].text.find(l.layer + " on " + l.device + ": "), std::string::npos) << rows[u].text;
    EXPECT_NE(rows[u].text.find(l.how), std::string::npos);
    EXPECT_TRUE(page.says("td", l.layer) && page.says("td", l.device) && page.says("text", l.device));
    if (l.runner_up) {
      EXPECT_NE(rows[u].text.find(l.runner_up->why), std::string::npos) << rows[u].text;
      EXPECT_TRUE(page.says("td", l.runner_up->why));
    }
    for (const Refusal& r : l.refused) {
      EXPECT_NE(rows[u].text.find(r.code + ": " + r.detail), std::string::npos) << rows[u].text;
      EXPECT_TRUE(page.says("li", r.device + " " + r.code + ": " + r.detail));
      EXPECT_TRUE(page.says("span", r.detail)) << "as the title of the code in the table";
    }
  }
  EXPECT_EQ(page.all("path", "move").size(), plan.moves.size());
  for (const Move& m : plan.moves) EXPECT_TRUE(page.says("title", "before " + m.before + ": "));
  EXPECT_EQ(page.all("div", "pool").size(), plan.pools.size());
  for (const PoolUse& p : plan.pools) EXPECT_TRUE(page.says("span", p.pool) && page.says("td", p.pool));
  for (const More& m : plan.better_with) EXPECT_TRUE(page.says("p", " more in " + m.pool));
  EXPECT_EQ(page.says("p", "Does not fit: " + plan.shortage), !plan.fits);
  EXPECT_EQ(page.all("rect", "over").empty(), plan.fits);
  EXPECT_TRUE(page.says("h1", plan.model) && page.says("p", plan.machine));
}

TEST(Picture, HoldsTheWholePlan) {
  auto p = test::place("laptop");
  ClaimFunction some = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = test::take_all(info, s);
    if (info.id == "opencl:0") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  for (auto [layers, megabytes] : {std::pair{8, 100.0}, {24, 400.0}, {40, 1000.0}}) {  // one device, several, too large
    auto request = test::model(layers, megabytes);
    request.advise = true;
    const auto plan = make_plan(p.machine, p.profile, request, some);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    EXPECT_EQ(plan->fits, layers < 40);
    expect_whole(*plan);
  }
}

// Two devices, a unit on each, one move between them.
Plan small_plan() {
  Plan plan;
  plan.model = "sample";
  plan.machine = "here";
  plan.mode = "latency";
  plan.context = 4096, plan.sessions = 2, plan.prompt = 512, plan.step_rows = 1, plan.step_past = 4095;
  plan.fits = true;
  plan.gap = 0.0123;
  plan.step_seconds = 0.0473, plan.prefill_seconds = 1.106, plan.tokens_per_second = 21.14,
  plan.objective_bound = 0.0467;
  plan.layers = {
      {"layer 0 (mamba)", "a:0", 0.0423, 389'000'000, "measured", "", RunnerUp{"b:0", 0.05, "slower"}, {}},
      {"layer 1 (mamba)", "b:0", 0.0011, 21'000, "ops", "2 of 7 ops by roofline", {}, {{"c:0", "too_large", "9 GB"}}}};
  plan.moves = {{"layer 0 (mamba)", "", "a:0", 4, 0.000005, "measured"},
                {"layer 1 (mamba)", "a:0", "b:0", 16384, 0.000053, "roofline"}};
  plan.pools = {{"host", 12'000'000'000, 24'000'000'000, ""}, {"d:0", 0, 14'000'000'000, "host"}};
  plan.better_with = {{"host", 720'000'000, 0.031}};
  return plan;
}

TEST(Picture, NumbersShadesAndPlacesAreThePlans) {
  const Page page(to_html(small_plan()));
  ASSERT_EQ(page.error, "");
  for (const char* tile : {"47.3 ms1 row at 4095 tokens", "21.14", "1.11 sa prompt of 512", "<= 1.23 %", "46.7 ms"})
    EXPECT_TRUE(page.says("div", tile)) << tile;
  EXPECT_TRUE(page.says("p", "With 720 MB more in host: 3.10 % faster"));
  EXPECT_TRUE(page.says("text", "42.3 ms, 389 MB") && page.says("text", "1.10 ms, 21 kB"));
  EXPECT_TRUE(page.says("text", "host \u2192 a:0  5 us, 4 B") && page.says("text", "a:0 \u2192 b:0  53 us, 16.4 kB"));
  EXPECT_TRUE(page.says("span", "12 GB of 24 GB, 50.0 %") && page.says("p", "1 measured, 1 ops"));
  EXPECT_TRUE(page.says("text", "d:0")) << "a device that the plan knows by its memory only";

  const auto large = page.all("rect", "s5"), little = page.all("rect", "s0"), second = page.all("rect", "second"),
             refused = page.all("rect", "refused"), paths = page.all("path", "move");
  ASSERT_TRUE(large.size() == 1 && little.size() == 1 && second.size() == 1 && refused.size() == 1);
  ASSERT_EQ(paths.size(), 2u);
  const double a = large[0].number("x"), b = little[0].number("x"), width = large[0].number("width");
  EXPECT_LT(a + width, b);
  EXPECT_EQ(second[0].number("x"), b);
  EXPECT_EQ(second[0].number("y"), large[0].number("y"));
  EXPECT_LT(b + width, refused[0].number("x"));
  EXPECT_LT(large[0].number("y"), little[0].number("y"));
  // From the right of the one cell, at its height, to the left of the other.
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0, skip = 0;
  ASSERT_EQ(std::sscanf(paths[1].of("d").c_str(), "M%lf %lf C%lf %lf %lf %lf %lf %lf", &x1, &y1, &skip, &skip, &skip,
                        &skip, &x2, &y2),
            8);
  EXPECT_EQ(x1, a + width);
  EXPECT_EQ(x2, b);
  const double half = large[0].number("height") / 2;
  EXPECT_NEAR(y1, large[0].number("y") + half, 1);
  EXPECT_NEAR(y2, little[0].number("y") + half, 1);
}

TEST(Picture, ARoundOfGroupsAndTheErrorOfAStepAreShown) {
  Plan plan = small_plan();
  const Page one(to_html(plan));
  EXPECT_FALSE(one.says("div", "a round") || one.says("div", "+-"));
  plan.mode = "throughput";
  plan.groups = 2, plan.round_seconds = 0.0584, plan.step_error = 0.071;
  const Page page(to_html(plan));
  ASSERT_EQ(page.error, "");
  EXPECT_TRUE(page.says("div", "47.3 ms +- 7.10 %1 row at 4095 tokens"));
  EXPECT_TRUE(page.says("div", "a round58.4 msof all sessions, 2 groups in flight"));
}

TEST(Picture, HostileNamesAreText) {
  Plan plan = small_plan();
  const std::string evil = "</title><script>alert('1')</script>\" onload=\"x\" ]]> --> &lt; &";
  for (std::string* s : {&plan.model, &plan.machine, &plan.layers[0].layer, &plan.layers[0].device, &plan.layers[1].how,
                         &plan.layers[0].runner_up->why, &plan.layers[1].refused[0].detail, &plan.moves[0].how,
                         &plan.pools[0].pool, &plan.pools[1].within, &plan.better_with[0].pool})
    *s = evil;
  plan.moves[0].to = plan.moves[1].from = evil;
  plan.fits = false;
  plan.shortage = evil;
  plan.pools[0].bytes = plan.pools[0].capacity + 1;
  expect_whole(plan);
  plan.model = "a\x01\tb";  // no character of a page
  EXPECT_TRUE(Page(to_html(plan)).says("h1", "a  b"));

  plan.moves = {{"nowhere", "x:0", "y:0", 1, 1, ""}};  // a move of devices that place nothing is in the table only
  const Page page(to_html(plan));
  EXPECT_EQ(page.error, "");
  EXPECT_TRUE(page.all("path", "move").empty() && page.says("td", "x:0"));
  EXPECT_EQ(Page(to_html(Plan{})).error, "");
}

}  // namespace
}  // namespace switchyard::scheduler
