#include "tracking/artifact_upload.h"

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "tests/tracking/fake_server.h"
#include "tests/tracking/run_folder.h"

namespace limewash::tracking {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Reply = FakeServer::Reply;
using Request = FakeServer::Request;

constexpr UploadLimits kSmall{.multipart_from = 1000, .part_bytes = 400};

/// A tracker, and the store whose addresses it signs.
class ArtifactUpload : public RunFolderTest {
 protected:
  void SetUp() override {
    RunFolderTest::SetUp();
    for (int i = 0; i < 1050; ++i) content_ += static_cast<char>('a' + i % 26);
    std::ofstream(folder_ / "weights") << content_;
  }

  Reply answer(const Request& request) const {
    const auto is = [&request](const char* text) {
      return request.target.find(text) != std::string::npos;
    };
    if (is("/mpu/create/")) {
      if (!takes_parts_) return {501, R"({"error_code":"NOT_IMPLEMENTED","message":"no"})", ""};
      json parts = json::array();
      for (int i = 1; i <= json::parse(request.body)["num_parts"].get<int>(); ++i) {
        parts.push_back({{"url", store_.url() + "/part" + std::to_string(i) + "?signature=s"},
                         {"part_number", i},
                         {"headers", {{"x-signed", "yes"}}}});
      }
      return {200, json({{"upload_id", "up"}, {"credentials", parts}}).dump(), ""};
    }
    return {200, "{}", ""};
  }

  void upload(const UploadLimits& limits = kSmall) {
    TrackerAddress address;
    address.uri = tracker_.url();
    address.username = "anna";
    address.password = "s3cret";
    HttpSession session(address, {});
    upload_artifact(session,
                    {"r", "mlflow-artifacts:/1/r/artifacts", "adapter/weights.bin"},
                    folder_ / "weights",
                    limits);
  }

  std::string content_;
  bool takes_parts_ = true;
  int store_status_ = 200;
  FakeServer store_{[this](const Request& request) {
    return Reply{store_status_, "", "ETag: \"tag" + request.target.substr(5, 1) + "\"\r\n"};
  }};
  FakeServer tracker_{[this](const Request& request) { return answer(request); }};
};

TEST_F(ArtifactUpload, SendsALargeFileInPartsToTheStoreWithoutTellingItWhoWeAre) {
  upload();
  const auto parts = store_.requests();
  ASSERT_EQ(parts.size(), 3u);
  std::string received;
  for (const auto& part : parts) {
    EXPECT_EQ(part.method, "PUT");
    EXPECT_EQ(part.headers.at("x-signed"), "yes");
    EXPECT_FALSE(part.headers.contains("authorization"));
    received += part.body;
  }
  EXPECT_EQ(received, content_);
  const auto calls = tracker_.requests();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].target, "/api/2.0/mlflow-artifacts/mpu/create/1/r/artifacts/adapter");
  EXPECT_TRUE(calls[0].headers.contains("authorization"));
  EXPECT_EQ(json::parse(calls[0].body), json({{"path", "weights.bin"}, {"num_parts", 3}}));
  EXPECT_EQ(calls[1].target, "/api/2.0/mlflow-artifacts/mpu/complete/1/r/artifacts/adapter");
  const json done = json::parse(calls[1].body);
  EXPECT_EQ(done["upload_id"], "up");
  ASSERT_EQ(done["parts"].size(), 3u);
  EXPECT_EQ(done["parts"][2]["etag"], "\"tag3\"");
  EXPECT_EQ(done["parts"][2]["part_number"], 3);
}

TEST_F(ArtifactUpload, SendsOnePieceWhereTheStoreTakesNoParts) {
  takes_parts_ = false;
  upload();
  EXPECT_TRUE(store_.requests().empty());
  EXPECT_EQ(tracker_.requests().back().method, "PUT");
  EXPECT_EQ(tracker_.requests().back().body, content_);
}

TEST_F(ArtifactUpload, SendsASmallFileInOnePiece) {
  upload({});
  ASSERT_EQ(tracker_.requests().size(), 1u);
  EXPECT_EQ(tracker_.requests().back().body, content_);
}

TEST_F(ArtifactUpload, TakesPartsBackWhenTheStoreRefusesOne) {
  store_status_ = 403;
  try {
    upload();
    ADD_FAILURE() << "a refused part passed";
  } catch (const TrackerError& error) {
    EXPECT_EQ(error.failure(), TrackerFailure::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("part 1: the store answered HTTP 403"));
  }
  EXPECT_THAT(tracker_.requests().back().target, HasSubstr("/mpu/abort/1/r/artifacts/adapter"));
}

TEST_F(ArtifactUpload, NamesAFileThatIsNotThere) {
  std::filesystem::remove(folder_ / "weights");
  EXPECT_THROW(upload(), InputError);
}

}  // namespace
}  // namespace limewash::tracking
