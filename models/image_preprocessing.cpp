#include "models/base_model.h"
#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

/// 224, {"shortest_edge": 224} or {"height": 224, "width": 224}.
int64_t read_side(const nlohmann::json& file,
                  const char* key,
                  int64_t fallback,
                  const std::string& where) {
  const auto found = file.find(key);
  if (found == file.end() || found->is_null()) return fallback;
  nlohmann::json side = *found;
  if (side.is_object()) {
    if (side.contains("shortest_edge")) {
      side = nlohmann::json(side["shortest_edge"]);
    } else if (side.contains("height") && side.contains("width") &&
               side["height"] == side["width"]) {
      side = nlohmann::json(side["height"]);
    }
  }
  if (!side.is_number_unsigned() || side.get<uint64_t>() < 1 || side.get<uint64_t>() > 8192) {
    throw InputError(where + ": " + key + " is " + printable(found->dump()) +
                     ": expected one side's length from 1 to 8192");
  }
  return side.get<int64_t>();
}

std::vector<double> read_channels(const nlohmann::json& file,
                                  const char* key,
                                  const std::vector<double>& fallback,
                                  const std::string& where) {
  const auto found = file.find(key);
  if (found == file.end() || found->is_null()) return fallback;
  std::vector<double> values;
  if (found->is_array() && found->size() == 3) {
    for (const auto& value : *found) {
      if (value.is_number()) values.push_back(value.get<double>());
    }
  }
  if (values.size() != 3) {
    throw InputError(where + ": " + key + " is " + printable(found->dump()) +
                     ": expected three numbers");
  }
  return values;
}

}  // namespace

ImagePreprocessing ImagePreprocessing::from_folder(const std::filesystem::path& folder,
                                                   int64_t image_size) {
  ImagePreprocessing result;
  result.resize = result.crop = image_size;
  const auto path = folder / "preprocessor_config.json";
  if (!std::filesystem::exists(path)) return result;
  const nlohmann::json file = read_json_object(path);
  const std::string where = path.string();
  for (const char* key : {"do_resize", "do_center_crop", "do_normalize", "do_rescale"}) {
    const auto found = file.find(key);
    if (found == file.end() || found->is_null() || *found == true) continue;
    throw InputError(where + ": " + key + " is " + printable(found->dump()) + ": expected true");
  }
  const auto resample = file.find("resample");
  constexpr int kBicubic = 3;  // PIL's number
  if (resample != file.end() && !resample->is_null() && *resample != kBicubic) {
    throw InputError(where + ": resample is " + printable(resample->dump()) +
                     ": expected 3 (bicubic)");
  }
  result.resize = read_side(file, "size", image_size, where);
  result.crop = read_side(file, "crop_size", image_size, where);
  result.mean = read_channels(file, "image_mean", result.mean, where);
  result.std = read_channels(file, "image_std", result.std, where);
  if (result.crop != image_size || result.resize < result.crop) {
    throw InputError(where + ": pictures of " + std::to_string(result.resize) + " cropped to " +
                     std::to_string(result.crop) + ", but the image encoder takes " +
                     std::to_string(image_size));
  }
  for (const double value : result.std) {
    if (!(value > 0)) throw InputError(where + ": image_std has a value that is not above 0");
  }
  return result;
}

}  // namespace limewash::models
