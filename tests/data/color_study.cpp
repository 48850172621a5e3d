#include "tests/data/color_study.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/color.h"
#include "data/color_tables.h"

namespace limewash::data::study {
namespace {

constexpr uint64_t kSeed = 11;

Rgb other_paint(uint64_t id) {
  return draw_paint(RandomStream(kSeed, Purpose::kPaint, 1, id));
}

Rgb random_color(uint64_t id) {
  RandomStream stream(kSeed, Purpose::kReference, 0, id);
  Rgb color;
  for (float& channel : color) channel = stream.uniform(kDarkestReference, kBrightestReference);
  return color;
}

Lab lab_at(const Image& image, size_t i) {
  const uint8_t* p = &image.pixels[3 * i];
  return rgb_to_lab({static_cast<float>(p[0]) / 255.0f,
                     static_cast<float>(p[1]) / 255.0f,
                     static_cast<float>(p[2]) / 255.0f});
}

cv::Mat view(const Mask& mask) {
  return {static_cast<int>(mask.height),
          static_cast<int>(mask.width),
          CV_8U,
          const_cast<uint8_t*>(mask.pixels.data())};
}

double mean_of(const std::vector<double>& values) {
  return values.empty() ? 0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double mx = mean_of(x), my = mean_of(y);
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  // What does not vary shows nothing.
  const double little = 1e-4 * static_cast<double>(x.size());
  return xx < little || yy < little ? 0 : xy / std::sqrt(xx * yy);
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Lightness of the pixels of `wall`, smoothed by a normalised convolution inside of it.
cv::Mat lightness(const Image& image, const Mask& wall, double sigma) {
  cv::Mat value(static_cast<int>(image.height), static_cast<int>(image.width), CV_32F);
  cv::Mat weight(value.size(), CV_32F);
  for (size_t i = 0; i < wall.pixels.size(); ++i) {
    const float inside = wall.pixels[i] != 0 ? 1.0f : 0.0f;
    weight.ptr<float>()[i] = inside;
    value.ptr<float>()[i] = inside * lab_at(image, i)[0];
  }
  if (sigma <= 0) return value;
  cv::GaussianBlur(value, value, {}, sigma);
  cv::GaussianBlur(weight, weight, {}, sigma);
  return value / (weight + 1e-6f);
}

/// The pixels of one channel of the hole: mean, deviation, quantiles, and steps to the right.
void add_features(const std::vector<double>& values, std::vector<double>& features) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const double mean = mean_of(values);
  double squares = 0, steps = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    squares += (values[i] - mean) * (values[i] - mean);
    if (i > 0) steps += std::abs(values[i] - values[i - 1]);
  }
  const auto count = static_cast<double>(std::max<size_t>(values.size(), 1));
  features.insert(features.end(), {mean, std::sqrt(squares / count), steps / count});
  for (const double share : {0.02, 0.1, 0.5, 0.9, 0.98})
    features.push_back(
        sorted.empty()
            ? 0
            : sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))]);
}

std::vector<double> features_of(const Image& filled, const Mask& region) {
  std::vector<double> features;
  for (size_t c = 0; c < 3; ++c) {
    std::vector<double> values;
    for (size_t i = 0; i < region.pixels.size(); ++i)
      if (region.pixels[i] != 0) values.push_back(filled.pixels[3 * i + c] / 255.0);
    add_features(values, features);
  }
  return features;
}

/// Ridge regression of `y` on the standardised columns of `x`, and its answers for `test`.
std::vector<double> fit_and_predict(const cv::Mat& x, const cv::Mat& y, const cv::Mat& test) {
  cv::Mat means, deviations, train = x.clone(), wanted = test.clone();
  for (int c = 0; c < x.cols; ++c) {
    cv::Scalar mean, deviation;
    cv::meanStdDev(x.col(c), mean, deviation);
    // A column that does not vary says nothing.
    const double scale = deviation[0] > 1e-9 ? 1 / deviation[0] : 0;
    train.col(c) = (x.col(c) - mean[0]) * scale;
    wanted.col(c) = (test.col(c) - mean[0]) * scale;
  }
  const double middle = cv::mean(y)[0];
  const cv::Mat gram = train.t() * train +
                       cv::Mat::eye(x.cols, x.cols, CV_64F) * (1e-3 * static_cast<double>(x.rows));
  cv::Mat weights;
  cv::solve(gram, train.t() * (y - middle), weights, cv::DECOMP_CHOLESKY);
  const cv::Mat answers = wanted * weights + middle;
  return {answers.begin<double>(), answers.end<double>()};
}

}  // namespace

Mask wrong_mask(const Mask& mask, int64_t pixels) {
  if (pixels == 0) return mask;
  Mask wrong = mask;
  cv::Mat to = view(wrong);
  const int side = 2 * static_cast<int>(std::abs(pixels)) + 1;
  const cv::Mat element = cv::getStructuringElement(cv::MORPH_ELLIPSE, {side, side});
  if (pixels > 0)
    cv::dilate(view(mask), to, element);
  else
    cv::erode(view(mask), to, element);
  return wrong;
}

