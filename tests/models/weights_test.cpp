// Where weights are looked for, shards, the hub's cache, and what loading does with the memory.

#include "models/weights.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/mapped_file.h"
#include "models/model_folder.h"
#include "models/unet.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kStem = "diffusion_pytorch_model";

/// The tensors of the golden UNet, in memory of their own.
TensorMap unet_tensors() {
  TensorMap tensors;
  for (const auto& [name, tensor] :
       read_safetensors(golden_path("base/unet") / (kStem + ".safetensors")).tensors) {
    tensors[name] = tensor.clone();
  }
  return tensors;
}

/// The file behind the memory of a tensor, from the system's list of mappings.
std::string mapped_file_of(const at::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    std::istringstream words(line);
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string permissions, offset, device, inode, file;
    words >> std::hex >> begin >> dash >> end >> permissions >> offset >> device >> inode >> file;
    if (address >= begin && address < end) return file;
  }
  return "";
}

class WeightsTest : public ::testing::Test {
 protected:
  WeightsTest() {
    std::filesystem::copy(golden_path("base/unet/config.json"), file("config.json"));
  }
  std::filesystem::path file(const std::string& name) const {
    return folder.path() / name;
  }
  /// Two shards, every other tensor in each, and their index.
  void write_shards(const std::string& index = kStem + ".safetensors.index.json") {
    const TensorMap tensors = unet_tensors();
    nlohmann::json places;
    for (const auto& [name, tensor] : tensors) {
      const size_t part = places.size() % 2;
      shards[part][name] = tensor;
      places[name] = shard_name(part);
    }
    for (size_t part : {0, 1}) write_safetensors(file(shard_name(part)), shards[part]);
    write_index(places, index);
  }
  static std::string shard_name(size_t part) {
    return kStem + "-0000" + std::to_string(part + 1) + "-of-00002.safetensors";
  }
  void write_index(const nlohmann::json& places, const std::string& name) {
    write_file_atomically(
        file(name),
        nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", places}}.dump());
  }
  nlohmann::json read_index() const {
    return nlohmann::json::parse(read_file(file(kStem + ".safetensors.index.json")))["weight_map"];
  }
  std::string error_of_loading() {
    return message_of<InputError>([&] { load_unet(folder.path()); });
  }
  void expect_golden(UNet2DConditionModel unet, double tolerance = 1e-5) {
    torch::NoGradGuard no_grad;
    const auto inputs = golden("base/unet_inputs");
    expect_close(
        unet->forward(
            inputs.at("sample"), inputs.at("timestep"), inputs.at("encoder_hidden_states")),
        golden("base/unet_outputs").at("sample"),
        tolerance);
  }
  TemporaryFolder folder;
  TensorMap shards[2];
};

TEST_F(WeightsTest, ShardsAreReadByTheirIndex) {
  write_shards();
  expect_golden(load_unet(folder.path()));
  const WeightsFiles files = find_weights(folder.path(), kStem);
  EXPECT_EQ(files.files.size(), 2u);
  EXPECT_EQ(files.shown(), file(kStem + ".safetensors.index.json"));
}

TEST_F(WeightsTest, BothSpellingsOfAHalfPrecisionIndexAreKnown) {
  for (const std::string suffix :
       {".safetensors.index.fp16.json", ".fp16.safetensors.index.json"}) {
    write_shards(kStem + suffix);
    expect_golden(load_unet(folder.path()));
    std::filesystem::remove(file(kStem + suffix));
  }
}

TEST_F(WeightsTest, ShardsThatDisagreeWithTheirIndexAreNamed) {
  write_shards();
  const std::string name = shards[0].begin()->first;
  const at::Tensor tensor = shards[0].at(name);

  shards[0].erase(name);
  write_safetensors(file(shard_name(0)), shards[0]);
  EXPECT_THAT(error_of_loading(),
              AllOf(HasSubstr(shard_name(0)), HasSubstr(name), HasSubstr("is missing")));

  shards[1][name] = tensor;
  write_safetensors(file(shard_name(1)), shards[1]);
  EXPECT_THAT(
      error_of_loading(),
      AllOf(HasSubstr(shard_name(1) + ": " + name), HasSubstr("belongs into " + shard_name(0))));

  shards[0][name] = tensor;  // now in both
  write_safetensors(file(shard_name(0)), shards[0]);
  EXPECT_THAT(error_of_loading(), HasSubstr("belongs into " + shard_name(0)));

  shards[1].erase(name);
  shards[1]["surplus"] = tensor;
  write_safetensors(file(shard_name(1)), shards[1]);
  EXPECT_THAT(error_of_loading(),
              AllOf(HasSubstr(shard_name(1) + ": surplus"), HasSubstr("is not in")));

  std::filesystem::remove(file(shard_name(1)));
  EXPECT_THAT(error_of_loading(), AllOf(HasSubstr(shard_name(1)), HasSubstr("does not exist")));
}

TEST_F(WeightsTest, AnIndexNamesFilesOfItsOwnFolderOnly) {
  write_shards();
  nlohmann::json places = read_index();
  const std::string name = places.begin().key();
  for (const nlohmann::json& value : {nlohmann::json("../" + shard_name(0)),
                                      nlohmann::json("/etc/passwd"),
                                      nlohmann::json(""),
                                      nlohmann::json(".."),
                                      nlohmann::json(3)}) {
    places[name] = value;
    write_index(places, kStem + ".safetensors.index.json");
    EXPECT_THAT(error_of_loading(), AllOf(HasSubstr(name), HasSubstr("same folder")));
  }
  write_file_atomically(file(kStem + ".safetensors.index.json"), "{}");
  EXPECT_THAT(error_of_loading(), HasSubstr("weight_map"));
}

TEST_F(WeightsTest, VariantsAreLookedForInAFixedOrder) {
  const std::vector<std::string> names = {
      kStem + ".safetensors", kStem + ".fp16.safetensors", kStem + ".bin", kStem + ".fp16.bin"};
  for (const auto& name : names) std::ofstream(file(name)) << "x";
  for (const auto& name : names) {
    EXPECT_EQ(find_weights(folder.path(), kStem).shown().filename(), name);
    std::filesystem::remove(file(name));
  }
  EXPECT_THAT(message_of<InputError>([&] { find_weights(folder.path(), kStem); }),
              AllOf(HasSubstr(folder.path().string()),
                    HasSubstr(kStem + ".safetensors, "),
                    HasSubstr(kStem + ".safetensors.index.json, "),
                    HasSubstr(kStem + ".fp16.safetensors, "),
                    HasSubstr(kStem + ".bin, ")));
  std::ofstream(file("pytorch_model.bin")) << "x";
  EXPECT_EQ(find_weights(folder.path(), "model").shown().filename(), "pytorch_model.bin");
}

TEST_F(WeightsTest, AFileOfTorchIsLoadedLikeSafetensors) {
  std::filesystem::copy(golden_path("pickles/state_dict.bin"), file("weights.bin"));
  torch::nn::Sequential network(torch::nn::Linear(3, 5),
                                torch::nn::LayerNorm(torch::nn::LayerNormOptions({5})));
  load_weights(*network, file("weights.bin"));
  const TensorMap expected = golden("pickles/state_dict");
  for (const auto& item : network->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), expected.at(item.key()))) << item.key();
    EXPECT_FALSE(item.value().requires_grad());
  }
}

