// Writes a new IP-Adapter whose weights all matter, for ip_adapter_interop_test.py: UNET OUT KIND
// TOKENS SIZE SCALE [DIM DEPTH HEADS HEAD_DIM FF_MULT]

#include <exception>
#include <iostream>
#include <string>

#include <torch/torch.h>

#include "models/ip_adapter.h"
#include "runtime/random.h"

int main(int argc, char** argv) {
  using namespace limewash;
  if (argc != 7 && argc != 12) return 2;
  try {
    models::IpAdapterOptions options;
    options.kind = argv[3];
    options.tokens = std::stoll(argv[4]);
    options.scale = std::stod(argv[6]);
    if (argc == 12) {
      options.resampler = {.dim = std::stoll(argv[7]),
                           .depth = std::stoll(argv[8]),
                           .heads = std::stoll(argv[9]),
                           .head_dim = std::stoll(argv[10]),
                           .ff_mult = std::stoll(argv[11])};
    }
    const models::IpAdapter adapter(
        models::load_unet(argv[1]), options, std::stoll(argv[5]), /*seed=*/11);
    torch::NoGradGuard no_grad;
    for (const auto& parameter : adapter.parameters()) {
      // Norms start at 1 and 0, which would hide a wrong name.
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
