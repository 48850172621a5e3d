#include "models/safetensors_header.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr size_t kMaxDimensions = 32;

/// Receives the parser's events and knows which one may come next.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& file) : header_(header), file_(file) {}

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        // The key came before; decide by its name.
        place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
        if (place_ == Place::kMetadata) {
          if (has_metadata_) unexpected("a second __metadata__");
          has_metadata_ = true;
        } else {
          const auto [position, inserted] = header_.tensors.try_emplace(name_);
          if (!inserted) unexpected("the key for the second time");
          entry_ = &position->second;
          has_dtype_ = has_shape_ = has_offsets_ = false;
        }
        field_.clear();
        return true;
      default:
        unexpected("an object");
    }
  }

  bool key(string_t& key) override {
    if (place_ == Place::kTop) {
      name_ = key;
    } else {
      field_ = key;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor && !(has_dtype_ && has_shape_ && has_offsets_)) {
      unexpected("an entry without dtype, shape and data_offsets");
    }
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor) unexpected("a list");
    if (field_ == "shape") {
      claim(has_shape_);
    } else if (field_ == "data_offsets") {
      claim(has_offsets_);
    } else {
      unexpected("a list");
    }
    place_ = Place::kArray;
    num_elements_ = 0;
    return true;
  }

  bool end_array() override {
    if (field_ == "data_offsets" && num_elements_ != 2)
      unexpected("data_offsets that are not two numbers");
    place_ = Place::kTensor;
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      if (!header_.metadata.emplace(field_, value).second) unexpected("metadata given twice");
    } else if (place_ == Place::kTensor && field_ == "dtype") {
      claim(has_dtype_);
      entry_->dtype = value;
    } else {
      unexpected("text");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kArray) unexpected("a number");
    ++num_elements_;
    if (field_ == "shape") {
      if (num_elements_ > kMaxDimensions) {
        unexpected("more than " + std::to_string(kMaxDimensions) + " dimensions");
      }
      entry_->shape.push_back(value);
    } else if (num_elements_ == 1) {
      entry_->begin = value;
    } else if (num_elements_ == 2) {
      entry_->end = value;
    } else {
      unexpected("data_offsets that are not two numbers");
    }
    return true;
  }

  bool number_integer(number_integer_t) override {
    unexpected("a negative number");
  }
  bool number_float(number_float_t, const string_t&) override {
    unexpected("a number that is not a whole one");
  }
  bool boolean(bool) override {
    unexpected("true or false");
  }
  bool null() override {
    unexpected("null");
  }
  bool binary(binary_t&) override {
    unexpected("binary data");
  }
  bool parse_error(std::size_t position,
                   const std::string&,
                   const nlohmann::json::exception& error) override {
    throw InputError(file_ + ": broken JSON in the header at byte " + std::to_string(position) +
                     ": " + printable(error.what()));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kArray, kEnd };

  void claim(bool& seen) {
    if (seen) unexpected(field_ + " for the second time");
    seen = true;
  }

  [[noreturn]] void unexpected(const std::string& what) const {
    std::string where = file_ + ": header";
    if (!name_.empty()) where += ": " + printable(name_);
    if (!field_.empty()) where += ": " + printable(field_);
    throw InputError(where + ": unexpected " + printable(what));
  }

  SafetensorsHeader& header_;
  const std::string& file_;
  Place place_ = Place::kStart;
  std::string name_, field_;
  SafetensorsEntry* entry_ = nullptr;
  size_t num_elements_ = 0;
  bool has_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  if (text.empty() || text.front() != '{') {
    throw InputError(file + ": the header does not begin with '{': not a safetensors file");
  }
  SafetensorsHeader header;
  HeaderReader reader(header, file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return header;
}

}  // namespace limewash::models
