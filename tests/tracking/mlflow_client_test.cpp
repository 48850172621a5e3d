#include "tracking/mlflow_client.h"

#include <chrono>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/tracking/fake_server.h"
#include "tests/tracking/run_folder.h"

namespace limewash::tracking {
namespace {

using ::testing::HasSubstr;
using Manner = FakeServer::Manner;
using Reply = FakeServer::Reply;
using Request = FakeServer::Request;

TrackerAddress address_of(const std::string& uri) {
  TrackerAddress address;
  address.uri = uri;
  address.timeout_seconds = 0.5;
  return address;
}

/// What a call answered by `reply` fails with; the whole error, for its
/// message.
TrackerError failure_with(const Reply& reply) {
  FakeServer server([&reply](const Request&) { return reply; });
  MlflowClient client(address_of(server.url()));
  try {
    client.log_metrics("run", {{"loss", 1, 1, 1}});
  } catch (const TrackerError& error) {
    return error;
  }
  throw std::logic_error("the call passed");
}

std::string error_body(const std::string& code, const std::string& message) {
  return nlohmann::json({{"error_code", code}, {"message", message}}).dump();
}

class Client : public RunFolderTest {};

TEST_F(Client, TakesOverloadForAPassingTrouble) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(failure_with({status, error_body("INTERNAL_ERROR", "x"), ""}).failure(),
              TrackerFailure::kUnavailable);
    EXPECT_EQ(failure_with({status, "<html>busy</html>", ""}).failure(),
              TrackerFailure::kUnavailable);
  }
  EXPECT_EQ(failure_with({429, "{}", "Retry-After: 17\r\n"}).retry_after_seconds(), 17);
}

TEST_F(Client, TakesAnExhaustedDatabasePoolForAPassingTroubleThoughItIsABadRequest) {
  for (const char* message : {"QueuePool limit of size 5 overflow 10 reached, connection timed out",
                              "(sqlite3.OperationalError) database is locked",
                              "(Background on this error at: https://sqlalche.me/e/20/e3q8)"}) {
    EXPECT_EQ(failure_with({400, error_body("BAD_REQUEST", message), ""}).failure(),
              TrackerFailure::kUnavailable);
  }
  EXPECT_EQ(failure_with({400, error_body("BAD_REQUEST", "Malformed JSON"), ""}).failure(),
            TrackerFailure::kInvalid);
}

TEST_F(Client, DoesNotRepeatAValueThatTheDatabaseNeverTakes) {
  const auto error = failure_with(
      {400,
       error_body(
           "BAD_REQUEST",
           "(psycopg2.errors.NumericValueOutOfRange) DataError (Background on this error at: "
           "https://sqlalche.me/e/20/9h9h)"),
       ""});
  EXPECT_EQ(error.failure(), TrackerFailure::kInvalid);
}

TEST_F(Client, TellsRefusalsApart) {
  EXPECT_EQ(failure_with({401, "You are not authenticated", ""}).failure(),
            TrackerFailure::kAuthentication);
  EXPECT_EQ(failure_with({403, error_body("PERMISSION_DENIED", "no"), ""}).failure(),
            TrackerFailure::kAuthentication);
  const auto host =
      failure_with({403, "Invalid Host header - possible DNS rebinding attack detected", ""});
  EXPECT_EQ(host.failure(), TrackerFailure::kHostHeader);
  EXPECT_THAT(host.what(), HasSubstr("--allowed-hosts"));
  EXPECT_EQ(
      failure_with({404, error_body("RESOURCE_DOES_NOT_EXIST", "Run not found"), ""}).failure(),
      TrackerFailure::kNotFound);
  EXPECT_EQ(failure_with({404, "<html>nginx</html>", ""}).failure(), TrackerFailure::kNotMlflow);
  EXPECT_EQ(failure_with({413, "<html>too large</html>", ""}).failure(), TrackerFailure::kInvalid);
  EXPECT_EQ(failure_with({400,
                          error_body("INVALID_PARAMETER_VALUE",
                                     "The run x must be in the 'active' state. "
                                     "Current state is deleted."),
                          ""})
                .failure(),
            TrackerFailure::kInactive);
  // A page that greets everyone with 200 has stored nothing.
  EXPECT_EQ(failure_with({200, "<html>log in here</html>", ""}).failure(),
            TrackerFailure::kUnavailable);
}

