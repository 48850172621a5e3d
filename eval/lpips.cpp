#include "eval/lpips.h"

#include <array>
#include <cmath>
#include <span>
#include <vector>

#include <torch/torch.h>

#include "eval/size_text.h"
#include "models/device_constant.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

/// A convolution of torchvision's `features`, with a ReLU after it.
struct Convolution {
  int64_t index;  ///< in `features`
  int64_t inputs, outputs, kernel, stride, padding;
  bool pooled;  ///< its input goes through max pooling first
  bool tapped;  ///< what comes out of its ReLU is compared
};

struct Layout {
  const char* name;   ///< lpips' own
  const char* title;  ///< for people
  std::span<const Convolution> convolutions;
  int64_t pool_kernel;  ///< of stride 2
  int64_t least_side;   ///< below it a layer would be empty
  int64_t most_pixels;  ///< keeps the features of two pictures below some 8 GiB
};

constexpr Convolution kAlexNet[] = {{0, 3, 64, 11, 4, 2, false, true},
                                    {3, 64, 192, 5, 1, 2, true, true},
                                    {6, 192, 384, 3, 1, 1, true, true},
                                    {8, 384, 256, 3, 1, 1, false, true},
                                    {10, 256, 256, 3, 1, 1, false, true}};

constexpr Convolution kVgg16[] = {{0, 3, 64, 3, 1, 1, false, false},
                                  {2, 64, 64, 3, 1, 1, false, true},
                                  {5, 64, 128, 3, 1, 1, true, false},
                                  {7, 128, 128, 3, 1, 1, false, true},
                                  {10, 128, 256, 3, 1, 1, true, false},
                                  {12, 256, 256, 3, 1, 1, false, false},
                                  {14, 256, 256, 3, 1, 1, false, true},
                                  {17, 256, 512, 3, 1, 1, true, false},
                                  {19, 512, 512, 3, 1, 1, false, false},
                                  {21, 512, 512, 3, 1, 1, false, true},
                                  {24, 512, 512, 3, 1, 1, true, false},
                                  {26, 512, 512, 3, 1, 1, false, false},
                                  {28, 512, 512, 3, 1, 1, false, true}};

constexpr std::array<Layout, 2> kLayouts = {
    {{"alex", "AlexNet", kAlexNet, 3, 31, int64_t{64} << 20},
     {"vgg", "VGG16", kVgg16, 2, 16, int64_t{4} << 20}}};

/// Takes the tensors of a file one by one, and in the end says what nobody asked for.
class Tensors {
 public:
  explicit Tensors(const std::filesystem::path& path)
      : path_(path.string()), file_(models::read_safetensors(path)) {}

  const Layout& layout() const {
    const auto first = file_.tensors.find("features.0.weight");
    if (first == file_.tensors.end()) {
      throw InputError(path_ +
                       ": no tensor features.0.weight: expected LPIPS weights as "
                       "eval/make_lpips_weights.py writes them");
    }
    for (const Layout& layout : kLayouts) {
      if (first->second.sizes() == shape(layout.convolutions[0])) return agreed(layout);
    }
    throw InputError(path_ + ": features.0.weight has the shape " +
                     models::shape_text(first->second.sizes()) +
                     ": expected [64, 3, 11, 11] (AlexNet) or [64, 3, 3, 3] (VGG16)");
  }

  /// In fp32 and in memory of its own.
  at::Tensor take(const std::string& key, const std::vector<int64_t>& sizes) {
    const auto node = file_.tensors.extract(key);
    if (node.empty()) {
      throw InputError(path_ + ": missing tensor " + key + " " + models::shape_text(sizes));
    }
    const at::Tensor& tensor = node.mapped();
    if (tensor.sizes() != sizes || !at::isFloatingType(tensor.scalar_type())) {
      throw InputError(path_ + ": " + key + " is " + at::toString(tensor.scalar_type()) + " " +
                       models::shape_text(tensor.sizes()) + ": expected floating point " +
                       models::shape_text(sizes));
    }
    const at::Tensor copy = tensor.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    if (!at::isfinite(copy).all().item<bool>()) {
      throw InputError(path_ + ": " + key + " has a value that is not finite");
    }
    return copy;
  }

