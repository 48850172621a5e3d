#include "trainer/run_files.h"

#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash::trainer {
namespace {

const std::vector<std::string> kColumns{"loss", "color", "learning_rate"};

TEST(LossLog, HoldsEachStepOnceAfterARollbackAndATornLine) {
  const auto path =
      std::filesystem::path(::testing::TempDir()) / ("losses-" + std::to_string(getpid()) + ".csv");
  {
    LossLog log(path, kColumns, 0);
    for (int64_t step = 1; step <= 5; ++step)
      log.append({step, {0.1 * static_cast<double>(step), std::nullopt, 1e-3}});
    log.sync();
  }
  std::ofstream(path, std::ios::app) << "6,0.6,0,";  // the process died here
  {
    LossLog log(path, kColumns, 3);  // going on from a checkpoint at 3
    log.append({4, {1.0 / 3.0, 2.0, 1e-3}});
    log.sync();
  }
  const auto table = read_losses(path);
  EXPECT_EQ(table.columns, kColumns);
  ASSERT_EQ(table.records.size(), 4U);
  EXPECT_EQ(table.records[2].step, 3);
  EXPECT_EQ(table.value(table.records[2], "color"), std::nullopt) << "an empty cell";
  EXPECT_EQ(table.records[3].step, 4);
  EXPECT_EQ(table.value(table.records[3], "loss"), 1.0 / 3.0) << "full precision";
  EXPECT_EQ(table.value(table.records[3], "lpips"), std::nullopt) << "no such column";
  std::filesystem::remove(path);
}

TEST(LossLog, GoesOnWithTheColumnsThatItIsGiven) {
  const auto path = std::filesystem::path(::testing::TempDir()) /
                    ("columns-" + std::to_string(getpid()) + ".csv");
  std::ofstream(path) << "step,loss,noise\n1,0.5,nan\n2,0.25,0.125\n";
  {
    LossLog log(path, {"noise", "loss", "new"}, 2);
    log.append({3, {1.0, 2.0, 3.0}});
    log.sync();
  }
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(text, "step,noise,loss,new\n1,nan,0.5,\n2,0.125,0.25,\n3,1,2,3\n");
  std::filesystem::remove(path);
}

TEST(EvaluationsFolder, IsMadeInARunFolderThatIsThereAndNowhereElse) {
  const auto run =
      std::filesystem::path(::testing::TempDir()) / ("evaluations-" + std::to_string(getpid()));
  EXPECT_THROW(make_evaluations_folder(run), InputError);
  EXPECT_FALSE(std::filesystem::exists(run));
  std::filesystem::create_directory(run);
  make_evaluations_folder(run);
  make_evaluations_folder(run);
  EXPECT_TRUE(std::filesystem::is_directory(evaluation_folder(run, 5).parent_path()));
  std::filesystem::remove_all(run);
}

}  // namespace
}  // namespace limewash::trainer
