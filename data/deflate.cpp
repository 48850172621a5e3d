#include "data/deflate.h"

#include <libdeflate.h>
#include <memory>
#include <new>
#include <string>

#include "runtime/error.h"

namespace limewash::data {

std::vector<uint8_t> deflate_bytes(std::span<const uint8_t> bytes) {
  using Owner = std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)>;
  thread_local const Owner compressor(libdeflate_alloc_compressor(kDeflateLevel),
                                      libdeflate_free_compressor);
  if (!compressor) throw std::bad_alloc();
  std::vector<uint8_t> deflated(libdeflate_zlib_compress_bound(compressor.get(), bytes.size()));
  deflated.resize(libdeflate_zlib_compress(
      compressor.get(), bytes.data(), bytes.size(), deflated.data(), deflated.size()));
  deflated.shrink_to_fit();
  return deflated;
}

void inflate_bytes(std::span<const uint8_t> deflated, std::span<uint8_t> into) {
  using Owner = std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)>;
  thread_local const Owner decompressor(libdeflate_alloc_decompressor(),
                                        libdeflate_free_decompressor);
  if (!decompressor) throw std::bad_alloc();
  const libdeflate_result result = libdeflate_zlib_decompress(
      decompressor.get(), deflated.data(), deflated.size(), into.data(), into.size(), nullptr);
  if (result != LIBDEFLATE_SUCCESS)
    throw InputError("its gzip chunk is damaged: it does not inflate to " +
                     std::to_string(into.size()) + " bytes");
}

}  // namespace limewash::data
