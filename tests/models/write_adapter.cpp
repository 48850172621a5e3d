// Writes a new adapter whose weights all matter, for parity_test.py and lora_interop_test.py:
// UNET OUT RANK ALPHA EMBEDDING WORD...
// A WORD is a target, or KEY=VALUE of adapter.lora; an EMBEDDING of 0 means no IP-Adapter.

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "models/adapter.h"
#include "runtime/random.h"

int main(int argc, char** argv) {
  using namespace limewash;
  if (argc < 7) return 2;
  try {
    models::AdapterOptions options;
    std::vector<std::string> overrides;
    options.lora.targets.clear();
    for (int i = 6; i < argc; ++i) {
      const std::string word = argv[i];
      if (word.find('=') == std::string::npos) {
        options.lora.targets.push_back(word);
      } else {
        overrides.push_back("lora." + word);
      }
    }
    options.lora.rank = std::stoll(argv[3]);
    options.lora.alpha = std::stod(argv[4]);
    const int64_t embedding = std::stoll(argv[5]);
    if (embedding == 0) options.ip_adapter.kind = "none";
    config::Document::parse("", "", overrides).read_into(options);
    models::Adapter adapter(models::load_unet(argv[1]), options, embedding, /*seed=*/11);
    torch::NoGradGuard no_grad;
    for (auto& parameter : adapter.lora_parameters()) {
      // B starts at zero, which would hide a wrong name, shape or scale.
      RandomStream stream(11, Purpose::kInitialization, 1, stable_id(parameter.name));
      float* data = parameter.tensor.data_ptr<float>();
      for (int64_t i = 0; i < parameter.tensor.numel(); ++i) data[i] += stream.uniform(-0.1f, 0.1f);
    }
    adapter.save(argv[2], {{"hole", "shading"}});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
