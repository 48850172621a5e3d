#include "eval/dataset_contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <spdlog/fmt/fmt.h>

#include "data/shard.h"
#include "eval/base64.h"
#include "eval/svg_chart.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

namespace fs = std::filesystem;

/// Pixels of a thumbnail's longer side.
constexpr int kThumbnail = 160;
constexpr int kJpegQuality = 85;

struct Place {
  float quality = 0;
  size_t shard = 0;
  int64_t sample = 0;
};

/// All samples, the lowest quality first; NaN counts as the lowest.
std::vector<Place> by_quality(const fs::path& folder, const data::DatasetIndex& index) {
  std::vector<Place> places;
  for (size_t s = 0; s < index.shards.size(); ++s) {
    const data::ShardReader shard = data::open_shard(folder, index.shards[s]);
    for (int64_t i = 0; i < shard.summary().samples; ++i) {
      const float quality = shard.info(i).quality;
      places.push_back({std::isfinite(quality) ? quality : -1, s, i});
    }
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.quality < b.quality;
  });
  return places;
}

cv::Mat view(const std::vector<uint8_t>& pixels, const data::Image& size, int type) {
  return {static_cast<int>(size.height),
          static_cast<int>(size.width),
          type,
          const_cast<uint8_t*>(pixels.data())};
}

cv::Mat scaled(const cv::Mat& picture) {
  const double scale =
      std::min(1.0, static_cast<double>(kThumbnail) / std::max(picture.rows, picture.cols));
  cv::Mat small;
  cv::resize(picture, small, {}, scale, scale, cv::INTER_AREA);
  return small;
}

/// Photo | mask in red over it | what the core leaves of it, side by side as a JPEG.
std::string strip(const data::Sample& sample) {
  cv::Mat photo;
  cv::cvtColor(view(sample.image.pixels, sample.image, CV_8UC3), photo, cv::COLOR_RGB2BGR);
  photo = scaled(photo);
  const cv::Mat mask = scaled(view(sample.mask.pixels, sample.image, CV_8UC1)),
                core = scaled(view(sample.core.pixels, sample.image, CV_8UC1));
  cv::Mat red, tinted, overlay = photo.clone(), bare(photo.size(), CV_8UC3, {235, 235, 235});
  red = cv::Mat(photo.size(), CV_8UC3, {40, 40, 220});
  cv::addWeighted(photo, 0.45, red, 0.55, 0, tinted);
  tinted.copyTo(overlay, mask > 127);
  photo.copyTo(bare, core > 127);
  cv::Mat row;
  const cv::Mat gap(photo.rows, 4, CV_8UC3, {255, 255, 255});
  cv::hconcat(std::vector<cv::Mat>{photo, gap, overlay, gap, bare}, row);
  std::vector<uint8_t> jpeg;
  cv::imencode(".jpg", row, jpeg, {cv::IMWRITE_JPEG_QUALITY, kJpegQuality});
  return {jpeg.begin(), jpeg.end()};
}

std::string css_color(float red, float green, float blue) {
  const auto byte = [](float value) {
    return std::isfinite(value) ? static_cast<int>(std::lround(std::clamp(value, 0.f, 1.f) * 255))
                                : 0;
  };
  return fmt::format("#{:02x}{:02x}{:02x}", byte(red), byte(green), byte(blue));
}

std::string figure(float value) {
  return std::isfinite(value) ? fmt::format("{:.2f}", value) : "-";
}

std::string swatches(const data::ShardSample& sample) {
  const std::string own = css_color(sample.color[0], sample.color[1], sample.color[2]);
  std::string html = fmt::format(
      "<div><span class='chip' style='background:{0}'></span><b>{0}</b></div>"
      "<div class='palette'>",
      own);
  for (const auto& color : sample.palette)
    html += fmt::format("<span style='background:{};flex:{:.3f}'></span>",
                        css_color(color[0], color[1], color[2]),
                        std::isfinite(color[3]) ? std::max(0.f, color[3]) : 0.f);
  return html + "</div>";
}

std::string card(const data::ShardReader& shard, const std::string& split, int64_t index) {
  const data::SampleInfo& known = shard.info(index);
  std::string html = fmt::format("<div class='card'><b>{}</b> <span class='faint'>{}, {}x{}</span>",
                                 escape_html(data::valid_utf8(known.id)),
                                 escape_html(split),
                                 known.width,
                                 known.height);
  try {
    const data::ShardSample sample = shard.read(index);
    html += fmt::format("<img alt='photo, mask, core' src='data:image/jpeg;base64,{}'>{}",
                        base64(strip(sample.pixels)),
                        swatches(sample));
  } catch (const InputError& error) {
    html += "<p class='bad'>" + escape_html(data::valid_utf8(error.what())) + "</p>";
  }
  html +=
      fmt::format("<div class='scores'><span>quality <b>{}</b></span><span>wall <b>{}</b></span>",
                  figure(known.quality),
                  figure(shard.wall_share(index)));
  const std::vector<float> parts = shard.quality_parts(index);
  for (size_t i = 0; i < parts.size(); ++i)
    html += fmt::format("<span>{} {}</span>",
                        escape_html(data::valid_utf8(shard.quality_part_names()[i])),
                        figure(parts[i]));
  if (!known.caption.empty())
    html += "<span>“" + escape_html(data::valid_utf8(known.caption.substr(0, 120))) + "”</span>";
  return html + "</div></div>\n";
}

}  // namespace

std::string contact_sheet(const fs::path& folder, const data::DatasetIndex& index, size_t shown) {
  const std::vector<Place> places = by_quality(folder, index);
  const size_t half = std::min(shown, (places.size() + 1) / 2);
  const auto section = [&](const char* title, std::vector<Place> some) {
    std::string html = fmt::format("<h2>{}</h2>\n<div class='sheet'>\n", title);
    for (const Place& place : some) {
      const data::ShardEntry& entry = index.shards[place.shard];
      html += card(data::open_shard(folder, entry), entry.split, place.sample);
    }
    return html + "</div>\n";
  };
  if (places.empty()) return "";
  const auto middle = static_cast<std::ptrdiff_t>(half);
  const auto rest = static_cast<std::ptrdiff_t>(std::min(shown, places.size() - half));
  return section("Lowest quality: photo, mask, core", {places.begin(), places.begin() + middle}) +
         section("Highest quality", {places.rbegin(), places.rbegin() + rest});
}

}  // namespace limewash::eval
