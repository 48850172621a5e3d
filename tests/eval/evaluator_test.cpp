#include "eval/evaluator.h"

#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "data/image_io.h"
#include "runtime/stop_signal.h"
#include "tests/eval/mixed_dataset.h"
#include "tests/eval/random_alexnet.h"
#include "tests/eval/room_dataset.h"

namespace limewash::eval {
namespace {

class EvaluatorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rooms_ = new RoomDataset(3, 64);
    models::BaseOptions options;
    options.model = LIMEWASH_SOURCE_DIR "/models/limewash-tiny";
    base_ = new models::BaseModel(models::load_base_model(options));
    adapter_ = new models::Adapter(
        base_->unet, {}, base_->image_encoder->config().projection_dim, /*seed=*/3);
    // As if trained: with B at zero a LoRA would change nothing.
    const torch::NoGradGuard no_gradients;
    torch::manual_seed(1);
    for (models::NamedParameter& parameter : adapter_->lora_parameters()) {
      parameter.tensor.add_(0.02 * torch::randn_like(parameter.tensor));
    }
  }
  static void TearDownTestSuite() {
    delete adapter_;
    delete base_;
    delete rooms_;
  }

  static EvaluationOptions options() {
    EvaluationOptions result;
    result.photos = 3;
    result.references = 1;
    result.steps = 3;
    result.batch = 2;  // three batches of six paintings
    result.guidance = 1.5;
    return result;
  }

  static nlohmann::json read_json(const std::filesystem::path& path) {
    std::ifstream file(path);
    return nlohmann::json::parse(file);
  }

  /// metrics.json of an evaluation and the controls, as `ranks` threads make them.
  static std::pair<nlohmann::json, nlohmann::json> evaluate(int ranks, const std::string& name) {
    const auto communicators = make_thread_communicators(ranks);
    const data::Dataset dataset = rooms_->open();
    std::vector<nlohmann::json> results(ranks), controls(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        Evaluator evaluator(*base_, dataset, {}, options(), *communicators[rank]);
        results[rank] = evaluator.evaluate(7, adapter_, rooms_->folder() / name)->to_json();
        controls[rank] = evaluator.controls(*adapter_)->to_json();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int rank = 1; rank < ranks; ++rank) {
      EXPECT_EQ(results[rank], results[0]);
      EXPECT_EQ(controls[rank], controls[0]);
    }
    nlohmann::json file = read_json(rooms_->folder() / name / "metrics.json");
    EXPECT_EQ(file.at("metrics").at("delta_e_2000"), results[0].at("delta_e_2000"));
    return {file, controls[0]};
  }

  inline static RoomDataset* rooms_ = nullptr;
  inline static models::BaseModel* base_ = nullptr;
  inline static models::Adapter* adapter_ = nullptr;
};

TEST_F(EvaluatorTest, DoesNotDependOnTheNumberOfRanks) {
  const auto [one, one_controls] = evaluate(1, "one");
  EXPECT_EQ(one.at("paintings"), 6);
  for (const int ranks : {2, 4}) {
    const auto [more, more_controls] = evaluate(ranks, "more");
    EXPECT_EQ(one, more) << ranks << " ranks";
    EXPECT_EQ(one_controls, more_controls) << ranks << " ranks";
  }
}

TEST_F(EvaluatorTest, WritesARecordOfEachPaintingAndAGrid) {
  evaluate(1, "records");
  const nlohmann::json file = read_json(rooms_->folder() / "records/metrics.json");
  EXPECT_EQ(file.at("protocol"), kProtocolVersion);
  EXPECT_EQ(file.at("step"), 7);
  ASSERT_EQ(file.at("records").size(), 6u);
  EXPECT_EQ(file.at("records")[0].at("own_color"), true);
  EXPECT_EQ(file.at("records")[1].at("own_color"), false);
  EXPECT_EQ(file.at("records")[1].at("asked"), "#735244");
  EXPECT_TRUE(file.at("records")[1].at("delta_e_2000_exact").is_number());
  EXPECT_TRUE(file.at("records")[1].at("clip_similarity").is_number());
  EXPECT_TRUE(file.at("records")[1].at("lpips_outside").is_null());
  EXPECT_EQ(file.at("missing").at("lpips_outside"), 6);
  const data::Image grid = data::read_image(rooms_->folder() / "records/grid.png");
  EXPECT_GT(grid.width, 6 * 160);
  EXPECT_GT(grid.height, 3 * 160);
}

