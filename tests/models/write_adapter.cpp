// Writes a new adapter whose weights all matter, for parity_test.py: UNET OUT RANK ALPHA EMBEDDING
// TARGET...

#include <exception>
#include <iostream>
#include <string>

#include <torch/torch.h>

#include "models/adapter.h"
#include "runtime/random.h"

int main(int argc, char** argv) {
  using namespace limewash;
  if (argc < 7) return 2;
  try {
    models::AdapterOptions options;
    options.lora.rank = std::stoll(argv[3]);
    options.lora.alpha = std::stod(argv[4]);
    options.lora.targets.assign(argv + 6, argv + argc);
    models::Adapter adapter(models::load_unet(argv[1]), options, std::stoll(argv[5]), /*seed=*/11);
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
