#include "trainer/run_files.h"

#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

namespace limewash::trainer {
namespace {

TEST(LossLog, HoldsEachStepOnceAfterARollbackAndATornLine) {
  const auto path =
      std::filesystem::path(::testing::TempDir()) / ("losses-" + std::to_string(getpid()) + ".csv");
  {
    LossLog log(path, 0);
    for (int64_t step = 1; step <= 5; ++step)
      log.append({step, 0.1 * static_cast<double>(step), 0, 0, 1e-3, 2.0});
    log.sync();
  }
  std::ofstream(path, std::ios::app) << "6,0.6,0,";  // the process died here
  {
    LossLog log(path, 3);  // going on from a checkpoint at 3
    log.append({4, 1.0 / 3.0, 0, 0, 1e-3, 2.0});
    log.sync();
  }
  const auto records = read_losses(path);
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[2].step, 3);
  EXPECT_EQ(records[3].step, 4);
  EXPECT_EQ(records[3].loss, 1.0 / 3.0) << "full precision";
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace limewash::trainer