TEST_F(WeightsTest, ContentAndNotTheNameTellsTheFormat) {
  std::filesystem::copy(golden_path("pickles/state_dict.bin"), file("a.safetensors"));
  EXPECT_EQ(read_weights_file(file("a.safetensors")).tensors.size(), 4u);
  write_safetensors(file("b.bin"), {{"w", at::ones({3})}}, {{"format", "pt"}});
  EXPECT_EQ(read_weights_file(file("b.bin")).metadata.at("format"), "pt");
  std::ofstream(file("c.bin")) << "<html>Not found</html>";
  EXPECT_THAT(message_of<InputError>([&] { read_weights_file(file("c.bin")); }),
              AllOf(HasSubstr("c.bin"), HasSubstr("neither safetensors nor")));
  EXPECT_THAT(message_of<InputError>([&] { read_weights_file(file("none.bin")); }),
              HasSubstr("No such file"));
}

TEST_F(WeightsTest, ParametersOfTheSameTypeAndOrderLieInTheFile) {
  write_safetensors(file(kStem + ".safetensors"), unet_tensors());
  UNet2DConditionModel unet = load_unet(folder.path());
  for (const auto& item : unet->named_parameters()) {
    // Convolutions have another order than the file; size 1 has no order.
    const at::Tensor& tensor = item.value();
    const bool reordered = tensor.dim() == 4 && tensor.size(2) > 1;
    EXPECT_EQ(mapped_file_of(tensor), reordered ? "[heap]" : file(kStem + ".safetensors").string())
        << item.key();
  }
  expect_golden(unet);
  // The memory stays when the file's name goes.
  std::filesystem::remove(file(kStem + ".safetensors"));
  expect_golden(unet);
}

TEST_F(WeightsTest, TrainingAParameterLeavesTheFileAndOtherLoadersAlone) {
  write_safetensors(file(kStem + ".safetensors"), unet_tensors());
  const std::string before = read_file(file(kStem + ".safetensors"));
  UNet2DConditionModel unet = load_unet(folder.path());
  UNet2DConditionModel other = load_unet(folder.path());
  {
    torch::NoGradGuard no_grad;
    for (auto& parameter : unet->parameters()) parameter.add_(1);
  }
  EXPECT_EQ(read_file(file(kStem + ".safetensors")), before);
  expect_golden(other);
}

