#include "tracking/run_recorder.h"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>

#include "runtime/config.h"
#include "runtime/error.h"
#include "tests/tracking/run_folder.h"
#include "tracking/run_source.h"
#include "tracking/step_image.h"

namespace limewash::tracking {
namespace {

using ::testing::HasSubstr;

class Recorder : public RunFolderTest {
 protected:
  int64_t count(EntryKind kind, const std::string& key) const {
    int64_t found = 0;
    for (const auto& entry : entries()) found += entry.kind == kind && entry.key == key;
    return found;
  }
};

TEST_F(Recorder, JournalsAPointOnceThroughRollbackAndResume) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    RunRecorder recorder({}, folder_, "demo");
    for (int step = attempt * 2; step < 10 + attempt; ++step)
      recorder.metric("loss", step * 0.1, step);
    recorder.metric("nan", std::nan(""), 1);
    recorder.params({{"lr", "1"}});
    recorder.tag("note", "same");
    recorder.dataset("training", "rooms", "abc", "shards");
    recorder.close(RunStatus::kKilled);
  }
  EXPECT_EQ(count(EntryKind::kMetric, "loss"), 12);
  EXPECT_EQ(count(EntryKind::kMetric, "nan"), 1);
  EXPECT_EQ(count(EntryKind::kParam, "lr"), 1);
  EXPECT_EQ(count(EntryKind::kTag, "note"), 1);
  EXPECT_EQ(count(EntryKind::kDataset, "training"), 1);
  EXPECT_EQ(log_count("was"), 0u);
}

TEST_F(Recorder, WarnsOnceAKeyOfARepeatThatDiffers) {
  RunRecorder recorder({}, folder_, "demo");
  for (int step = 0; step < 5; ++step) recorder.metric("loss", 1, step);
  for (int step = 0; step < 5; ++step) recorder.metric("loss", 2, step);
  recorder.close(RunStatus::kFinished);
  EXPECT_EQ(count(EntryKind::kMetric, "loss"), 5);
  EXPECT_EQ(log_count("'loss' of step 0 was 1 before and is 2 now"), 1u);
  EXPECT_EQ(log_count("5 repeated points differed"), 1u);
}

TEST_F(Recorder, KnowsThePointsOfOtherWriters) {
  RunRecorder evaluator({}, folder_, "demo", "evaluator");
  evaluator.metric("delta_e_2000", 5, 100);
  evaluator.close(RunStatus::kFinished);
  RunRecorder trainer({}, folder_, "demo");
  trainer.metric("delta_e_2000", 5, 100);
  trainer.close(RunStatus::kFinished);
  EXPECT_EQ(count(EntryKind::kMetric, "delta_e_2000"), 0);
  EXPECT_EQ(entries("evaluator").front().key, entries().front().key);
}

TEST_F(Recorder, RecordsOnlyFilesBelowTheRunFolder) {
  RunRecorder recorder({}, folder_, "demo");
  for (const char* file : {"../outside", "/etc/passwd", "a/../../b", ""}) {
    recorder.artifact(file, "x");
    recorder.step_image("key", file, 1);
  }
  recorder.artifact("a/../b.txt", "x");
  recorder.close(RunStatus::kFinished);
  int64_t files = 0;
  for (const auto& entry : entries()) {
    files += entry.kind == EntryKind::kArtifact || entry.kind == EntryKind::kImage;
  }
  EXPECT_EQ(files, 1);
  EXPECT_EQ(log_count("is not below the run folder"), 8u);
}

TEST_F(Recorder, CountsAnAttemptThatNobodyClosedAsFailed) {
  { RunRecorder recorder({}, folder_, "demo"); }
  EXPECT_EQ(entries().back().kind, EntryKind::kStatus);
  EXPECT_EQ(entries().back().value, "FAILED");
}

TEST_F(Recorder, IsDeafAfterItsEnd) {
  RunRecorder recorder({}, folder_, "demo");
  recorder.close(RunStatus::kFinished);
  const size_t before = entries().size();
  recorder.metric("loss", 1, 1);
  recorder.flush();
  recorder.close(RunStatus::kFailed);
  EXPECT_EQ(entries().size(), before);
}

TEST_F(Recorder, RefusesAFolderThatCannotBeWrittenOrIsTaken) {
  std::ofstream(root_ / "file") << "x";
  EXPECT_THROW(RunRecorder({}, root_ / "file", "demo"), InputError);
  EXPECT_THROW(RunRecorder({}, root_ / "file" / "below", "demo"), InputError);
  RunRecorder first({}, folder_, "demo");
  EXPECT_THROW(RunRecorder({}, folder_, "demo"), InputError);
}

TEST_F(Recorder, GoesOnWithoutATrackerWhenTheEnvironmentNamesNone) {
  setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", 1);
  RunRecorder recorder({}, folder_, "demo");
  recorder.metric("loss", 1, 1);
  recorder.close(RunStatus::kFinished);
  EXPECT_THAT(log(), HasSubstr("MLFLOW_TRACKING_URI: 'sqlite:///mlflow.db' is not the address"));
  EXPECT_EQ(count(EntryKind::kMetric, "loss"), 1);
}

TEST_F(Recorder, KeepsSecretsOutOfJournalStateAndLog) {
  spdlog::set_level(spdlog::level::debug);
  setenv("MLFLOW_TRACKING_URI", "http://anna:s3cret@127.0.0.1:1/", 1);
  setenv("MLFLOW_TRACKING_TOKEN", "s3cret", 1);
  {
    RunRecorder recorder({}, folder_, "demo");
    recorder.metric("loss", 1, 1);
    recorder.close(RunStatus::kFinished, 1);
  }
  EXPECT_THAT(log(), HasSubstr("http://127.0.0.1:1"));
  EXPECT_THAT(log(), Not(HasSubstr("s3cret")));
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_THAT(bytes, Not(HasSubstr("s3cret"))) << file.path();
  }
  TrackingOptions options;
  options.uri = "http://anna:s3cret@host";
  try {
    options.validate();
    ADD_FAILURE() << "credentials in a configuration were taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("s3cret")));
  }
}

