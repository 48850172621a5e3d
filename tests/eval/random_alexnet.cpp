#include "tests/eval/random_alexnet.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <torch/torch.h>

#include "models/safetensors.h"

namespace limewash::eval {

RandomAlexNet::RandomAlexNet() {
  std::string pattern = (std::filesystem::temp_directory_path() / "limewash-lpips-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  folder_ = pattern;
  const int64_t indices[] = {0, 3, 6, 8, 10}, outputs[] = {64, 192, 384, 256, 256};
  const int64_t kernels[] = {11, 5, 3, 3, 3};
  int64_t inputs = 3;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  models::TensorMap tensors;
  for (int i = 0; i < 5; ++i) {
    const std::string key = "features." + std::to_string(indices[i]);
    const double spread = 1.0 / std::sqrt(static_cast<double>(inputs * kernels[i] * kernels[i]));
    tensors[key + ".weight"] =
        torch::randn({outputs[i], inputs, kernels[i], kernels[i]}, generator) * spread;
    tensors[key + ".bias"] = torch::zeros({outputs[i]});
    tensors["lin" + std::to_string(i) + ".model.1.weight"] =
        torch::rand({1, outputs[i], 1, 1}, generator);
    inputs = outputs[i];
  }
  models::write_safetensors(file(), tensors);
}

RandomAlexNet::~RandomAlexNet() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace limewash::eval
