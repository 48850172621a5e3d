#include "tracking/journal_repair.h"

#include <cstdio>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <xxhash.h>

#include "runtime/error.h"
#include "tests/tracking/run_folder.h"
#include "tracking/lease.h"
#include "tracking/shipping_state.h"

namespace limewash::tracking {
namespace {

class JournalRepairTest : public RunFolderTest {
 protected:
  static std::string line_of(int64_t step) {
    Entry entry;
    entry.key = "loss";
    entry.step = step;
    entry.number = 0.5;
    entry.time_ms = 1000 + step;
    return to_journal_line(entry);
  }

  std::filesystem::path path() const {
    return journal_path(folder_, "trainer");
  }
  void write(const std::string& bytes) const {
    std::ofstream(path(), std::ios::binary) << bytes;
  }
  static std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::filesystem::path damaged() const {
    return path().string() + ".damaged";
  }
};

TEST_F(JournalRepairTest, AWholeJournalIsNotTouched) {
  write(line_of(1) + line_of(2));
  const auto before = std::filesystem::last_write_time(path());
  const auto repairs = repair_journals(folder_);
  ASSERT_EQ(repairs.size(), 1u);
  EXPECT_EQ(repairs[0].intact, 2u);
  EXPECT_TRUE(repairs[0].damage.empty());
  EXPECT_EQ(std::filesystem::last_write_time(path()), before);
  EXPECT_FALSE(std::filesystem::exists(damaged()));
}

TEST_F(JournalRepairTest, DamageIsNamedByPlaceAndSetAsideAndTheRestStays) {
  std::string flipped = line_of(2);
  flipped[40] ^= 1;
  const std::string torn = line_of(5).substr(0, 30);
  write(line_of(1) + flipped + "\n" + line_of(3) + line_of(4) + torn);
  const auto repair = repair_journals(folder_).front();
  EXPECT_EQ(repair.intact, 3u);
  ASSERT_EQ(repair.damage.size(), 2u);
  EXPECT_EQ(repair.damage[0].line, 2u);
  EXPECT_EQ(repair.damage[0].lines, 2u);
  EXPECT_EQ(repair.damage[0].offset, line_of(1).size());
  EXPECT_EQ(repair.damage[0].bytes, flipped.size() + 1);
  EXPECT_EQ(repair.damage[1].line, 6u);
  EXPECT_TRUE(repair.damage[1].torn);
  EXPECT_EQ(bytes_of(path()), line_of(1) + line_of(3) + line_of(4));
  EXPECT_EQ(bytes_of(damaged()), flipped + "\n" + torn + "\n");
}

TEST_F(JournalRepairTest, ALastEntryWithoutItsNewlineIsKept) {
  std::string text = line_of(1) + line_of(2);
  text.pop_back();
  write(text);
  const auto repair = repair_journals(folder_).front();
  EXPECT_EQ(repair.intact, 2u);
  EXPECT_TRUE(repair.newline_added);
  EXPECT_EQ(bytes_of(path()), line_of(1) + line_of(2));
}

TEST_F(JournalRepairTest, EntriesOfALaterVersionAreNoDamage) {
  const std::string content = R"({"kind":"of a later version"})";
  char checksum[17];
  std::snprintf(checksum,
                sizeof checksum,
                "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(content.data(), content.size())));
  write(line_of(1) + "{\"xxh3\":\"" + checksum + "\",\"entry\":" + content + "}\n");
  const auto repair = repair_journals(folder_).front();
  EXPECT_EQ(repair.intact, 2u);
  EXPECT_TRUE(repair.damage.empty());
}

TEST_F(JournalRepairTest, ASecondRepairAddsToWhatWasSetAside) {
  write(line_of(1) + "first\n");
  repair_journals(folder_);
  std::ofstream(path(), std::ios::app) << "second\n" << line_of(2);
  repair_journals(folder_);
  EXPECT_EQ(bytes_of(damaged()), "first\nsecond\n");
  EXPECT_EQ(bytes_of(path()), line_of(1) + line_of(2));
}

TEST_F(JournalRepairTest, WhatWasNotShippedBeforeIsNotCalledShippedAfter) {
  const std::string damage = "not a line of a journal at all, and rather long at that\n";
  write(line_of(1) + damage + line_of(2) + line_of(3));
  ShippingState state;
  state.uri = "http://127.0.0.1:1";
  state.run_id = "r";
  const uint64_t shipped = line_of(1).size() + damage.size() + line_of(2).size();
  state.records["journal-trainer.jsonl"] = shipped;
  state.files["journal-trainer.jsonl"] = line_of(1).size() + 10;  // inside of the damage
  save_shipping_state(folder_, state);
  save_shipping_state(folder_, state, replay_state_file("http://127.0.0.1:2"));
  repair_journals(folder_);
  for (const std::string& file : find_shipping_states(folder_)) {
    const auto moved = load_shipping_state(folder_, file);
    EXPECT_EQ(moved.records.at("journal-trainer.jsonl"), shipped - damage.size()) << file;
    EXPECT_EQ(moved.files.at("journal-trainer.jsonl"), line_of(1).size()) << file;
  }
  EXPECT_EQ(find_shipping_states(folder_).size(), 2u);
}

TEST_F(JournalRepairTest, ARunThatIsWrittenOrShippedIsLeftAlone) {
  write(line_of(1) + "damage\n");
  const std::string before = bytes_of(path());
  {
    Lease lease(folder_);
    ASSERT_TRUE(lease.try_acquire());
    EXPECT_THROW(repair_journals(folder_), InputError);
  }
  {
    JournalWriter writer(path());
    EXPECT_THROW(repair_journals(folder_), InputError);
  }
  EXPECT_EQ(bytes_of(path()), before);
}

TEST_F(JournalRepairTest, ADeadBlockOfZerosOrOfLinesOfAnyLengthIsDamage) {
  write(line_of(1) + std::string(3 << 20, '\0') + "\n" + line_of(2) + std::string(1 << 20, '\n') +
        line_of(3));
  const auto repair = repair_journals(folder_).front();
  EXPECT_EQ(repair.intact, 3u);
  EXPECT_EQ(repair.damage.size(), 2u);
  EXPECT_EQ(bytes_of(path()), line_of(1) + line_of(2) + line_of(3));
}

TEST_F(JournalRepairTest, AFolderWithoutJournalIsAnError) {
  EXPECT_THROW(repair_journals(folder_), InputError);
}

}  // namespace
}  // namespace limewash::tracking