TEST_F(EvaluatorTest, MeasuresLpipsOutsideWhereItHasWeights) {
  const RandomAlexNet weights;
  EvaluationOptions with_lpips = options();
  with_lpips.lpips = weights.file().string();
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  Evaluator evaluator(*base_, dataset, {}, with_lpips, *communicator);
  const auto result = evaluator.evaluate(1, adapter_, rooms_->folder() / "lpips")->to_json();
  EXPECT_GT(result.at("lpips_outside").get<double>(), 0);
  EXPECT_FALSE(result.at("missing").contains("lpips_outside"));
}

TEST_F(EvaluatorTest, ControlsSayWhatTheyAreFor) {
  const auto [file, controls] = evaluate(1, "controls");
  const nlohmann::json& floor = controls.at("floor");
  const nlohmann::json& recolored = controls.at("recolored_without_network");
  // The VAE alone and the recolouring keep the room; neither sees the asked colour wrongly by much.
  EXPECT_LT(floor.at("delta_e_2000_exact").get<double>(), 5);
  EXPECT_LT(recolored.at("delta_e_2000_exact").get<double>(), 5);
  EXPECT_EQ(recolored.at("delta_e_2000_outside").get<double>(), 0);
  // The shuffled paintings are other paintings, measured against their own asked colours.
  EXPECT_NE(controls.at("shuffled_reference").at("delta_e_2000"),
            file.at("metrics").at("delta_e_2000"));
}

TEST_F(EvaluatorTest, TheBaseAloneIsWhatADisabledAdapterPaints) {
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  Evaluator evaluator(*base_, dataset, {}, options(), *communicator);
  const auto with = evaluator.evaluate(1, adapter_, rooms_->folder() / "with")->to_json();
  adapter_->set_enabled(false);
  const auto alone = evaluator.evaluate(1, nullptr, rooms_->folder() / "alone")->to_json();
  adapter_->set_enabled(true);
  const auto again = evaluator.evaluate(1, adapter_, rooms_->folder() / "again")->to_json();
  EXPECT_NE(with, alone);
  EXPECT_EQ(with, again);
  EXPECT_EQ(read_json(rooms_->folder() / "alone/metrics.json").at("adapter"), false);
}

TEST_F(EvaluatorTest, StopsWithoutAResultAndWithoutFiles) {
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  Evaluator evaluator(*base_, dataset, {}, options(), *communicator);
  request_stop();
  const auto result = evaluator.evaluate(1, adapter_, rooms_->folder() / "stopped");
  const auto controls = evaluator.controls(*adapter_);
  request_stop(false);
  EXPECT_FALSE(result);
  EXPECT_FALSE(controls);
  EXPECT_FALSE(std::filesystem::exists(rooms_->folder() / "stopped"));
}

TEST_F(EvaluatorTest, ANetworkThatBreaksIsMissingNotScored) {
  models::NamedParameter parameter = adapter_->lora_parameters().front();
  const at::Tensor saved = parameter.tensor.detach().clone();
  {
    const torch::NoGradGuard no_gradients;
    parameter.tensor.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  Evaluator evaluator(*base_, dataset, {}, options(), *communicator);
  const auto result = evaluator.evaluate(1, adapter_, rooms_->folder() / "broken");
  {
    const torch::NoGradGuard no_gradients;
    parameter.tensor.copy_(saved);
  }
  ASSERT_TRUE(result);
  EXPECT_EQ(result->metrics.get("delta_e_2000"), std::nullopt);
  EXPECT_TRUE(result->to_json().at("delta_e_2000_exact").is_null());
  EXPECT_EQ(result->to_json().at("missing").at("delta_e_2000"), 6);
}

TEST_F(EvaluatorTest, PaintsPhotosOfSeveralSizesTheSameOnAnyNumberOfRanks) {
  const MixedDataset photos(2, 3);
  const data::Dataset dataset = photos.open();
  ASSERT_EQ(dataset.buckets().size(), 2u);
  EvaluationOptions mixed = options();
  mixed.photos = 5;
  mixed.batch = 4;
  std::vector<nlohmann::json> files;
  for (const int ranks : {1, 3}) {
    const auto communicators = make_thread_communicators(ranks);
    const auto folder = photos.folder() / std::to_string(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        Evaluator evaluator(*base_, dataset, {}, mixed, *communicators[rank]);
        evaluator.evaluate(7, adapter_, folder);
        evaluator.evaluate(Baseline::kFloor, folder / "floor");
      });
    }
    for (std::thread& thread : threads) thread.join();
    files.push_back({read_json(folder / "metrics.json"), read_json(folder / "floor/metrics.json")});
    EXPECT_GT(data::read_image(folder / "grid.png").height, 5 * 110);
  }
  EXPECT_EQ(files[0], files[1]);
  const nlohmann::json& file = files[0][0];
  ASSERT_EQ(file.at("records").size(), 10u);
  int exact = 0;
  for (const nlohmann::json& record : file.at("records")) {
    EXPECT_TRUE(record.at("delta_e_2000").is_number()) << record;
    exact += record.at("delta_e_2000_exact").is_number();
  }
  EXPECT_EQ(exact, 4);  // the paintings of the two rooms
}

