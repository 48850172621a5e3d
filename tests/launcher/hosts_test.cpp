#include "launcher/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

TEST(Hosts, AnEntryNamesAHostAndItsRanks) {
  EXPECT_THAT(parse_hosts({"one:4", "two:2"}, 6), ElementsAre(Host{"one", 4}, Host{"two", 2}));
  EXPECT_THAT(parse_hosts({"192.0.2.7:8"}, 3), ElementsAre(Host{"192.0.2.7", 8}));
  EXPECT_THAT(parse_hosts({}, 3), IsEmpty());
}

TEST(Hosts, WithoutANumberRanksAreSharedEvenly) {
  EXPECT_THAT(parse_hosts({"one", "two"}, 5), ElementsAre(Host{"one", 3}, Host{"two", 3}));
  EXPECT_THAT(parse_hosts({"one", "two:1"}, 3), ElementsAre(Host{"one", 2}, Host{"two", 1}));
}

TEST(Hosts, WhatIsNoHostIsNamed) {
  for (const char* entry : {"",
                            ":4",
                            "one:",
                            "one:0",
                            "one:-1",
                            "one:4x",
                            "one:4:4",
                            "a b",
                            "a,b",
                            "-oProxyCommand=x",
                            "17",
                            "+n0",
                            "one:65537",
                            "one:9223372036854775807"}) {
    EXPECT_THAT(
        [&] { parse_hosts({entry}, 1); },
        ThrowsMessage<ConfigError>(HasSubstr("launch.hosts = '" + std::string(entry) + "'")));
  }
  EXPECT_THAT(
      [] {
        parse_hosts({"one:1", "one:2"}, 2);
      },
      ThrowsMessage<ConfigError>(HasSubstr("'one' stands there twice")));
  EXPECT_THAT(
      [] {
        parse_hosts({"one:1", "two:2"}, 4);
      },
      ThrowsMessage<ConfigError>(HasSubstr("places for 3 ranks")));
}

TEST(Hosts, SlurmWritesItsTasksInShort) {
  EXPECT_THAT(slurm_hosts({"n1", "n2", "n3"}, "4(x2),3", 11),
              ElementsAre(Host{"n1", 4}, Host{"n2", 4}, Host{"n3", 3}));
  EXPECT_THAT(slurm_hosts({"n1"}, "2", 2), ElementsAre(Host{"n1", 2}));
  EXPECT_THAT(slurm_hosts({}, "2", 2), IsEmpty());
}

TEST(Hosts, MoreRanksThanSlurmsTasksAreSpread) {
  EXPECT_THAT(slurm_hosts({"n1", "n2"}, "1(x2)", 8), ElementsAre(Host{"n1", 4}, Host{"n2", 4}));
  EXPECT_THAT(slurm_hosts({"n1", "n2"}, "2,1", 6), ElementsAre(Host{"n1", 4}, Host{"n2", 2}));
}

TEST(Hosts, TasksThatDontFitTheNamesAreNoHelp) {
  for (const char* tasks :
       {"", "4", "4(x3)", "x", "4(x", "4(x2", "0(x2)", "4(x0)", "4(x99999999999)"}) {
    EXPECT_THAT(slurm_hosts({"n1", "n2"}, tasks, 5), ElementsAre(Host{"n1", 3}, Host{"n2", 3}))
        << tasks;
  }
}

TEST(Hosts, MpirunTakesThemAsOneText) {
  EXPECT_EQ(host_argument({{"one", 4}, {"two", 2}}), "one:4,two:2");
  EXPECT_EQ(host_argument({}), "");
}

TEST(Hosts, AHostIsReachableWhenAProcessThereAnswers) {
  const auto states = examine_hosts("/bin/false", {}, 3);
  ASSERT_EQ(states.size(), 1);
  EXPECT_EQ(states[0].host.ranks, 3);
  EXPECT_EQ(states[0].problem, "status 1");
}

}  // namespace
}  // namespace limewash::launcher
