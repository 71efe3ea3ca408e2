// Cases are well formed: checked by their op, named once, and understood by the double reference.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::kernels {
namespace {

TEST(Cases, AreCheckedNamedOnceAndTested) {
  ASSERT_FALSE(ops().empty());
  for (const OpInfo* op : ops()) {
    std::set<std::string> names;
    std::size_t tested = 0;
    for (const Case& c : op->cases()) {
      Status checked = check(c.segment);
      EXPECT_TRUE(checked) << op->name << " " << c.name << ": " << (checked ? "" : checked.error().message);
      EXPECT_TRUE(names.insert(c.name).second) << op->name << " " << c.name << " stands twice";
      EXPECT_TRUE(c.timed || c.tested) << op->name << " " << c.name << " is neither tested nor timed";
      Cost total = cost(c.segment, c.dims);
      EXPECT_GT(total.bytes, 0) << op->name << " " << c.name;
      tested += c.tested;
    }
    EXPECT_GT(tested, 0u) << op->name << " has no tested case";
  }
}

TEST(Cases, ReferencesAreFinite) {
  for (const OpInfo* op : ops())
    for (const Case& c : op->cases()) {
      if (!c.tested) continue;
      CaseData data = make_data(c, 1);
      std::vector<std::vector<double>> values;
      Status run = run_reference(data, values);
      ASSERT_TRUE(run) << op->name << " " << c.name << ": " << run.error().message;
      for (const auto* list : {&c.segment.outputs, &c.segment.states})
        for (auto v : *list) {
          EXPECT_EQ(static_cast<std::int64_t>(values[v].size()), elements(c.segment.values[v], c.dims))
              << op->name << " " << c.name;
          for (double x : values[v]) ASSERT_TRUE(std::isfinite(x)) << op->name << " " << c.name;
        }
    }
}

}  // namespace
}  // namespace switchyard::kernels