TEST_F(WeightsTest, WeightsAreConvertedToTheParametersOrTheGivenType) {
  TensorMap half;
  for (const auto& [name, tensor] : unet_tensors()) half[name] = tensor.to(at::kHalf);
  write_safetensors(file(kStem + ".fp16.safetensors"), half);
  UNet2DConditionModel unet(UNetConfig::from_json(file("config.json")));
  const WeightsFiles files = find_weights(folder.path(), kStem);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    load_weights(*unet, files, {}, type);
    for (const auto& item : unet->named_parameters()) {
      EXPECT_TRUE(at::equal(item.value(), half.at(item.key()).to(type))) << item.key();
    }
  }
  load_weights(*unet, files);
  EXPECT_EQ(unet->parameters().front().scalar_type(), at::kHalf) << "a parameter keeps its type";
  expect_golden(load_unet(folder.path()), 5e-3);
}

TEST_F(WeightsTest, ParametersSavedAsOneMemoryBecomeTwo) {
  struct Two : torch::nn::Module {
    Two() {
      whole = register_parameter("whole", at::empty({6, 4}));
      rows = register_parameter("rows", at::empty({2, 4}));
      transposed = register_parameter("transposed", at::empty({4, 6}));
      column = register_parameter("column", at::empty({6}));
      parameter = register_parameter("parameter", at::empty({2, 2}));
    }
    at::Tensor whole, rows, transposed, column, parameter;
  } two;
  load_weights(two, golden_path("pickles/views.bin"));
  const TensorMap expected = golden("pickles/views");
  torch::NoGradGuard no_grad;
  two.whole.zero_();
  EXPECT_TRUE(at::equal(two.transposed, expected.at("transposed")));
  EXPECT_TRUE(at::equal(two.column, expected.at("column")));
  EXPECT_TRUE(at::equal(two.rows, expected.at("rows")));
}

TEST(MappedFile, DroppedMemoryIsReadAgain) {
  TemporaryFolder folder;
  const auto path = folder.path() / "a.safetensors";
  write_safetensors(path, {{"a", at::arange(100'000)}});
  WeightsFile file = read_weights_file(path);
  const at::Tensor tensor = file.tensors.at("a"), elsewhere = at::ones({100'000});
  file.drop(tensor);
  file.drop(elsewhere);
  EXPECT_TRUE(at::equal(tensor, at::arange(100'000)));
  EXPECT_TRUE(at::equal(elsewhere, at::ones({100'000})));
}

class HubFolder : public ::testing::Test {
 protected:
  std::filesystem::path snapshot(const std::string& hash) {
    std::filesystem::create_directories(root / "snapshots" / hash);
    return root / "snapshots" / hash;
  }
  void write_ref(const std::string& hash) {
    std::filesystem::create_directories(root / "refs");
    std::ofstream(root / "refs/main") << hash;
  }
  std::string error() {
    return message_of<InputError>([&] { resolve_model_folder(root); });
  }
  TemporaryFolder folder;
  std::filesystem::path root = folder.path() / "models--org--name";
};

TEST_F(HubFolder, TheSnapshotOfRefsMainIsTaken) {
  const auto wanted = snapshot("abc123");
  snapshot("def456");
  write_ref("abc123\n");
  EXPECT_EQ(resolve_model_folder(root), wanted);
  EXPECT_EQ(resolve_model_folder(wanted), wanted);
}

TEST_F(HubFolder, WithoutARefTheOnlySnapshotIsTaken) {
  const auto only = snapshot("abc123");
  EXPECT_EQ(resolve_model_folder(root), only);
  snapshot("def456");
  EXPECT_THAT(error(), AllOf(HasSubstr("models--org--name"), HasSubstr("abc123, def456")));
}

TEST_F(HubFolder, BrokenFoldersAreNamed) {
  std::filesystem::create_directories(root / "snapshots");
  EXPECT_THAT(error(), HasSubstr("no snapshot"));
  snapshot("abc123");
  write_ref("fed999");
  EXPECT_THAT(error(), AllOf(HasSubstr("fed999"), HasSubstr("not there")));
  write_ref("../../etc");
  EXPECT_THAT(error(), AllOf(HasSubstr("refs/main"), HasSubstr("no revision")));
}

TEST_F(HubFolder, LinksToBlobsAreFollowed) {
  const auto unet = snapshot("abc123") / "unet";
  std::filesystem::create_directories(unet);
  std::filesystem::create_directories(root / "blobs");
  for (const std::string name : {"config.json", "diffusion_pytorch_model.safetensors"}) {
    std::filesystem::copy(golden_path("base/unet") / name, root / "blobs" / ("blob-" + name));
    std::filesystem::create_symlink("../../../blobs/blob-" + name, unet / name);
  }
  EXPECT_EQ(load_unet(folder_of_part(resolve_model_folder(root), "unet"))->config().in_channels, 9);
}

}  // namespace
}  // namespace limewash::models
