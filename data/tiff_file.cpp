#include "data/tiff_file.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "data/image_codec.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr tmsize_t kMaxBlockBytes = tmsize_t{1} << 30;

}  // namespace

struct TiffFile::State {
  std::string_view bytes;
  uint64_t position = 0;
  std::string complaint;
  TIFF* tiff = nullptr;

  static State& of(thandle_t handle) {
    return *static_cast<State*>(handle);
  }
  static tmsize_t read(thandle_t handle, void* to, tmsize_t size) {
    State& state = of(handle);
    if (size < 0 || state.position >= state.bytes.size()) return 0;
    const size_t count = std::min(static_cast<size_t>(size), state.bytes.size() - state.position);
    std::memcpy(to, state.bytes.data() + state.position, count);
    state.position += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) {
    return -1;
  }
  static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    State& state = of(handle);
    if (whence == SEEK_CUR) offset += state.position;
    if (whence == SEEK_END) offset += state.bytes.size();
    return state.position = offset;
  }
  static int close(thandle_t) {
    return 0;
  }
  static toff_t size(thandle_t handle) {
    return of(handle).bytes.size();
  }
  static int map(thandle_t handle, void** base, toff_t* size) {
    State& state = of(handle);
    *base = const_cast<char*>(state.bytes.data());
    *size = state.bytes.size();
    return 1;
  }
  static void unmap(thandle_t, void*, toff_t) {}
  /// The first complaint is the cause of those after it.
  static int on_error(TIFF*, void* data, const char* module, const char* format, va_list values) {
    std::array<char, 300> text{};
    std::vsnprintf(text.data(), text.size(), format, values);
    std::string& complaint = of(data).complaint;
    if (complaint.empty())
      complaint = (module != nullptr ? std::string(module) + ": " : "") + text.data();
    return 1;
  }
  static int on_warning(TIFF*, void*, const char*, const char*, va_list) {
    return 1;
  }
};

TiffFile::TiffFile(std::string_view bytes, std::string name)
    : state_(std::make_unique<State>()), name_(std::move(name)) {
  state_->bytes = bytes;
  check_header();
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  if (options == nullptr) fail("there is not enough memory for it");
  TIFFOpenOptionsSetErrorHandlerExtR(options, State::on_error, state_.get());
  TIFFOpenOptionsSetWarningHandlerExtR(options, State::on_warning, state_.get());
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, kMaxBlockBytes);
  // As a file mapped read-only: libtiff's other way refuses small tiles without compression.
  state_->tiff = TIFFClientOpenExt("picture",
                                   "r",
                                   state_.get(),
                                   State::read,
                                   State::write,
                                   State::seek,
                                   State::close,
                                   State::size,
                                   State::map,
                                   State::unmap,
                                   options);
  TIFFOpenOptionsFree(options);
  try {
    check(state_->tiff != nullptr);
    if (width() > 0 || height() > 0) check_image_size(width(), height(), name_);
    check_places();
  } catch (...) {
    if (state_->tiff != nullptr) TIFFClose(state_->tiff);
    throw;
  }
}

TiffFile::~TiffFile() {
  TIFFClose(state_->tiff);
}

TIFF* TiffFile::handle() const {
  return state_->tiff;
}

int64_t TiffFile::width() const {
  uint32_t value = 0;
  TIFFGetField(state_->tiff, TIFFTAG_IMAGEWIDTH, &value);
  return value;
}

int64_t TiffFile::height() const {
  uint32_t value = 0;
  TIFFGetField(state_->tiff, TIFFTAG_IMAGELENGTH, &value);
  return value;
}

uint16_t TiffFile::field(uint32_t tag) const {
  uint16_t value = 0;
  TIFFGetFieldDefaulted(state_->tiff, tag, &value);
  return value;
}

int TiffFile::orientation() const {
  const int value = field(TIFFTAG_ORIENTATION);
  return value >= 1 && value <= 8 ? value : 1;
}

void TiffFile::check(bool done) const {
  if (done && state_->complaint.empty()) return;
  fail(state_->complaint.empty() ? "it holds no picture" : state_->complaint);
}

void TiffFile::refuse(const std::string& what) const {
  throw InputError(name_ + ": the TIFF is of a kind that is not read: " + what);
}

void TiffFile::fail(const std::string& what) const {
  throw InputError(name_ + ": the TIFF is corrupt or cut off: " + what);
}

/// The header says where the directory lies; programs that write in one go put it at the end.
void TiffFile::check_header() const {
  const std::string_view bytes = state_->bytes;
  const bool big = bytes.size() > 3 && (bytes[2] == '+' || bytes[3] == '+');
  const size_t at = big ? 8 : 4, length = big ? 8 : 4;
  const auto truncated = [&](const char* what) {
    throw InputError(name_ + ": the TIFF is truncated: its " + what +
                     " lies beyond the end of the file");
  };
  if (bytes.size() < at + length) truncated("header");
  uint64_t offset = 0;
  for (size_t i = 0; i < length; ++i) {
    const size_t digit = bytes[0] == 'M' ? i : length - 1 - i;
    offset = offset << 8 | static_cast<uint8_t>(bytes[at + digit]);
  }
  if (offset >= bytes.size() - 1) truncated("directory");
}

/// libtiff finds a cut file only where it decodes it, and says little then.
void TiffFile::check_places() const {
  const bool tiled = TIFFIsTiled(state_->tiff) != 0;
  const uint32_t blocks =
      tiled ? TIFFNumberOfTiles(state_->tiff) : TIFFNumberOfStrips(state_->tiff);
  const uint64_t end = state_->bytes.size();
  for (uint32_t i = 0; i < blocks; ++i) {
    int failed = 0;
    const uint64_t offset = TIFFGetStrileOffsetWithErr(state_->tiff, i, &failed);
    const uint64_t count = TIFFGetStrileByteCountWithErr(state_->tiff, i, &failed);
    check(failed == 0);
    if (offset <= end && count <= end - offset) continue;
    throw InputError(name_ + ": the TIFF is truncated: its " + (tiled ? "tile " : "strip ") +
                     std::to_string(i) + " of " + std::to_string(blocks) +
                     " lies beyond the end of the file");
  }
}

}  // namespace limewash::data
