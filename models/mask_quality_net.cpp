#include "models/mask_quality_net.h"

#include <algorithm>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "models/conv2d.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {
namespace {

namespace F = torch::nn::functional;

constexpr int64_t kClasses = 3;
/// The four of the recipe's `shares`.
constexpr int64_t kShares = 4;
constexpr int64_t kHidden = 32;
constexpr double kEpsilon = 1e-3;

struct Config {
  int64_t size;
  std::vector<int64_t> channels;

  explicit Config(const std::filesystem::path& path) {
    ModelConfigFile file(path);
    file.require("_class_name", {"MaskQualityNet"});
    file.require("classes", {{"clean", "noisy", "bad"}});
    file.number("clean_iou", std::nullopt);
    file.number("noisy_iou", std::nullopt);
    size = file.integer("size", std::nullopt, {32, 1024});
    channels = file.integer_list("channels", {1, 512});
    if (channels.size() != 4) file.reject("channels", "four widths");
    if (size % 16 != 0) file.reject("size", "a multiple of 16");
    file.finish();
  }
};

}  // namespace

struct MaskQualityNet::Network : torch::nn::Module {
  explicit Network(const Config& config) : size(config.size) {
    const auto& widths = config.channels;
    stem = convolution("stem", 4, widths[0], 2);
    down1 = convolution("down1", widths[0], widths[1], 2);
    conv1 = convolution("conv1", widths[1], widths[1], 1);
    down2 = convolution("down2", widths[1], widths[2], 2);
    block1 = convolution("block1", widths[2], widths[2], 1);
    block2 = convolution("block2", widths[2], widths[2], 1);
    context = register_module("context", torch::nn::Linear(2 * widths[2], widths[2]));
    mix = register_module("mix",
                          torch::nn::Conv2d(torch::nn::Conv2dOptions(widths[2], widths[2], 1)));
    errors =
        register_module("errors", torch::nn::Conv2d(torch::nn::Conv2dOptions(widths[2], 2, 1)));
    down3 = convolution("down3", widths[2], widths[3], 2);
    hidden = register_module("hidden", torch::nn::Linear(widths[3] + kShares, kHidden));
    classes = register_module("classes", torch::nn::Linear(kHidden, kClasses));
  }

  /// The recipe's Convolution: its batch normalisation is folded into the weights.
  torch::nn::Conv2d convolution(const std::string& name,
                                int64_t inputs,
                                int64_t outputs,
                                int64_t stride) {
    auto holder = register_module(name, std::make_shared<torch::nn::Module>());
    return holder->register_module(
        "conv",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(inputs, outputs, 3).stride(stride).padding(1)));
  }

  /// photo [N, 3, S, S] and mask [N, 1, S, S] in [0, 1] -> logits [N, 3].
  at::Tensor forward(const at::Tensor& photo, const at::Tensor& mask) {
    at::Tensor x = at::cat({(photo - 0.5) * 4, mask * 2 - 1}, 1);
    x = at::relu(stem->forward(x));                             // [N, C0, S/2, S/2]
    x = at::relu(conv1->forward(at::relu(down1->forward(x))));  // [N, C1, S/4, S/4]
    x = at::relu(down2->forward(x));                            // [N, C2, S/8, S/8]
    x = at::relu(x + block2->forward(at::relu(block1->forward(x))));
    const at::Tensor inside = at::avg_pool2d(mask, {8, 8});  // [N, 1, S/8, S/8]
    const at::Tensor area = inside.sum({2, 3});              // [N, 1]
    const at::Tensor within = (x * inside).sum({2, 3}) / (area + kEpsilon);
    const at::Tensor surroundings = context->forward(at::cat({within, x.mean({2, 3})}, 1));
    const at::Tensor cells = at::sigmoid(
        errors->forward(at::relu(mix->forward(x) + surroundings.unsqueeze(-1).unsqueeze(-1))));
    const at::Tensor wrong = (cells.narrow(1, 0, 1) * inside).sum({2, 3});
    const at::Tensor missed = (cells.narrow(1, 1, 1) * (1 - inside)).sum({2, 3});
    const at::Tensor whole = area + missed + kEpsilon;
    const at::Tensor pooled = at::relu(down3->forward(x)).mean({2, 3});
    const at::Tensor features = at::cat({pooled,
                                         wrong / (area + kEpsilon),
                                         missed / whole,
                                         (area - wrong) / whole,
                                         inside.mean({2, 3})},
                                        1);
    return classes->forward(at::relu(hidden->forward(features)));
  }

  /// [1, C, H, W] in [0, 1]: means of areas, bilinear where a side grows.
  at::Tensor scaled(at::Tensor picture) const {
    if (picture.size(2) < size || picture.size(3) < size)
      picture = F::interpolate(picture,
                               F::InterpolateFuncOptions()
                                   .size(std::vector<int64_t>{std::max(picture.size(2), size),
                                                              std::max(picture.size(3), size)})
                                   .mode(torch::kBilinear)
                                   .align_corners(false));
    return at::adaptive_avg_pool2d(picture, {size, size});
  }

  int64_t size;
  torch::nn::Conv2d stem{nullptr}, down1{nullptr}, conv1{nullptr}, down2{nullptr}, block1{nullptr},
      block2{nullptr}, mix{nullptr}, errors{nullptr}, down3{nullptr};
  torch::nn::Linear context{nullptr}, hidden{nullptr}, classes{nullptr};
};

MaskQualityNet::MaskQualityNet(const std::filesystem::path& folder)
    : network_(std::make_unique<Network>(Config(folder / "config.json"))) {
  load_weights(*network_, folder / "model.safetensors");
}

MaskQualityNet::~MaskQualityNet() = default;
MaskQualityNet::MaskQualityNet(MaskQualityNet&&) noexcept = default;
MaskQualityNet& MaskQualityNet::operator=(MaskQualityNet&&) noexcept = default;

std::array<float, 3> MaskQualityNet::probabilities(std::span<const uint8_t> rgb,
                                                   std::span<const uint8_t> mask,
                                                   int64_t height,
                                                   int64_t width) const {
  const auto pixels = static_cast<size_t>(height * width);
  TORCH_CHECK(pixels > 0 && mask.size() == pixels && rgb.size() == 3 * pixels,
              "mask classifier: photo and mask are not ",
              height,
              "x",
              width);
  // The callers are the parallelism; LibTorch's own threads would only stand in their way.
  thread_local const bool alone = (at::set_num_threads(1), true);
  static_cast<void>(alone);
  const torch::NoGradGuard no_gradients;
  const auto tensor = [&](std::span<const uint8_t> bytes, int64_t channels) {
    return torch::from_blob(
               const_cast<uint8_t*>(bytes.data()), {1, height, width, channels}, torch::kUInt8)
        .permute({0, 3, 1, 2})
        .to(torch::kFloat)
        .contiguous()
        .div_(255);
  };
  const at::Tensor logits =
      network_->forward(network_->scaled(tensor(rgb, 3)), network_->scaled(tensor(mask, 1)));
  const at::Tensor shares = at::softmax(logits, 1).contiguous();
  const float* p = shares.data_ptr<float>();
  return {p[0], p[1], p[2]};
}

float MaskQualityNet::score(std::span<const uint8_t> rgb,
                            std::span<const uint8_t> mask,
                            int64_t height,
                            int64_t width) const {
  const auto p = probabilities(rgb, mask, height, width);
  return p[0] + p[1] / 2;
}

}  // namespace limewash::models
