#include "tests/data/picture_files.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <jpeglib.h>
#include <tiffio.h>
#include <unistd.h>
#include <webp/encode.h>

namespace limewash::data {

std::string jpeg_of(const Image& image, bool progressive) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPLE*>(
        image.pixels.data() + size_t{info.next_scanline} * static_cast<size_t>(3 * image.width));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return bytes;
}

std::string webp_of(const Image& image, bool lossless) {
  uint8_t* memory = nullptr;
  const auto width = static_cast<int>(image.width), height = static_cast<int>(image.height);
  const size_t size =
      lossless ? WebPEncodeLosslessRGB(image.pixels.data(), width, height, 3 * width, &memory)
               : WebPEncodeRGB(image.pixels.data(), width, height, 3 * width, 80, &memory);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  WebPFree(memory);
  return bytes;
}

std::string tiff_of(const Image& image, uint16_t compression, bool tiled) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("limewash-picture-" + std::to_string(::getpid()) + ".tif");
  TIFF* file = TIFFOpen(path.c_str(), "w");
  TIFFSetField(file, TIFFTAG_IMAGEWIDTH, static_cast<uint32_t>(image.width));
  TIFFSetField(file, TIFFTAG_IMAGELENGTH, static_cast<uint32_t>(image.height));
  TIFFSetField(file, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(file, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(file, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(file, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(file, TIFFTAG_COMPRESSION, compression);
  auto* pixels = const_cast<uint8_t*>(image.pixels.data());
  if (tiled) {
    TIFFSetField(file, TIFFTAG_TILEWIDTH, 32);
    TIFFSetField(file, TIFFTAG_TILELENGTH, 32);
    std::string tile(3 * 32 * 32, '\x50');
    TIFFWriteTile(file, tile.data(), 0, 0, 0, 0);
  } else {
    TIFFSetField(file, TIFFTAG_ROWSPERSTRIP, 5);
    for (uint32_t y = 0; y < image.height; ++y)
      TIFFWriteScanline(file, pixels + 3 * image.width * y, y, 0);
  }
  TIFFClose(file);
  std::ifstream written(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(written), {}};
  std::filesystem::remove(path);
  return bytes;
}

}  // namespace limewash::data
