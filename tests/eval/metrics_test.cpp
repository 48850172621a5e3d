#include "eval/metrics.h"

#include <cmath>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace limewash::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::Pair;

TEST(Quantile, InterpolatesAsNumpyDoes) {
  EXPECT_THAT(quantile({3, 1, 2}, 0.5), Optional(2.0));
  EXPECT_THAT(quantile({4, 1, 3, 2}, 0.5), Optional(2.5));
  EXPECT_THAT(quantile({5, 1, 4, 2, 3}, 0.9), Optional(DoubleNear(4.6, 1e-12)));
  EXPECT_THAT(quantile({7}, 0.9), Optional(7.0));
  EXPECT_EQ(quantile({}, 0.5), std::nullopt);
}

Metrics painting(std::optional<double> delta_e, std::optional<double> hue) {
  Metrics metrics;
  metrics.add("delta_e_2000", delta_e);
  metrics.add("hue_error", hue);
  return metrics;
}

TEST(Aggregate, CountsWhatIsMissingInsteadOfScoringIt) {
  const Aggregate figures =
      aggregate({painting(1, std::nullopt), painting(5, 20), painting(3, std::nullopt)});
  EXPECT_THAT(figures.metrics.get("delta_e_2000"), Optional(3.0));
  EXPECT_THAT(figures.metrics.get("delta_e_2000_p90"), Optional(DoubleNear(4.6, 1e-12)));
  EXPECT_THAT(figures.metrics.get("hue_error"), Optional(20.0));
  EXPECT_EQ(figures.metrics.get("hue_error_p90"), std::nullopt);
  EXPECT_THAT(figures.missing, ElementsAre(Pair("hue_error", 2)));
}

TEST(Aggregate, OfNothingButMissingIsMissing) {
  const Aggregate figures = aggregate({painting(std::nan(""), 1), painting(INFINITY, 2)});
  EXPECT_EQ(figures.metrics.get("delta_e_2000"), std::nullopt);
  EXPECT_THAT(figures.missing, ElementsAre(Pair("delta_e_2000", 2)));
}

TEST(Metrics, JsonKeepsMissingAsNull) {
  const nlohmann::json json = metrics_to_json(painting(1.25, std::nullopt));
  EXPECT_EQ(json.dump(), R"({"delta_e_2000":1.25,"hue_error":null})");
  EXPECT_EQ(metrics_from_json(json).get("delta_e_2000"), 1.25);
  EXPECT_EQ(metrics_from_json(json).values.size(), 2u);
}

}  // namespace
}  // namespace limewash::eval