TEST_F(EvaluatorTest, ABaselineHasTheFiguresOfItsControl) {
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  Evaluator evaluator(*base_, dataset, {}, options(), *communicator);
  const auto controls = evaluator.controls(*adapter_);
  const auto recolored = evaluator.evaluate(Baseline::kRecolored, rooms_->folder() / "recolored");
  const auto floor = evaluator.evaluate(Baseline::kFloor, rooms_->folder() / "floor");
  EXPECT_EQ(metrics_to_json(recolored->metrics),
            metrics_to_json(controls->recolored_without_network));
  EXPECT_EQ(metrics_to_json(floor->metrics), metrics_to_json(controls->floor));
  // A run folder that vanished while its evaluator painted.
  EXPECT_ANY_THROW(evaluator.evaluate(Baseline::kFloor, rooms_->folder() / "gone/floor"));
  EXPECT_FALSE(std::filesystem::exists(rooms_->folder() / "gone"));
  const nlohmann::json file = read_json(rooms_->folder() / "recolored/metrics.json");
  EXPECT_EQ(file.at("method"), "recolored_without_network");
  EXPECT_TRUE(file.at("step").is_null());
  EXPECT_EQ(file.at("records").size(), 6u);
}

TEST_F(EvaluatorTest, WrongMasksAreMeasuredByTheRightOnes) {
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  EvaluationOptions wrong = options();
  wrong.mask_corruption = "missing_region";
  wrong.mask_iou = 0.6;
  Evaluator right(*base_, dataset, {}, options(), *communicator);
  Evaluator given(*base_, dataset, {}, wrong, *communicator);
  const auto folder = rooms_->folder();
  const auto before = right.evaluate(Baseline::kRecolored, folder / "right");
  const auto after = given.evaluate(Baseline::kRecolored, folder / "wrong");
  EXPECT_NEAR(*after->metrics.get("mask_iou"), 0.6, 0.1);
  EXPECT_EQ(before->metrics.get("mask_iou"), std::nullopt);
  // Two fifths of the wall keep their old colour, and are seen to.
  EXPECT_GT(*after->metrics.get("delta_e_2000_exact"),
            *before->metrics.get("delta_e_2000_exact") + 2);
  // The floor is the target's, whatever the mask.
  EXPECT_EQ(right.evaluate(Baseline::kFloor, folder / "a")->metrics.get("delta_e_2000_exact"),
            given.evaluate(Baseline::kFloor, folder / "b")->metrics.get("delta_e_2000_exact"));
  EXPECT_EQ(read_json(folder / "wrong/metrics.json").at("options").at("mask_iou"), 0.6);
}

TEST_F(EvaluatorTest, PastingKeepsThePhotoOutsideTheHole) {
  const auto communicator = make_single_process_communicator();
  const data::Dataset dataset = rooms_->open();
  EvaluationOptions pasted = options();
  pasted.paste = true;
  Evaluator evaluator(*base_, dataset, {}, pasted, *communicator);
  Evaluator bare(*base_, dataset, {}, options(), *communicator);
  const auto with = evaluator.evaluate(7, adapter_, rooms_->folder() / "pasted");
  const auto without = bare.evaluate(7, adapter_, rooms_->folder() / "bare");
  // The seam reaches a little beyond the ring.
  EXPECT_LT(*with->metrics.get("delta_e_2000_outside"), 0.4);
  EXPECT_GT(*without->metrics.get("delta_e_2000_outside"), 1);
  EXPECT_EQ(with->metrics.get("delta_e_2000"), without->metrics.get("delta_e_2000"));
}

}  // namespace
}  // namespace limewash::eval
