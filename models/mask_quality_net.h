#pragma once
// The trained mask classifier (models/mask-quality): is a wall mask clean, noisy or bad?

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace limewash::models {

class MaskQualityNet {
 public:
  /// `folder` holds config.json and model.safetensors, as models/mask-quality does. Throws
  /// InputError naming file and key.
  explicit MaskQualityNet(const std::filesystem::path& folder);
  ~MaskQualityNet();
  MaskQualityNet(MaskQualityNet&&) noexcept;
  MaskQualityNet& operator=(MaskQualityNet&&) noexcept;

  /// Probabilities of clean (IoU with the right mask at least 0.95), noisy (at least 0.7) and bad.
  /// `rgb` [height, width, 3], `mask` [height, width], 0 or 255; of any size, looked at in 128 x
  /// 128. Called from any thread; computes on the calling thread alone, which from then on keeps
  /// LibTorch to one thread.
  std::array<float, 3> probabilities(std::span<const uint8_t> rgb,
                                     std::span<const uint8_t> mask,
                                     int64_t height,
                                     int64_t width) const;

  /// p(clean) + p(noisy) / 2.
  float score(std::span<const uint8_t> rgb,
              std::span<const uint8_t> mask,
              int64_t height,
              int64_t width) const;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace limewash::models