  void finish() const {
    if (file_.tensors.empty()) return;
    throw InputError(path_ +
                     ": surplus tensor: " + models::printable(file_.tensors.begin()->first));
  }

  static std::vector<int64_t> shape(const Convolution& convolution) {
    return {convolution.outputs, convolution.inputs, convolution.kernel, convolution.kernel};
  }

 private:
  /// Metadata are not needed, but must not contradict the shapes.
  const Layout& agreed(const Layout& layout) const {
    expect("network", layout.name);
    expect("version", "0.1");
    return layout;
  }
  void expect(const std::string& key, const std::string& value) const {
    const auto found = file_.metadata.find(key);
    if (found == file_.metadata.end() || found->second == value) return;
    throw InputError(path_ + ": " + key + " in the metadata is '" +
                     models::printable(found->second) + "': expected '" + value + "'");
  }

  std::string path_;
  models::SafetensorsFile file_;
};

/// Pixels [N, 3, H, W] in [-1, 1] as the networks of ImageNet take them.
at::Tensor scaled(const at::Tensor& pixels) {
  const auto of_channels = [](std::vector<float> values) {
    return models::DeviceConstant(torch::tensor(values).view({1, 3, 1, 1}));
  };
  static const auto kShift = of_channels({-0.030f, -0.088f, -0.188f});
  static const auto kScale = of_channels({0.458f, 0.448f, 0.450f});
  return (pixels - kShift.on(pixels.device())) / kScale.on(pixels.device());
}

/// [1, 3, H, W]
at::Tensor scaled_pixels(const data::Image& image) {
  const at::Tensor bytes = torch::from_blob(
      const_cast<uint8_t*>(image.pixels.data()), {1, image.height, image.width, 3}, torch::kUInt8);
  return scaled(bytes.permute({0, 3, 1, 2}).to(torch::kFloat) / 127.5 - 1);
}

/// `features` [2N, C, h, w], first of N pictures, then of the N they are compared with -> weighted
/// squared distance [N, 1, h, w].
at::Tensor distance_of(const at::Tensor& features, const at::Tensor& head) {
  constexpr double kEpsilon = 1e-10;
  // The clamp keeps the gradient finite where no feature answers.
  const at::Tensor squares = features.square().sum(1, /*keepdim=*/true).clamp_min(1e-30);
  const at::Tensor unit = features / (squares.sqrt() + kEpsilon);
  const auto pictures = unit.chunk(2);
  return at::conv2d((pictures[0] - pictures[1]).square(), head);
}

}  // namespace

struct Lpips::Network {
  struct Weights {
    at::Tensor weight, bias;
    at::Tensor head;  ///< [1, C, 1, 1] where the layer is tapped
  };
  const Layout* layout;
  std::string name;
  std::vector<Weights> weights;

  explicit Network(const std::filesystem::path& path) {
    Tensors tensors(path);
    layout = &tensors.layout();
    name = layout->name;
    int64_t heads = 0;
    for (const Convolution& convolution : layout->convolutions) {
      const std::string key = "features." + std::to_string(convolution.index);
      Weights of_layer;
      of_layer.weight = tensors.take(key + ".weight", Tensors::shape(convolution));
      of_layer.bias = tensors.take(key + ".bias", {convolution.outputs});
      if (convolution.tapped) {
        of_layer.head = tensors.take("lin" + std::to_string(heads++) + ".model.1.weight",
                                     {1, convolution.outputs, 1, 1});
      }
      weights.push_back(std::move(of_layer));
    }
    tensors.finish();
  }

