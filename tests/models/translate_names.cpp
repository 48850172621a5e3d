// Translates names of the original Stable Diffusion layout for import_test.py:
//   translate_names LAYERS_PER_BLOCK VAE_LEVELS < "NETWORK NAME" a line > "TRANSLATION" a line
// NETWORK is unet, vae or open_clip; a name without translation gives an empty line.

#include <iostream>
#include <string>

#include "models/original_layout.h"

int main(int argc, char** argv) {
  using namespace limewash::models;
  if (argc != 3) return 2;
  const int64_t layers_per_block = std::stoll(argv[1]), levels = std::stoll(argv[2]);
  std::string network, name;
  while (std::cin >> network >> name) {
    if (network == "unet") {
      std::cout << translate_unet_name(name, layers_per_block) << '\n';
    } else if (network == "vae") {
      std::cout << translate_vae_name(name, levels) << '\n';
    } else {
      std::cout << translate_open_clip_name(name) << '\n';
    }
  }
}