TEST_F(Client, EndsWaitingForAServerThatHangsTricklesOrIsSilent) {
  for (const Manner manner : {Manner::kHang, Manner::kTrickle, Manner::kSilence}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(failure_with({200, "{}", "", manner}).failure(), TrackerFailure::kUnavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  }
  MlflowClient nobody(address_of("http://127.0.0.1:" + std::to_string(unused_port())));
  try {
    nobody.get_run("x");
    FAIL() << "the call passed";
  } catch (const TrackerError& error) {
    EXPECT_EQ(error.failure(), TrackerFailure::kUnavailable);
  }
}

TEST_F(Client, EndsARequestUnderWayWhenTold) {
  FakeServer server([](const Request&) { return Reply{200, "{}", "", Manner::kHang}; });
  TrackerAddress address = address_of(server.url());
  address.timeout_seconds = 60;
  std::atomic<bool> stop{false};
  MlflowClient client(address, {}, &stop);
  std::thread stopper([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop = true;
  });
  const auto begin = std::chrono::steady_clock::now();
  try {
    client.get_run("x");
    ADD_FAILURE() << "the call passed";
  } catch (const TrackerError& error) {
    EXPECT_EQ(error.failure(), TrackerFailure::kStopped);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  stopper.join();
}

TEST_F(Client, SendsCompleteRequestsOverOneConnection) {
  FakeServer server([](const Request&) { return Reply{}; });
  MlflowClient client(address_of(server.url()));
  client.log_metrics("run", {{"loss", std::nan(""), 5, -3}, {"up", HUGE_VAL, 6, 7}});
  client.set_tags("run", {{"note", std::string("a\0b", 3)}});
  client.log_params("run", {{"lr", std::string(7000, 'x')}});
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(server.connections(), 1);
  for (const auto& request : requests) {
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.headers.at("content-type"), "application/json");
    EXPECT_EQ(request.headers.at("content-length"), std::to_string(request.body.size()));
    EXPECT_FALSE(request.headers.contains("expect"));
    EXPECT_FALSE(request.headers.contains("authorization"));
  }
  const auto metrics = nlohmann::json::parse(requests[0].body)["metrics"];
  EXPECT_EQ(metrics[0],
            nlohmann::json({{"key", "loss"}, {"value", "NaN"}, {"timestamp", 5}, {"step", -3}}));
  EXPECT_EQ(metrics[1]["value"], "Infinity");
  EXPECT_EQ(nlohmann::json::parse(requests[1].body)["tags"][0]["value"], "a b");
  const std::string param = nlohmann::json::parse(requests[2].body)["params"][0]["value"];
  EXPECT_EQ(param.size(), kMaxParamBytes);
  EXPECT_THAT(param, HasSubstr("[7000 bytes, whole in long_values]"));
}

TEST_F(Client, ShowsTheCredentialsOfTheEnvironmentAndNeverLogsThem) {
  FakeServer server([](const Request&) { return Reply{401, "no", ""}; });
  const auto authorization = [&server](const TrackerAddress& address) {
    MlflowClient client(address);
    EXPECT_THROW(client.get_run("x"), TrackerError);
    return server.requests().back().headers.at("authorization");
  };
  setenv("MLFLOW_TRACKING_TOKEN", "s3cret-token", 1);
  EXPECT_EQ(authorization(tracker_address_from_environment(server.url())), "Bearer s3cret-token");
  setenv("MLFLOW_TRACKING_USERNAME", "anna", 1);
  setenv("MLFLOW_TRACKING_PASSWORD", "s3cret", 1);
  EXPECT_EQ(authorization(tracker_address_from_environment(server.url())),
            "Basic YW5uYTpzM2NyZXQ=");
  unsetenv("MLFLOW_TRACKING_TOKEN");
  unsetenv("MLFLOW_TRACKING_USERNAME");
  unsetenv("MLFLOW_TRACKING_PASSWORD");
  const std::string port = std::to_string(server.port());
  const auto address =
      tracker_address_from_environment("http://anna:s3c%72et@127.0.0.1:" + port + "/");
  EXPECT_EQ(address.uri, server.url());
  EXPECT_EQ(authorization(address), "Basic YW5uYTpzM2NyZXQ=");
}

TEST_F(Client, RestoresADeletedExperimentAndCreatesAMissingOne) {
  FakeServer server([](const Request& request) {
    if (request.target.find("experiment_name=old%20walls") != std::string::npos) {
      return Reply{200, R"({"experiment":{"experiment_id":"7","lifecycle_stage":"deleted"}})", ""};
    }
    if (request.target.find("get-by-name") != std::string::npos) {
      return Reply{404, error_body("RESOURCE_DOES_NOT_EXIST", "none"), ""};
    }
    return Reply{200, R"({"experiment_id":"8"})", ""};
  });
  MlflowClient client(address_of(server.url()));
  EXPECT_EQ(client.ensure_experiment("old walls"), "7");
  EXPECT_THAT(server.requests().back().target, HasSubstr("experiments/restore"));
  EXPECT_EQ(client.ensure_experiment("new"), "8");
  EXPECT_THAT(server.requests().back().target, HasSubstr("experiments/create"));
}

TEST_F(Client, NoticesAStatusThatWasNotTaken) {
  FakeServer server([](const Request&) {
    return Reply{200, R"({"run_info":{"status":"RUNNING"}})", ""};
  });
  MlflowClient client(address_of(server.url()));
  EXPECT_NO_THROW(client.update_run("x", "RUNNING", 0));
  EXPECT_THROW(client.update_run("x", "DONE", 1), TrackerError);
}

TEST_F(Client, UploadsByThePageWhereTheServerHasNoArtifactProxy) {
  FakeServer server([](const Request&) { return Reply{}; });
  MlflowClient client(address_of(server.url()));
  const TrackerRun direct{"abc", "1", "s3://bucket/1/abc/artifacts", "RUNNING"};
  client.upload_bytes(direct, "bytes", "grids/a+b.png");
  EXPECT_EQ(server.requests().back().target,
            "/ajax-api/2.0/mlflow/"
            "upload-artifact?run_uuid=abc&path=grids%2Fa%2Bb.png");
  EXPECT_THROW(client.upload_bytes(direct, std::string((10 << 20) + 1, 'x'), "large"),
               TrackerError);
  const TrackerRun proxied{"abc", "1", "mlflow-artifacts:/1/abc/artifacts", "RUNNING"};
  client.upload_bytes(proxied, "bytes", "grids/a+b c.png");
  EXPECT_EQ(server.requests().back().method, "PUT");
  EXPECT_EQ(server.requests().back().target,
            "/api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/grids/"
            "a%2Bb%20c.png");
}

TEST(ArtifactUrl, FollowsTheServersWord) {
  const std::string uri = "https://host/prefix";
  EXPECT_EQ(artifact_url(uri, "mlflow-artifacts:/1/r/artifacts", "x"),
            "https://host/prefix/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x");
  EXPECT_EQ(artifact_url(uri, "mlflow-artifacts://other:5000/1/r/artifacts", "x"),
            "https://other:5000/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x");
  EXPECT_EQ(artifact_url(uri, "http://o/api/2.0/mlflow-artifacts/artifacts/1/r", "a/b"),
            "http://o/api/2.0/mlflow-artifacts/artifacts/1/r/a/b");
  for (const char* elsewhere : {"file:///data", "s3://bucket/x", "/data/x", "http://other/x", ""}) {
    EXPECT_EQ(artifact_url(uri, elsewhere, "x"), std::nullopt) << elsewhere;
  }
}

TEST(KeyProblem, IsWhatMlflowRefuses) {
  for (const char* good : {"loss", "evaluation/delta e", "a.b-c_d:1", "system/gpu_0", "größe"}) {
    EXPECT_EQ(key_problem(good), "") << good;
  }
  for (const char* bad : {"", "a%b", "a//b", "/a", "a/", "./a", "a/../b", "a\nb", "a\"b", "#"}) {
    EXPECT_NE(key_problem(bad), "") << bad;
  }
  EXPECT_EQ(key_problem(std::string(250, 'k')), "");
  EXPECT_NE(key_problem(std::string(251, 'k')), "");
}

TEST(Shorten, CutsAtACharactersBorderAndSaysSo) {
  EXPECT_EQ(shorten("short", 10), "short");
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  for (size_t limit = 50; limit < 60; ++limit) {
    const std::string cut = shorten(umlauts, limit);
    EXPECT_LE(cut.size(), limit);
    EXPECT_EQ(cut.find("...") % 2, 0u);
  }
}

TEST(TrackerAddressText, RefusesWhatIsNoServer) {
  for (const char* bad :
       {"sqlite:///x.db", "databricks", "file:./mlruns", "http://", "http://a b"}) {
    EXPECT_FALSE(is_http_uri(bad)) << bad;
  }
  EXPECT_TRUE(is_http_uri("HTTP://Host:5000/prefix/"));
  EXPECT_EQ(host_of("http://user:pw@[::1]:5000/x"), "[::1]");
  EXPECT_EQ(host_of("https://a.b:1/x"), "a.b");
  EXPECT_TRUE(has_credentials("http://u:p@h"));
  EXPECT_FALSE(has_credentials("http://h/a@b"));
}

}  // namespace
}  // namespace limewash::tracking
