#include "tracking/journal.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <signal.h>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <xxhash.h>

#include "runtime/error.h"
#include "tests/tracking/run_folder.h"

namespace limewash::tracking {
namespace {

Entry metric(const std::string& key, double value, int64_t step) {
  Entry entry;
  entry.kind = EntryKind::kMetric;
  entry.time_ms = 1700000000000 + step;
  entry.key = key;
  entry.number = value;
  entry.step = step;
  return entry;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class Journal : public RunFolderTest {
 protected:
  void write(int count) {
    JournalWriter writer(path());
    for (int i = 0; i < count; ++i) writer.append(metric("loss", i + 0.5, i));
  }
  std::filesystem::path path() const {
    return journal_path(folder_, "trainer");
  }
  JournalChunk read(uint64_t offset = 0) const {
    return JournalReader(path(), offset).read();
  }
};

TEST_F(Journal, GivesBackEveryKindOfEntry) {
  std::vector<Entry> written;
  for (int kind = 0; kind < 8; ++kind) {
    Entry entry = metric("key \"quoted\"\n", 0.1 * kind, 3);
    entry.kind = static_cast<EntryKind>(kind);
    entry.value = "värde";
    entry.file = "grids/a.png";
    entry.path = "where";
    written.push_back(entry);
  }
  {
    JournalWriter writer(path());
    for (const auto& entry : written) writer.append(entry);
  }
  const auto chunk = read();
  ASSERT_EQ(chunk.items.size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) {
    EXPECT_EQ(chunk.items[i].entry.kind, written[i].kind);
    // Writing it again gives the same line, so every field of the kind came
    // back.
    EXPECT_EQ(to_journal_line(chunk.items[i].entry), to_journal_line(written[i]));
  }
  EXPECT_EQ(chunk.items[3].entry.number, 0.1 * 3);
}

TEST_F(Journal, KeepsNumbersThatJsonCannotHold) {
  const double values[] = {std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::denorm_min(),
                           -0.0,
                           0.1 + 0.2};
  {
    JournalWriter writer(path());
    for (const double value : values) writer.append(metric("v", value, 0));
  }
  const auto chunk = read();
  ASSERT_EQ(chunk.items.size(), 6u);
  EXPECT_TRUE(std::isnan(chunk.items[0].entry.number));
  for (size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(chunk.items[i].entry.number, values[i]);
    EXPECT_EQ(std::signbit(chunk.items[i].entry.number), std::signbit(values[i]));
  }
}

TEST_F(Journal, ReadsOnFromAnOffset) {
  write(3);
  const auto all = read();
  const auto rest = read(all.items[1].end);
  ASSERT_EQ(rest.items.size(), 1u);
  EXPECT_EQ(rest.items[0].entry.step, 2);
  EXPECT_EQ(rest.end, std::filesystem::file_size(path()));
}

TEST_F(Journal, ReadsInPieces) {
  write(100);
  JournalReader reader(path());
  size_t count = 0;
  int pieces = 0;
  for (bool more = true; more; ++pieces) {
    const auto chunk = reader.read(1);
    more = chunk.more;
    count += chunk.items.size();
  }
  EXPECT_EQ(count, 100u);
  EXPECT_GT(pieces, 50);
}

TEST_F(Journal, LeavesATornTailToTheWriterWhichCutsItOff) {
  write(3);
  const std::string whole = bytes_of(path());
  const size_t second = whole.find('\n') + 1;
  const size_t third = whole.find('\n', second) + 1;
  for (size_t cut = third + 1; cut < whole.size() - 1; ++cut) {
    put_bytes(path(), whole.substr(0, cut));
    const auto torn = read();
    ASSERT_EQ(torn.items.size(), 2u);
    ASSERT_EQ(torn.torn_bytes, cut - third);
    ASSERT_TRUE(torn.problems.empty());
  }
  {
    JournalWriter writer(path());
    EXPECT_EQ(writer.repaired_bytes(), whole.size() - 2 - third);
    writer.append(metric("loss", 9, 9));
  }
  const auto repaired = read();
  ASSERT_EQ(repaired.items.size(), 3u);
  EXPECT_EQ(repaired.items[2].entry.step, 9);
  EXPECT_TRUE(repaired.problems.empty());
  EXPECT_THAT(log(), ::testing::HasSubstr("bytes were cut off"));
}

TEST_F(Journal, EndsALastLineThatLacksOnlyItsNewline) {
  write(2);
  const std::string whole = bytes_of(path());
  put_bytes(path(), whole.substr(0, whole.size() - 1));
  { JournalWriter writer(path()); }
  EXPECT_EQ(bytes_of(path()), whole);
}

TEST_F(Journal, NamesALineWithAnyByteFlippedAndReadsTheOthers) {
  write(3);
  const std::string whole = bytes_of(path());
  const size_t begin = whole.find('\n') + 1;
  const size_t end = whole.find('\n', begin);
  for (size_t at = begin; at < end; ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x04);
    put_bytes(path(), damaged);
    const auto chunk = read();
    ASSERT_EQ(chunk.items.size(), 2u) << "byte " << at;
    ASSERT_EQ(chunk.items[1].entry.step, 2);
    ASSERT_GE(chunk.problems.size(), 1u);
    ASSERT_THAT(chunk.problems[0], ::testing::HasSubstr("journal-trainer.jsonl', line 2"));
  }
}

TEST_F(Journal, SurvivesLinesMadeToHurt) {
  const auto checked = [](const std::string& content) {
    char sum[17];
    std::snprintf(sum,
                  sizeof(sum),
                  "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(content.data(), content.size())));
    return R"({"xxh3":")" + std::string(sum) + R"(","entry":)" + content + "}\n";
  };
  std::string bytes = checked(std::string(200000, '[')) + checked("{}") + checked("[1,2]") +
                      checked(R"({"kind":"metric","time":1,"key":"k","value":"abc","step":1})") +
                      checked(R"({"kind":"metric","time":1,"key":"k","value":null,"step":1})") +
                      checked(R"({"kind":"metric","time":1,"key":7,"value":1,"step":1})") +
                      checked(R"({"kind":"dance","time":1})") + "\n" + std::string(100, '\0') +
                      "\n";
  bytes += to_journal_line(metric("loss", 1, 1));
  put_bytes(path(), bytes);
  const auto chunk = read();
  ASSERT_EQ(chunk.items.size(), 1u);
  EXPECT_EQ(chunk.problems.size(), 9u);
}

TEST_F(Journal, TakesTextThatIsNotUtf8) {
  Entry entry = metric("loss", 1, 1);
  entry.kind = EntryKind::kTag;
  entry.value = "caf\xe9";
  {
    JournalWriter writer(path());
    writer.append(entry);
  }
  EXPECT_EQ(read().items.at(0).entry.value, "caf\xef\xbf\xbd");
}

TEST_F(Journal, RefusesASecondWriter) {
  JournalWriter writer(path());
  EXPECT_THROW(JournalWriter second(path()), InputError);
}

TEST_F(Journal, KeepsEntriesWhileTheDiskIsFullAndSaysSoOnce) {
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  JournalWriter::Options options;
  options.sync_interval = std::chrono::milliseconds(10);
  JournalWriter writer(path(), options);
  writer.append(metric("loss", 0, 0));
  const size_t line = std::filesystem::file_size(path());
  struct rlimit full = before;
  full.rlim_cur = 5 * line + line / 2;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  for (int i = 1; i < 50; ++i) writer.append(metric("loss", i, i));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto meanwhile = read();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_GE(meanwhile.items.size(), 4u);
  EXPECT_LE(meanwhile.items.size(), 6u);
  EXPECT_EQ(log_count("cannot write"), 1u);
  EXPECT_TRUE(writer.sync());
  writer.append(metric("loss", 50, 50));
  EXPECT_TRUE(writer.close());
  const auto chunk = read();
  ASSERT_EQ(chunk.items.size(), 51u);
  for (int i = 0; i <= 50; ++i) EXPECT_EQ(chunk.items[static_cast<size_t>(i)].entry.step, i);
  EXPECT_TRUE(chunk.problems.empty());
}

TEST_F(Journal, SaysWhatWasLostWhenTheDiskStaysFull) {
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  JournalWriter::Options options;
  options.max_pending_bytes = 1000;
  JournalWriter writer(path(), options);
  struct rlimit full = before;
  full.rlim_cur = 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  for (int i = 0; i < 50; ++i) writer.append(metric("loss", i, i));
  const bool written = writer.close();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(written);
  EXPECT_THAT(log(), ::testing::HasSubstr("entries were lost"));
  EXPECT_EQ(read().items.size(), 0u);
}

TEST_F(Journal, TakesEntriesFromManyThreads) {
  {
    JournalWriter writer(path());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&writer, t] {
        for (int i = 0; i < 250; ++i) writer.append(metric(std::to_string(t), i, i));
      });
    }
    for (auto& thread : threads) thread.join();
  }
  const auto chunk = JournalReader(path()).read();
  EXPECT_EQ(chunk.items.size(), 1000u);
  EXPECT_TRUE(chunk.problems.empty());
}

}  // namespace
}  // namespace limewash::tracking
