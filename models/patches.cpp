#include "models/patches.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <torch/torch.h>

#include "models/parallel.h"

namespace limewash::models {

namespace {

/// Rows of pixels that a thread takes at least.
constexpr int64_t kGrain = 1;

template <class Number>
void gather(const Number* pictures,
            Number* patches,
            at::IntArrayRef sizes,
            const PatchShape& shape) {
  const int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  const int64_t down = shape.places(height), across = shape.places(width);
  const auto bytes = static_cast<size_t>(channels) * sizeof(Number);
  parallel_for(0, sizes[0] * down, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const Number* picture = pictures + line / down * height * width * channels;
      Number* out = patches + line * across * shape.kernel * shape.kernel * channels;
      for (int64_t place = 0; place < across; ++place) {
        for (int64_t i = 0; i < shape.kernel; ++i) {
          const int64_t y = line % down * shape.stride + i - shape.padding;
          for (int64_t j = 0; j < shape.kernel; ++j, out += channels) {
            const int64_t x = place * shape.stride + j - shape.padding;
            if (y < 0 || y >= height || x < 0 || x >= width) {
              std::memset(out, 0, bytes);
            } else {
              std::memcpy(out, picture + (y * width + x) * channels, bytes);
            }
          }
        }
      }
    }
  });
}

/// The place whose patch has `pixel` under its kernel's entry `entry`, or -1.
int64_t place_of(int64_t pixel, int64_t entry, int64_t places, const PatchShape& shape) {
  const int64_t first = pixel + shape.padding - entry;
  if (first < 0 || first % shape.stride != 0) return -1;
  return first / shape.stride < places ? first / shape.stride : -1;
}

template <class Number>
void scatter(const Number* patches,
             Number* pictures,
             at::IntArrayRef sizes,
             const PatchShape& shape) {
  const int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  const int64_t down = shape.places(height), across = shape.places(width);
  const int64_t entries = shape.kernel * shape.kernel;
  parallel_for(0, sizes[0] * height, kGrain, [&](int64_t begin, int64_t end) {
    std::vector<float> sums(static_cast<size_t>(channels));
    for (int64_t line = begin; line < end; ++line) {
      const int64_t y = line % height;
      const Number* first = patches + line / height * down * across * entries * channels;
      for (int64_t x = 0; x < width; ++x) {
        std::fill(sums.begin(), sums.end(), 0.0F);
        for (int64_t entry = 0; entry < entries; ++entry) {
          const int64_t row = place_of(y, entry / shape.kernel, down, shape);
          const int64_t column = place_of(x, entry % shape.kernel, across, shape);
          if (row < 0 || column < 0) continue;
          const Number* patch = first + ((row * across + column) * entries + entry) * channels;
          for (int64_t c = 0; c < channels; ++c) {
            sums[static_cast<size_t>(c)] += static_cast<float>(patch[c]);
          }
        }
        Number* out = pictures + (line * width + x) * channels;
        for (int64_t c = 0; c < channels; ++c) {
          out[c] = static_cast<Number>(sums[static_cast<size_t>(c)]);
        }
      }
    }
  });
}

}  // namespace

at::Tensor gather_patches(const at::Tensor& pictures, const PatchShape& shape) {
  TORCH_CHECK(pictures.is_contiguous(at::MemoryFormat::ChannelsLast),
              "gather_patches: expected channels-last, got strides ",
              pictures.strides());
  const int64_t places = shape.places(pictures.size(2)) * shape.places(pictures.size(3));
  const at::Tensor patches =
      at::empty({pictures.size(0) * places, shape.kernel * shape.kernel * pictures.size(1)},
                pictures.options());
  if (pictures.scalar_type() == at::kBFloat16) {
    gather(pictures.const_data_ptr<at::BFloat16>(),
           patches.data_ptr<at::BFloat16>(),
           pictures.sizes(),
           shape);
  } else {
    gather(pictures.const_data_ptr<float>(), patches.data_ptr<float>(), pictures.sizes(), shape);
  }
  return patches;
}

at::Tensor scatter_patches(const at::Tensor& patches,
                           at::IntArrayRef picture_sizes,
                           const PatchShape& shape) {
  const at::Tensor pictures =
      at::empty(picture_sizes, patches.options(), at::MemoryFormat::ChannelsLast);
  if (patches.scalar_type() == at::kBFloat16) {
    scatter(patches.const_data_ptr<at::BFloat16>(),
            pictures.data_ptr<at::BFloat16>(),
            picture_sizes,
            shape);
  } else {
    scatter(patches.const_data_ptr<float>(), pictures.data_ptr<float>(), picture_sizes, shape);
  }
  return pictures;
}

}  // namespace limewash::models
