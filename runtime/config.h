#pragma once
// Strict YAML configuration. A component owns a plain struct with defaults and describes its fields
// once; from that description come reading, the check for unknown keys, and the resolved file.
//
//   struct PrepareOptions {
//     std::string images;
//     int64_t size = 512;
//     void describe(config::Fields& fields) {
//       fields.field("images", images, "folder of photos");
//       fields.field("size", size, "pixels of a side", {64, 2048});
//     }
//     void validate() const;  // what no single field can know; throws ConfigError
//   };

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limewash::config {

template <class T>
struct Range {
  T low = std::numeric_limits<T>::lowest();
  T high = std::numeric_limits<T>::max();
};

/// A YAML map whose keys are the user's own, in the order of the file.
template <class T>
using Map = std::vector<std::pair<std::string, T>>;

/// Visits the fields of an options struct; implemented by the reader and by the writer.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void field(const char* key, bool& value, const char* help) = 0;
  virtual void field(const char* key,
                     int64_t& value,
                     const char* help,
                     Range<int64_t> range = {}) = 0;
  virtual void field(const char* key,
                     double& value,
                     const char* help,
                     Range<double> range = {}) = 0;
  virtual void field(const char* key, std::string& value, const char* help) = 0;
  /// A word out of `choices`.
  virtual void choice(const char* key,
                      std::string& value,
                      const std::vector<std::string>& choices,
                      const char* help) = 0;
  /// A YAML list; a single scalar is taken as a list of one.
  virtual void field(const char* key, std::vector<std::string>& value, const char* help) = 0;
  virtual void field(const char* key,
                     std::vector<double>& value,
                     const char* help,
                     Range<double> range = {}) = 0;
  /// A YAML map of numbers; the ranges are those of its values.
  virtual void field(const char* key,
                     Map<int64_t>& value,
                     const char* help,
                     Range<int64_t> range = {}) = 0;
  virtual void field(const char* key,
                     Map<double>& value,
                     const char* help,
                     Range<double> range = {}) = 0;

  /// A nested section: any struct with `void describe(Fields&)`.
  template <class Section>
  void section(const char* key, Section& section) {
    if (begin_section(key)) section.describe(*this);
    end_section();
  }

  /// A YAML list of sections: `stages: [{...}, {...}]`. Absent, the list stays as it is.
  template <class Section>
  void sections(const char* key, std::vector<Section>& list) {
    if (const auto count = begin_list(key)) list.assign(*count, Section());
    for (Section& item : list) {
      begin_item();
      item.describe(*this);
      end_item();
    }
    end_list();
  }

 protected:
  virtual bool begin_section(const char* key) = 0;
  virtual void end_section() = 0;
  /// How many items the document has; nothing when it does not name the key, and when writing.
  virtual std::optional<size_t> begin_list(const char* key) = 0;
  virtual void begin_item() = 0;
  virtual void end_item() = 0;
  virtual void end_list() = 0;
};

/// One YAML document with the overrides of `--set section.key=value` laid over it.
class Document {
 public:
  /// Read `path` ("" for an empty document) and apply `overrides` in order.
  /// Throws ConfigError naming file, line and column of broken YAML, a duplicate key, an alias
  /// bomb, or an override that is not `key=value`.
  static Document load(const std::string& path, const std::vector<std::string>& overrides);
  /// The same from text; `name` stands for the file in messages.
  static Document parse(const std::string& text,
                        const std::string& name,
                        const std::vector<std::string>& overrides);

  /// Read the document into `options`, which keep their defaults where a key is absent. A key that
  /// `describe` did not name is a ConfigError with file, line, `section.key`, the value, and the
  /// nearest known key; so is a wrong type or a value out of range. `validate()` runs last.
  template <class Options>
  void read_into(Options& options) const {
    auto reader = make_reader();
    options.describe(*reader);
    finish(*reader);
    options.validate();
  }

  ~Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;

 private:
  struct Impl;
  explicit Document(std::unique_ptr<Impl> impl);
  std::unique_ptr<Fields> make_reader() const;
  void finish(Fields& reader) const;
  std::unique_ptr<Impl> impl_;
};

/// The write side of `to_yaml` and `flatten`; use those.
class Writer;
std::unique_ptr<Fields> make_writer();
std::string written_yaml(Fields& writer);
std::vector<std::pair<std::string, std::string>> written_pairs(Fields& writer);

/// The resolved options as YAML that `Document::load` reads back to the same values.
template <class Options>
std::string to_yaml(const Options& options) {
  auto writer = make_writer();
  const_cast<Options&>(options).describe(*writer);
  return written_yaml(*writer);
}

/// The resolved options as ("section.key", "value") pairs: a tracker's params.
template <class Options>
std::vector<std::pair<std::string, std::string>> flatten(const Options& options) {
  auto writer = make_writer();
  const_cast<Options&>(options).describe(*writer);
  return written_pairs(*writer);
}

}  // namespace limewash::config
