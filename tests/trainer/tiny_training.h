#pragma once
// What a training is made of, small enough for a unit test.

#include <memory>

#include <gtest/gtest.h>

#include "data/latent_cache.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/communicator.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::trainer {

/// The tiny base on a dataset of plain samples of two sizes.
class TinyTraining : public testing::Test {
 protected:
  TinyTraining();
  ~TinyTraining() override;

  /// Makes latents of 64-number references out of pixels, without a network.
  data::Encoders encoders();

  int threads_before;
  data::TemporaryFolder folder;
  models::BaseModel base;
  std::unique_ptr<Communicator> alone = make_single_process_communicator();
  std::unique_ptr<data::Dataset> dataset;
  std::unique_ptr<data::LatentCache> cache;
  models::AdapterOptions adapter_options;
  std::unique_ptr<models::Adapter> adapter;
};

}  // namespace limewash::trainer
