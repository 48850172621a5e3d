#include "tracking/shipper.h"

#include <atomic>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <opencv2/imgcodecs.hpp>

#include "runtime/error.h"
#include "tests/tracking/fake_mlflow.h"
#include "tests/tracking/run_folder.h"
#include "tracking/lease.h"
#include "tracking/run_recorder.h"

namespace limewash::tracking {
namespace {

using ::testing::HasSubstr;
using Outcome = Shipper::Outcome;

class Shipping : public RunFolderTest {
 protected:
  /// A recorder without a tracker: it only writes the journal.
  std::unique_ptr<RunRecorder> record(const std::string& writer = "trainer") {
    return std::make_unique<RunRecorder>(TrackingOptions{}, folder_, "demo", writer);
  }
  std::unique_ptr<Shipper> start_shipper() {
    ShipperOptions options;
    options.interval_seconds = 0.02;
    options.first_retry_seconds = 0.02;
    options.max_retry_seconds = 0.1;
    TrackerAddress address;
    address.uri = mlflow_.url();
    address.timeout_seconds = 0.5;
    return std::make_unique<Shipper>(address, "limewash", folder_, options);
  }
  int64_t sync() {
    TrackingOptions options;
    options.uri = mlflow_.url();
    return sync_run(options, folder_);
  }
  template <class Condition>
  static bool eventually(const Condition& condition) {
    for (int i = 0; i < 500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  FakeMlflow::Run only_run() {
    const auto runs = mlflow_.runs();
    EXPECT_EQ(runs.size(), 1u);
    return runs.empty() ? FakeMlflow::Run{} : runs.begin()->second;
  }
  static void write_image(const std::filesystem::path& path) {
    cv::imwrite(path.string(), cv::Mat(300, 600, CV_8UC3, cv::Scalar(10, 20, 30)));
  }

  FakeMlflow mlflow_;
};

TEST_F(Shipping, BringsEverythingToTheTracker) {
  write_image(folder_ / "grid.png");
  std::ofstream(folder_ / "summary.json") << "{\"a\": 1}";
  auto recorder = record();
  recorder->params({{"lr", "1e-4"}, {"rank", "16"}});
  recorder->tag("sweep", "one");
  for (int step = 0; step < 2500; ++step) recorder->metric("loss", step * 0.5, step);
  recorder->artifact("summary.json", "reports");
  recorder->step_image("grids/validation", "grid.png", 7);
  recorder->dataset("training", "rooms", "abc", "shards");
  recorder->close(RunStatus::kFinished);

  auto shipper = start_shipper();
  EXPECT_EQ(shipper->drain(20), Outcome::kShipped);
  const auto run = only_run();
  EXPECT_EQ(run.name, "demo");
  EXPECT_EQ(run.status, "FINISHED");
  EXPECT_GT(run.end_time, 0);
  EXPECT_EQ(run.points.size(), 2500u);
  EXPECT_EQ(run.params, (std::map<std::string, std::string>{{"lr", "1e-4"}, {"rank", "16"}}));
  EXPECT_EQ(run.tags.at("sweep"), "one");
  EXPECT_EQ(run.tags.at("mlflow.loggedImages"), "True");
  EXPECT_EQ(run.artifacts.at("reports/summary.json"), "{\"a\": 1}");
  ASSERT_EQ(run.artifacts.size(), 3u);
  const auto image = run.artifacts.begin();
  EXPECT_THAT(image->first, ::testing::StartsWith("images/grids~validation+step+7+timestamp+"));
  const auto thumbnail = std::next(image);
  EXPECT_THAT(thumbnail->first + image->first, HasSubstr("+compressed.png"));
  const std::string& png =
      image->first.find("compressed") != std::string::npos ? image->second : thumbnail->second;
  const cv::Mat small = cv::imdecode(std::vector<char>(png.begin(), png.end()), cv::IMREAD_COLOR);
  EXPECT_EQ(small.size(), cv::Size(256, 128));
  EXPECT_EQ(ShippingSession::count_unshipped(folder_, mlflow_.url()), 0);
}

TEST_F(Shipping, CreatesOneRunThoughTheAnswerWasLost) {
  std::atomic<int> lost{0};
  mlflow_.after = [&lost](const FakeMlflow::Request& request) -> std::optional<FakeMlflow::Reply> {
    if (request.target.find("runs/create") == std::string::npos || lost++ > 0) return std::nullopt;
    return FakeMlflow::Reply{200, "{}", "", FakeServer::Manner::kSilence};
  };
  auto recorder = record();
  recorder->metric("loss", 1, 1);
  auto shipper = start_shipper();
  EXPECT_TRUE(eventually([this] {
    const auto runs = mlflow_.runs();
    return !runs.empty() && runs.begin()->second.points.size() == 1;
  }));
  EXPECT_EQ(lost, 1);
  only_run();
}

TEST_F(Shipping, RepeatsABatchWhoseAnswerWasLostWithoutDoublingPoints) {
  std::atomic<int> lost{0};
  mlflow_.after = [&lost](const FakeMlflow::Request& request) -> std::optional<FakeMlflow::Reply> {
    if (request.target.find("log-batch") == std::string::npos || lost++ > 2) return std::nullopt;
    return FakeMlflow::Reply{503, "{}", "Retry-After: 0\r\n"};
  };
  auto recorder = record();
  auto shipper = start_shipper();
  for (int step = 0; step < 10; ++step) recorder->metric("loss", step, step);
  ASSERT_TRUE(eventually([this] { return log_count("this run is at") == 1; }));
  EXPECT_GT(lost, 3);
  recorder->close(RunStatus::kFinished);
  EXPECT_EQ(shipper->drain(10), Outcome::kShipped);
  EXPECT_EQ(only_run().points.size(), 10u);
}

TEST_F(Shipping, OutlivesAnOutageAndSaysSoOnceEachWay) {
  auto recorder = record();
  auto shipper = start_shipper();
  recorder->metric("loss", 1, 1);
  ASSERT_TRUE(eventually([this] { return log_count("this run is at") == 1; }));
  mlflow_.stop();
  for (int step = 2; step < 50; ++step) recorder->metric("loss", step, step);
  ASSERT_TRUE(eventually([this] { return log_count("takes no records") == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  mlflow_.start();
  ASSERT_TRUE(eventually([this] { return log_count("takes records again") == 1; }));
  recorder->close(RunStatus::kKilled);
  EXPECT_EQ(shipper->drain(10), Outcome::kShipped);
  EXPECT_EQ(log_count("takes no records"), 1u);
  EXPECT_EQ(log_count("training goes on"), 1u);
  const auto run = only_run();
  EXPECT_EQ(run.points.size(), 49u);
  EXPECT_EQ(run.status, "KILLED");
}

TEST_F(Shipping, EndsSoonWhenTheTrackerWasNeverThere) {
  mlflow_.stop();
  const auto begin = std::chrono::steady_clock::now();
  TrackingOptions options;
  options.uri = mlflow_.url();
  {
    RunRecorder recorder(options, folder_, "demo");
    for (int step = 0; step < 100; ++step) recorder.metric("loss", step, step);
    recorder.close(RunStatus::kFinished, 30);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(log(), HasSubstr("limewash runs sync demo"));
  const int64_t unshipped = ShippingSession::count_unshipped(folder_, mlflow_.url());
  EXPECT_GE(unshipped, 102);
  EXPECT_THROW(sync(), InputError);
  mlflow_.start();
  EXPECT_EQ(sync(), unshipped);
  EXPECT_EQ(only_run().points.size(), 100u);
  EXPECT_EQ(sync(), 0);
}

TEST_F(Shipping, DoesNotWaitLongerThanAskedForAServerThatHangs) {
  mlflow_.before = [](const FakeMlflow::Request&) -> std::optional<FakeMlflow::Reply> {
    return FakeMlflow::Reply{200, "{}", "", FakeServer::Manner::kHang};
  };
  TrackingOptions options;
  options.uri = mlflow_.url();
  auto recorder = std::make_unique<RunRecorder>(options, folder_, "demo");
  const auto begin = std::chrono::steady_clock::now();
  recorder->metric("loss", 1, 1);
  recorder->close(RunStatus::kFinished, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_EQ(entries().back().value, "FINISHED");
}

TEST_F(Shipping, LetsMetricsPassFilesThatTheStoreRefuses) {
  std::ofstream(folder_ / "a.txt") << "a";
  mlflow_.before = [](const FakeMlflow::Request& request) -> std::optional<FakeMlflow::Reply> {
    if (request.method != "PUT") return std::nullopt;
    return FakeMlflow::Reply{500, "{}", ""};
  };
  auto recorder = record();
  recorder->artifact("a.txt", "");
  recorder->metric("loss", 1, 1);
  recorder->close(RunStatus::kFinished);
  auto shipper = start_shipper();
  EXPECT_TRUE(eventually([this] {
    const auto runs = mlflow_.runs();
    return !runs.empty() && runs.begin()->second.status == "FINISHED";
  }));
  EXPECT_TRUE(eventually([this] { return log_count("takes no files") == 1; }));
  EXPECT_EQ(shipper->drain(0.3), Outcome::kLeft);
  EXPECT_EQ(only_run().points.size(), 1u);
  EXPECT_EQ(ShippingSession::count_unshipped(folder_, mlflow_.url()), 1);
}

TEST_F(Shipping, NamesWhatMlflowRefusesAndShipsTheRest) {
  auto recorder = record();
  for (int step = 0; step < 100; ++step) {
    recorder->metric(step == 41 ? "100%" : "loss", step, step);
  }
  recorder->artifact("missing.txt", "");
  recorder->close(RunStatus::kFinished);
  sync();
  EXPECT_EQ(only_run().points.size(), 99u);
  EXPECT_THAT(log(), HasSubstr("metric '100%' is not at the tracker: names consist of"));
  EXPECT_THAT(log(), HasSubstr("missing.txt"));
  EXPECT_EQ(ShippingSession::count_unshipped(folder_, mlflow_.url()), 0);
}

TEST_F(Shipping, ContinuesTheSameRunAfterAResume) {
  {
    auto recorder = record();
    recorder->params({{"steps", "100"}});
    for (int step = 0; step < 10; ++step) recorder->metric("loss", step, step);
    recorder->close(RunStatus::kKilled);
  }
  sync();
  EXPECT_EQ(only_run().status, "KILLED");
  {
    auto recorder = record();
    recorder->params({{"steps", "200"}});
    for (int step = 5; step < 20; ++step) recorder->metric("loss", step, step);
    sync();
    EXPECT_EQ(only_run().status, "RUNNING");
    recorder->close(RunStatus::kFinished);
  }
  sync();
  const auto run = only_run();
  EXPECT_EQ(run.points.size(), 20u);
  EXPECT_EQ(run.status, "FINISHED");
  EXPECT_EQ(run.params.at("steps"), "100");
  EXPECT_EQ(run.tags.at("param_changed.steps"), "200");
  EXPECT_EQ(run.tags.at("limewash.attempts"), "2");
}

TEST_F(Shipping, ShipsAgainWhatTheServerOrTheStateFileLost) {
  {
    auto recorder = record();
    recorder->metric("loss", 1, 1);
    recorder->close(RunStatus::kFinished);
  }
  sync();
  std::ofstream(folder_ / "tracker.json") << "{\"format\": 1, \"uri\":";
  sync();
  EXPECT_EQ(only_run().points.size(), 1u);
  EXPECT_THAT(log(), HasSubstr("tracker.json' is damaged"));
  mlflow_.clear();
  sync();
  EXPECT_EQ(only_run().points.size(), 1u);
  EXPECT_EQ(only_run().status, "FINISHED");
}

TEST_F(Shipping, LeavesARunThatAnotherProcessShipsAlone) {
  auto recorder = record();
  Lease other(folder_);
  ASSERT_TRUE(other.try_acquire());
  auto shipper = start_shipper();
  EXPECT_EQ(shipper->drain(1), Outcome::kElsewhere);
  EXPECT_TRUE(mlflow_.runs().empty());
  EXPECT_THROW(sync(), InputError);
}

TEST_F(Shipping, GathersTheJournalsOfAllWriters) {
  auto trainer = record();
  auto evaluator = record("evaluator");
  trainer->metric("loss", 1, 1);
  evaluator->metric("delta_e_2000", 9, 1);
  evaluator->close(RunStatus::kFinished);
  sync();
  auto run = only_run();
  EXPECT_EQ(run.points.size(), 2u);
  EXPECT_EQ(run.status, "RUNNING");
  trainer->close(RunStatus::kFailed);
  sync();
  EXPECT_EQ(only_run().status, "FAILED");
}

TEST_F(Shipping, DoesNotAskTheServerForNamesThatItNeverTakes) {
  auto recorder = record();
  for (int step = 0; step < 300; ++step) {
    recorder->metric("a%b", step, step);
    recorder->metric("a//b", step, step);
    recorder->metric("loss", step, step);
  }
  recorder->close(RunStatus::kFinished);
  sync();
  EXPECT_EQ(only_run().points.size(), 300u);
  EXPECT_EQ(log_count("metric 'a%b' is not at the tracker"), 1u);
  EXPECT_EQ(log_count("metric 'a//b' is not at the tracker"), 1u);
  EXPECT_LT(mlflow_.server().requests().size(), 20u);
}

TEST_F(Shipping, KeepsLongValuesWholeAsArtifacts) {
  const std::string prompt(7000, 'p'), notes(9000, 'n');
  auto recorder = record();
  recorder->params({{"data/prompt", prompt}});
  recorder->tag("notes", notes);
  recorder->close(RunStatus::kFinished);
  sync();
  const auto run = only_run();
  EXPECT_EQ(run.artifacts.at("long_values/params/data~prompt.txt"), prompt);
  EXPECT_EQ(run.artifacts.at("long_values/tags/notes.txt"), notes);
  EXPECT_EQ(run.params.at("data/prompt").size(), 6000u);
  EXPECT_THAT(run.params.at("data/prompt"), HasSubstr("[7000 bytes, whole in long_values]"));
  EXPECT_EQ(run.tags.at("notes").size(), 8000u);
}

TEST_F(Shipping, NestsARunUnderItsParentHoweverLateThatComes) {
  const auto parent_folder = root_ / "sweep";
  RunRecorder parent({}, parent_folder, "sweep");
  TrackingOptions options;
  options.parent = parent_folder.string();
  RunRecorder child(options, folder_, "demo");
  child.close(RunStatus::kFinished);
  parent.close(RunStatus::kFinished);
  sync();
  EXPECT_FALSE(only_run().tags.contains("mlflow.parentRunId"));
  options.uri = mlflow_.url();
  options.parent.clear();
  sync_run(options, parent_folder);
  sync();
  const auto runs = mlflow_.runs();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs.at("run1").tags.at("mlflow.parentRunId"), "run2");
  EXPECT_EQ(runs.at("run2").client_key, parent.client_key());
  EXPECT_FALSE(runs.at("run2").tags.contains("mlflow.parentRunId"));
}

TEST_F(Shipping, TakesAParentByItsRunIdAndGoesOnWithoutOneThatIsNotThere) {
  mlflow_.add_run("abc", "another");
  for (const char* parent : {"abc", "x' OR 'a' = 'a", "none"}) {
    std::filesystem::remove_all(folder_);
    TrackingOptions options;
    options.parent = parent;
    RunRecorder(options, folder_, "demo").close(RunStatus::kFinished);
    sync();
  }
  const auto runs = mlflow_.runs();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs.at("run1").tags.at("mlflow.parentRunId"), "abc");
  EXPECT_FALSE(runs.at("run2").tags.contains("mlflow.parentRunId"));
  EXPECT_FALSE(runs.at("run3").tags.contains("mlflow.parentRunId"));
}

TEST_F(Shipping, DeletesTheEmptyDoubleOfACreationThatWasAnsweredLate) {
  auto recorder = record();
  recorder->metric("loss", 1, 1);
  sync();
  mlflow_.add_run("run9", recorder->client_key());
  recorder->close(RunStatus::kFinished);
  sync();
  EXPECT_TRUE(mlflow_.runs().at("run9").deleted);
  EXPECT_FALSE(mlflow_.runs().at("run1").deleted);
  // Whoever lost its state finds the one that is left.
  std::filesystem::remove(folder_ / "tracker.json");
  sync();
  EXPECT_EQ(mlflow_.runs().size(), 2u);
  EXPECT_EQ(mlflow_.runs().at("run1").points.size(), 1u);
}

TEST_F(Shipping, WaitsTwiceAsLongAfterEachFailureUpToAMinute) {
  Backoff backoff{ShipperOptions{}};
  std::vector<double> waits;
  for (int i = 0; i < 8; ++i) waits.push_back(backoff.after_failure(0));
  EXPECT_EQ(waits, (std::vector<double>{1, 2, 4, 8, 16, 32, 60, 60}));
  backoff.succeeded();
  EXPECT_EQ(backoff.after_failure(0), 1);
  EXPECT_EQ(backoff.after_failure(90), 90);
  EXPECT_EQ(backoff.after_failure(1e9), 300);
}

}  // namespace
}  // namespace limewash::tracking
