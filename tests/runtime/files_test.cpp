#include "runtime/files.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    fs::create_directories(folder_);
  }
  ~FilesTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      found.push_back(entry.path().filename());
    return found;
  }

  fs::path folder_ = fs::temp_directory_path() / ("limewash-files-" + std::to_string(::getpid()));
};

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// Runs `action` in a child process; true when it returned 0.
bool holds_in_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) std::_Exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

using Files = FilesTest;

TEST_F(Files, ReadsBackTheBytesThatWereWritten) {
  std::string bytes("a\0b\n\xff", 5);
  bytes += std::string(100000, 'x');
  write_file_atomically(folder_ / "a", bytes);
  EXPECT_EQ(read_file(folder_ / "a"), bytes);
  write_file_atomically(folder_ / "a", "");
  EXPECT_EQ(read_file(folder_ / "a"), "");
  EXPECT_THAT(names(), UnorderedElementsAre("a"));
}

TEST_F(Files, ReadsFilesThatStateNoSize) {
  EXPECT_FALSE(read_file("/proc/self/status").empty());
}

TEST_F(Files, NamesAFileThatCantBeRead) {
  EXPECT_THAT(error_of([&] { read_file(folder_ / "gone"); }),
              AllOf(HasSubstr("gone"), HasSubstr("No such file")));
  EXPECT_THAT(error_of([&] { read_file(folder_); }), HasSubstr("is a folder"));
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { read_file(folder_ / "pipe"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(error_of([] { read_file("/dev/zero"); }), HasSubstr("not a regular file"));
}

TEST_F(Files, RefusesAFileLargerThanTheBound) {
  write_file_atomically(folder_ / "a", "12345");
  EXPECT_EQ(read_file(folder_ / "a", 5), "12345");
  EXPECT_THAT(error_of([&] { read_file(folder_ / "a", 4); }), HasSubstr("5 bytes"));
  EXPECT_THAT(error_of([] { read_file("/proc/self/status", 4); }), HasSubstr("4 allowed"));
}

TEST_F(Files, NamesAPlaceThatCantBeWritten) {
  write_file_atomically(folder_ / "file", "x");
  EXPECT_THAT(error_of([&] { write_file_atomically(folder_ / "file" / "below", "x"); }),
              AllOf(HasSubstr("below"), HasSubstr("Not a directory")));
  EXPECT_THAT(error_of([&] { write_file_atomically(folder_ / "gone" / "a", "x"); }),
              HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { write_file_atomically(folder_, "x"); }), HasSubstr("cannot write"));
  EXPECT_NE(error_of([] { write_file_atomically("/proc/limewash", "x"); }), "no error");
}

TEST_F(Files, KeepsTheOldFileWhenTheDiskIsFull) {
  write_file_atomically(folder_ / "a", "before");
  // A limit on the size of files stands for a disk that fills up in the middle of a write.
  EXPECT_TRUE(holds_in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const std::string message =
        error_of([&] { write_file_atomically(folder_ / "a", std::string(5000, 'x')); });
    return message.find("File too large") != std::string::npos ? 0 : 1;
  }));
  EXPECT_EQ(read_file(folder_ / "a"), "before");
  EXPECT_THAT(names(), UnorderedElementsAre("a"));
}

TEST_F(Files, RespectsTheUmask) {
  write_file_atomically(folder_ / "a", "x");
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "a").c_str(), &status), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
}

TEST_F(Files, PublishesAFinishedFolder) {
  fs::create_directories(folder_ / "step.tmp");
  write_file_atomically(folder_ / "step.tmp" / "a", "x");
  sync_path(folder_ / "step.tmp");
  publish(folder_ / "step.tmp", folder_ / "step");
  EXPECT_EQ(read_file(folder_ / "step" / "a"), "x");
  EXPECT_THAT(names(), UnorderedElementsAre("step"));
  EXPECT_THAT(error_of([&] { publish(folder_ / "gone", folder_ / "other"); }), HasSubstr("gone"));
  EXPECT_THAT(error_of([&] { sync_path(folder_ / "gone"); }), HasSubstr("gone"));
}

using FolderLocks = FilesTest;

TEST_F(FolderLocks, RefusesASecondOwnerAndNamesTheFirst) {
  auto lock = std::make_unique<FolderLock>(folder_);
  EXPECT_THAT(error_of([&] { FolderLock second(folder_); }),
              AllOf(HasSubstr(folder_.string()),
                    HasSubstr("in use by process " + std::to_string(::getpid()) + " on ")));
  lock.reset();
  EXPECT_EQ(error_of([&] { FolderLock second(folder_); }), "no error");
  EXPECT_THAT(error_of([&] { FolderLock second(folder_ / "gone"); }), HasSubstr("gone"));
}

TEST_F(FolderLocks, HoldsAcrossProcessesAndEndsWithAKilledOwner) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder_);
    const bool told = ::write(ready[1], "1", 1) == 1;
    while (told) ::pause();
    std::_Exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(error_of([&] { FolderLock second(folder_); }),
              HasSubstr("in use by process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(error_of([&] { FolderLock second(folder_); }), "no error");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(FolderLocks, IsNotInheritedByProgramsThatTheOwnerStarts) {
  pid_t child = 0;
  {
    const FolderLock lock(folder_);
    child = ::fork();
    if (child == 0) {
      ::execlp("sleep", "sleep", "60", static_cast<char*>(nullptr));
      std::_Exit(127);
    }
    // The descriptor closes at exec: wait until the child is the other program.
    const auto program = fs::path("/proc") / std::to_string(child) / "comm";
    for (int i = 0; i < 5000 && read_file(program) != "sleep\n"; ++i) ::usleep(1000);
    EXPECT_EQ(read_file(program), "sleep\n");
  }
  EXPECT_EQ(error_of([&] { FolderLock second(folder_); }), "no error");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace limewash
