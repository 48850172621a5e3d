#include "tests/fuzz/picture_parsers.h"

#include <fstream>
#include <stdexcept>
#include <tiff.h>

#include "data/image_io.h"
#include "data/mask_decoding.h"
#include "data/photo_list.h"
#include "data/room.h"
#include "runtime/error.h"
#include "tests/data/picture_files.h"

namespace limewash::fuzz {
namespace {

using std::filesystem::path;

data::Image small_photo() {
  const data::Room room(1, 1, 32);
  return room.render(room.own_paint());
}

/// As photo, as soft mask and as label map; refused when all three are.
void decode_all(const std::string& bytes) {
  int refused = 0;
  std::string reason;
  const auto attempt = [&](const auto& decode) {
    try {
      decode();
    } catch (const InputError& error) {
      ++refused;
      reason = error.what();
    }
  };
  attempt([&] { data::decode_image(bytes, "fuzz"); });
  attempt([&] { data::decode_mask(bytes, "fuzz"); });
  attempt([&] { data::decode_mask(bytes, "fuzz", {0.5, {1, 255}}); });
  if (refused == 3) throw InputError(reason);
}

Parser picture(const char* name, std::vector<std::string> corpus, std::vector<std::string> words) {
  return {name, std::move(corpus), std::move(words), decode_all};
}

Parser list(const path& work, const char* name, std::vector<std::string> corpus) {
  Parser parser{name, std::move(corpus), {}, {}};
  parser.words = {
      "\"", "\"\"", ",", ";", "\r\n", "image", "mask", "{\"image\":", "[[[[", "\\u0000", "\xff"};
  const path file = work / name;
  parser.parse = [file](const std::string& bytes) {
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    if (!stream) throw std::runtime_error(file.string() + ": cannot write");
    data::read_photo_list(file, {});
  };
  return parser;
}

}  // namespace

std::vector<Parser> picture_parsers(const path& work) {
  const data::Image photo = small_photo();
  const data::Mask mask = data::Room(1, 1, 32).mask();
  return {
      picture("jpeg",
              {data::jpeg_of(photo, false), data::jpeg_of(photo, true)},
              {"\xff\xd8", "\xff\xd9", "\xff\xda", "\xff\xc4", "\xff\xc2", "\xff\xd0"}),
      picture("png",
              {data::encode_png(photo), data::encode_png(mask)},
              {"IHDR", "IDAT", "IEND", "PLTE", "tRNS", "eXIf", "gAMA"}),
      picture("webp",
              {data::webp_of(photo, false), data::webp_of(photo, true)},
              {"RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "ALPH", "EXIF", "ANIM"}),
      picture("tiff",
              {data::tiff_of(photo, COMPRESSION_NONE, false),
               data::tiff_of(photo, COMPRESSION_LZW, false),
               data::tiff_of(photo, COMPRESSION_ADOBE_DEFLATE, true),
               data::tiff_of(photo, COMPRESSION_PACKBITS, false)},
              {"II*", "MM", std::string("\x02\x01\x03", 3), "\x15\x01", "\x1c\x01"}),
      list(work,
           "list.csv",
           {"image,mask,caption\na.jpg,\"b;c.png\",\"x \"\"y\"\"\"\nd.jpg,e.png,\n"}),
      list(work,
           "list.jsonl",
           {"{\"image\": \"a.jpg\", \"mask\": [\"b.png\"], \"caption\": \"\\u00e4\"}\n"}),
  };
}

}  // namespace limewash::fuzz