  /// The distances of each tapped layer, [1, 1, h, w] each; none for pictures that are too small.
  std::vector<at::Tensor> distances(const data::Image& a, const data::Image& b) const {
    if (a.height != b.height || a.width != b.width) {
      throw InputError("LPIPS: pictures of one size expected, not " + size_text(a) + " and " +
                       size_text(b));
    }
    if (a.height * a.width > layout->most_pixels) {
      throw InputError("LPIPS by " + std::string(layout->title) + ": a picture of " + size_text(a) +
                       " takes too much memory; expected at most " +
                       std::to_string(layout->most_pixels >> 20) + " x 2^20 pixels");
    }
    if (std::min(a.height, a.width) < layout->least_side) return {};
    const torch::NoGradGuard no_gradients;
    return distances(at::cat({scaled_pixels(a), scaled_pixels(b)}));
  }

  /// The same of `pixels` [2N, 3, H, W], scaled, [N, 1, h, w] each; differentiable.
  std::vector<at::Tensor> distances(const at::Tensor& pixels) const {
    std::vector<at::Tensor> result;
    at::Tensor features = pixels;
    for (size_t i = 0; i < weights.size(); ++i) {
      const Convolution& convolution = layout->convolutions[i];
      if (convolution.pooled) {
        features = at::max_pool2d(features, {layout->pool_kernel, layout->pool_kernel}, {2, 2});
      }
      features = at::conv2d(features,
                            weights[i].weight,
                            weights[i].bias,
                            {convolution.stride, convolution.stride},
                            {convolution.padding, convolution.padding})
                     .relu_();
      if (convolution.tapped) result.push_back(distance_of(features, weights[i].head));
    }
    return result;
  }
};

Lpips::Lpips(const std::filesystem::path& weights) : network_(std::make_unique<Network>(weights)) {}

void Lpips::to(at::Device device) {
  for (auto& layer : network_->weights) {
    layer.weight = layer.weight.to(device);
    layer.bias = layer.bias.to(device);
    if (layer.head.defined()) layer.head = layer.head.to(device);
  }
}

Lpips::~Lpips() = default;
Lpips::Lpips(Lpips&&) noexcept = default;
Lpips& Lpips::operator=(Lpips&&) noexcept = default;

const std::string& Lpips::network() const {
  return network_->name;
}

int64_t Lpips::least_side() const {
  return network_->layout->least_side;
}

at::Tensor Lpips::distance(const at::Tensor& a, const at::Tensor& b) const {
  TORCH_CHECK(a.dim() == 4 && a.size(1) == 3 && a.sizes() == b.sizes(),
              "LPIPS: expected two of [N, 3, H, W], got ",
              a.sizes(),
              " and ",
              b.sizes());
  const int64_t side = std::min(a.size(2), a.size(3));
  if (side < least_side()) {
    throw InputError("LPIPS by " + std::string(network_->layout->title) + ": pictures of " +
                     std::to_string(side) + " pixels a side; expected " +
                     std::to_string(least_side()) + " or more");
  }
  at::Tensor sum;
  for (const at::Tensor& layer : network_->distances(at::cat({scaled(a), scaled(b)}))) {
    const at::Tensor mean = layer.mean(at::IntArrayRef{1, 2, 3});
    sum = sum.defined() ? sum + mean : mean;
  }
  return sum;
}

std::optional<double> Lpips::distance(const data::Image& a, const data::Image& b) const {
  const std::vector<at::Tensor> layers = network_->distances(a, b);
  if (layers.empty()) return std::nullopt;
  double sum = 0;
  for (const at::Tensor& layer : layers) sum += layer.mean(at::kDouble).item<double>();
  return sum;
}

std::optional<double> Lpips::distance(const data::Image& a,
                                      const data::Image& b,
                                      const Pixels& pixels) const {
  if (pixels.empty()) return std::nullopt;
  const std::vector<at::Tensor> layers = network_->distances(a, b);
  if (layers.empty()) return std::nullopt;
  at::Tensor map = torch::zeros({1, 1, a.height, a.width});
  for (const at::Tensor& layer : layers) {
    map += at::upsample_bilinear2d(layer, {a.height, a.width}, /*align_corners=*/false);
  }
  const float* values = map.const_data_ptr<float>();
  double sum = 0;
  for (const int64_t pixel : pixels) sum += double{values[pixel]};
  return sum / static_cast<double>(pixels.size());
}

}  // namespace limewash::eval