RecolorError recolor_error(RecolorMethod method, uint64_t rooms, int64_t size, bool random_colors) {
  RecolorError error;
  for (uint64_t id = 0; id < rooms; ++id) {
    const Room room(kSeed, id, size);
    const Rgb from = room.own_paint(), to = random_colors ? random_color(id) : other_paint(id);
    const Image result = method(room.render(from), room.mask(), from, to), exact = room.render(to);
    cv::Mat deep;
    cv::erode(view(room.mask()), deep, cv::Mat::ones(3, 3, CV_8U));
    std::vector<double> all, inner, outer;
    for (size_t i = 0; i < room.mask().pixels.size(); ++i) {
      if (room.mask().pixels[i] == 0) continue;
      const double difference = delta_e_2000(lab_at(result, i), lab_at(exact, i));
      all.push_back(difference);
      (deep.data[i] != 0 ? inner : outer).push_back(difference);
    }
    const auto share = 1.0 / static_cast<double>(rooms);
    error.wall += share * mean_of(all);
    error.deep += share * mean_of(inner);
    error.edge += share * mean_of(outer);
  }
  return error;
}

Leak leak(
    const ReferenceOptions& options, int64_t mask_error, bool ring, uint64_t rooms, int64_t size) {
  cv::Mat x, y(static_cast<int>(rooms), 3, CV_64F);
  for (uint64_t id = 0; id < rooms; ++id) {
    const Room room(kSeed, id, size);
    const Rgb paint = room.own_paint();
    const Mask mask = wrong_mask(room.mask(), mask_error), hole = hole_mask(options, mask);
    const Image filled = fill_hole(options, room.render(paint), mask);
    std::vector<double> features = features_of(filled, hole);
    if (ring) {
      Mask around = wrong_mask(hole, 2);
      for (size_t i = 0; i < around.pixels.size(); ++i)
        if (hole.pixels[i] != 0) around.pixels[i] = 0;
      const std::vector<double> outside = features_of(filled, around);
      features.insert(features.end(), outside.begin(), outside.end());
    }
    x.push_back(cv::Mat(features).t());
    const Lab lab = rgb_to_lab(paint);
    for (int axis = 0; axis < 3; ++axis)
      y.at<double>(static_cast<int>(id), axis) = lab[static_cast<size_t>(axis)];
  }

  constexpr int kFolds = 5;
  std::vector<Lab> predicted(rooms), guessed(rooms);
  for (int fold = 0; fold < kFolds; ++fold) {
    cv::Mat train_x, train_y, test_x;
    std::vector<size_t> tested;
    for (int row = 0; row < x.rows; ++row) {
      if (row % kFolds == fold) {
        test_x.push_back(x.row(row));
        tested.push_back(static_cast<size_t>(row));
      } else {
        train_x.push_back(x.row(row));
        train_y.push_back(y.row(row));
      }
    }
    for (int axis = 0; axis < 3; ++axis) {
      const std::vector<double> answers =
          fit_and_predict(train_x, train_y.col(axis).clone(), test_x);
      for (size_t i = 0; i < tested.size(); ++i) {
        predicted[tested[i]][static_cast<size_t>(axis)] = static_cast<float>(answers[i]);
        guessed[tested[i]][static_cast<size_t>(axis)] =
            static_cast<float>(cv::mean(train_y.col(axis))[0]);
      }
    }
  }
  std::array<double, 3> residual{}, variance{};
  Leak result;
  for (size_t i = 0; i < rooms; ++i) {
    Lab truth;
    for (size_t axis = 0; axis < 3; ++axis) {
      truth[axis] = static_cast<float>(y.at<double>(static_cast<int>(i), static_cast<int>(axis)));
      residual[axis] += std::pow(predicted[i][axis] - truth[axis], 2);
      variance[axis] += std::pow(guessed[i][axis] - truth[axis], 2);
    }
    result.error += delta_e_76(predicted[i], truth) / static_cast<double>(rooms);
    result.error_of_mean += delta_e_76(guessed[i], truth) / static_cast<double>(rooms);
  }
  result.r2_lightness = 1 - residual[0] / variance[0];
  result.r2_a = 1 - residual[1] / variance[1];
  result.r2_b = 1 - residual[2] / variance[2];
  return result;
}

KeptLight kept_light(const ReferenceOptions& options,
                     int64_t mask_error,
                     uint64_t rooms,
                     int64_t size) {
  std::vector<double> low_pass, pixels, edges;
  for (uint64_t id = 0; id < rooms; ++id) {
    const Room room(kSeed, id, size);
    const Mask mask = wrong_mask(room.mask(), mask_error), hole = hole_mask(options, mask);
    const Image filled = fill_hole(options, room.render(room.own_paint()), mask);
    const Image exact = room.render(other_paint(id));
    Mask shared = room.mask();
    for (size_t i = 0; i < shared.pixels.size(); ++i)
      if (hole.pixels[i] == 0) shared.pixels[i] = 0;
    const Mask deep = wrong_mask(room.mask(), -4);
    const auto compare = [&](double sigma, bool at_edge) {
      const cv::Mat one = lightness(filled, shared, sigma), two = lightness(exact, shared, sigma);
      std::vector<double> x, y;
      for (size_t i = 0; i < shared.pixels.size(); ++i) {
        if (shared.pixels[i] == 0 || (at_edge && deep.pixels[i] != 0)) continue;
        x.push_back(one.ptr<float>()[i]);
        y.push_back(two.ptr<float>()[i]);
      }
      return correlation(x, y);
    };
    low_pass.push_back(compare(static_cast<double>(size) / 32, false));
    pixels.push_back(compare(0, false));
    edges.push_back(compare(0, true));
  }
  return {median_of(low_pass), median_of(pixels), median_of(edges)};
}

}  // namespace limewash::data::study