TEST_F(Recorder, ChecksItsSectionOfTheConfiguration) {
  TrackingOptions options;
  options.uri = "ftp://host";
  EXPECT_THROW(options.validate(), ConfigError);
  options.uri = "http://host:5000";
  EXPECT_NO_THROW(options.validate());
  options.experiment = "";
  EXPECT_THROW(options.validate(), ConfigError);
}

TEST_F(Recorder, FindsTheCommitOfAGitCheckout) {
  const std::string commit(40, 'a');
  const auto git = root_ / ".git";
  std::filesystem::create_directories(git / "refs/heads");
  EXPECT_EQ(read_git_checkout(folder_).commit, "");
  std::ofstream(git / "HEAD") << "ref: refs/heads/main\n";
  EXPECT_EQ(read_git_checkout(folder_).commit, "");
  std::ofstream(git / "packed-refs") << "# pack-refs\n"
                                     << std::string(40, 'b') << " refs/heads/main\n";
  EXPECT_EQ(read_git_checkout(folder_).commit, std::string(40, 'b'));
  std::ofstream(git / "refs/heads/main") << commit << "\n";
  EXPECT_EQ(read_git_checkout(folder_).commit, commit);
  std::ofstream(git / "HEAD") << std::string(40, 'c') << "\n";
  EXPECT_EQ(read_git_checkout(folder_).commit, std::string(40, 'c'));
}

TEST_F(Recorder, KnowsBranchAndOriginWithoutTheirCredentials) {
  const auto git = root_ / ".git";
  std::filesystem::create_directories(git);
  std::ofstream(git / "HEAD") << "ref: refs/heads/feature/walls\n";
  std::ofstream(git / "config") << "[core]\n\turl = no\n[remote \"origin\"]\n\tfetch = x\n"
                                << "\turl = https://anna:s3cret@host/walls.git\n";
  const GitCheckout checkout = read_git_checkout(folder_);
  EXPECT_EQ(checkout.branch, "feature/walls");
  EXPECT_EQ(checkout.repository, "https://host/walls.git");
  EXPECT_EQ(checkout.dirty, std::nullopt);
  EXPECT_EQ(read_git_checkout("/proc").commit, "");
}

TEST_F(Recorder, TellsWhatGitCallsDirty) {
  const std::string git =
      "git -C " + root_.string() + " -c user.name=t -c user.email=t@example.org ";
  std::ofstream(root_ / "file") << "one";
  ASSERT_EQ(
      std::system((git + "init -q && " + git + "add file && " + git + "commit -qm x").c_str()), 0);
  EXPECT_EQ(read_git_checkout(folder_).dirty, false);
  std::ofstream(root_ / "file") << "two";
  EXPECT_EQ(read_git_checkout(folder_).dirty, true);
}

TEST_F(Recorder, TakesTheExperimentOfTheEnvironmentUnlessOneIsNamed) {
  EXPECT_EQ(TrackingOptions().experiment, "limewash");
  setenv("MLFLOW_EXPERIMENT_NAME", "walls", 1);
  EXPECT_EQ(TrackingOptions().experiment, "walls");
  unsetenv("MLFLOW_EXPERIMENT_NAME");
}

TEST_F(Recorder, NotesWhatTheRunIsAboutAndItsParent) {
  RunRecorder parent({}, root_ / "sweep", "sweep");
  TrackingOptions options;
  options.parent = (root_ / "sweep").string();
  options.note = "**warm** colours";
  RunRecorder child(options, folder_, "demo");
  child.close(RunStatus::kFinished);
  EXPECT_EQ(count(EntryKind::kTag, "mlflow.note.content"), 1);
  EXPECT_EQ(count(EntryKind::kTag, "limewash.parent_run_key"), 1);
  options.parent = root_.string();
  std::filesystem::remove_all(folder_);
  RunRecorder orphan(options, folder_, "demo");
  EXPECT_EQ(count(EntryKind::kTag, "limewash.parent_run_key"), 0);
  EXPECT_EQ(log_count("holds no journal of a run; the run is not shown under a parent"), 1u);
  options.parent = (root_ / "absent").string();
  RunRecorder(options, root_ / "other", "other").close(RunStatus::kFinished);
  EXPECT_EQ(log_count("is neither a run folder nor a run id or client key"), 1u);
}

TEST_F(Recorder, RemembersPointsThatCameOutOfOrder) {
  RunRecorder recorder({}, folder_, "demo");
  for (const int step : {5, 3, 9, 3, 5, 4, 9, -2}) recorder.metric("loss", step, step);
  recorder.close(RunStatus::kFinished);
  EXPECT_EQ(count(EntryKind::kMetric, "loss"), 5);
  EXPECT_EQ(log_count("was"), 0u);
}

TEST(StepImage, IsNamedAsMlflowsPageReadsIt) {
  const auto paths = step_image_paths("grids/val+1%", -3, 17, "id");
  EXPECT_EQ(paths.image, "images/grids~val_1_+step+-3+timestamp+17+id.png");
  EXPECT_EQ(paths.thumbnail, "images/grids~val_1_+step+-3+timestamp+17+id+compressed.png");
}

}  // namespace
}  // namespace limewash::tracking
