// adamw_steps UNET_FOLDER ADAPTER_FOLDER BATCHES OUTPUTS LEARNING_RATE PRECISION
// [checkpointing]: trains the adapter on the batches of a safetensors file, one optimizer step
// each, with the adapter, the flat parameters and the optimizer of a real training.
// tests/models/parity_table.py does the same with diffusers, peft and torch.optim.AdamW.
//
// Batch N: sample_N, timestep_N, encoder_hidden_states_N, image_embeds_N, target_N; the loss is the
// mean squared error. Outputs: losses [steps], and each trained tensor by its name.

#include <cstdio>
#include <exception>
#include <string>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/precision.h"
#include "models/safetensors.h"
#include "models/unet.h"
#include "trainer/adamw.h"
#include "trainer/flat_parameters.h"
#include "trainer/stages.h"

namespace {

using namespace limewash;

void run(char** arguments, bool checkpointing) {
  const models::TensorMap batches = models::read_safetensors(arguments[3]).tensors;
  models::UNet2DConditionModel unet =
      models::load_unet(arguments[1], models::compute_type(arguments[6], "PRECISION"));
  unet->set_gradient_checkpointing(checkpointing);
  const auto adapter = models::load_adapter(unet, arguments[2]);
  const auto named = trainer::trained_parameters(*adapter, "joint");
  trainer::FlatParameters parameters(named, /*tail=*/0);
  trainer::OptimizerOptions options;
  options.learning_rate = std::stod(arguments[5]);
  options.clip = 0;
  trainer::AdamW optimizer(options, parameters.values());

  std::vector<float> losses;
  while (true) {
    const std::string suffix = std::string("_").append(std::to_string(losses.size()));
    if (!batches.contains("sample" + suffix)) break;
    parameters.zero();
    const at::Tensor output =
        unet->forward(batches.at("sample" + suffix),
                      batches.at("timestep" + suffix),
                      batches.at("encoder_hidden_states" + suffix),
                      adapter->project_reference(batches.at("image_embeds" + suffix)));
    const at::Tensor loss = torch::mse_loss(output, batches.at("target" + suffix));
    loss.backward();
    losses.push_back(loss.item<float>());
    optimizer.step(parameters.gradients(), options.learning_rate);
  }
  models::TensorMap outputs{{"losses", torch::tensor(losses)}};
  for (const auto& [name, tensor] : named) outputs.emplace(name, tensor.detach().clone());
  models::write_safetensors(arguments[4], outputs, {});
}

}  // namespace

int main(int count, char** arguments) {
  const bool checkpointing = count == 8 && std::string(arguments[7]) == "checkpointing";
  if (count != 7 && !checkpointing) {
    std::fprintf(stderr,
                 "usage: adamw_steps UNET_FOLDER ADAPTER_FOLDER BATCHES OUTPUTS LEARNING_RATE "
                 "PRECISION [checkpointing]\n");
    return 2;
  }
  try {
    run(arguments, checkpointing);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "adamw_steps: %s\n", error.what());
    return 1;
  }
  return 0;
}
