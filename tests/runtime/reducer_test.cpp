// c10d::Reducer, LibTorch's data parallelism, on the ranks of mpirun: what a full training would
// use.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include "runtime/communicator.h"
#include "runtime/mpi_backend.h"
#include "runtime/rank_store.h"
#include "tests/runtime/mpi_session.h"

namespace limewash {
namespace {

constexpr int64_t kSamplesPerRank = 4, kWidth = 32;

/// c10d's view of all ranks, by MPI alone.
struct Group {
  Group() {
    group->setBackend(at::kCPU,
                      c10d::ProcessGroup::BackendType::CUSTOM,
                      std::optional<c10::intrusive_ptr<c10d::Backend>>(backend));
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::CUSTOM);
    group->setGroupName("reducer");
  }

  std::unique_ptr<Communicator> ranks = mpi_session->world();
  c10::intrusive_ptr<c10d::Store> store = make_rank_store(*ranks, "127.0.0.1");
  c10::intrusive_ptr<c10d::Backend> backend = make_mpi_backend(*mpi_session);
  c10::intrusive_ptr<c10d::ProcessGroup> group =
      c10::make_intrusive<c10d::ProcessGroup>(store, ranks->rank(), ranks->size());

  void shut_down() {
    group.reset();
    backend->shutdown();
    ranks->barrier();
  }
};

torch::nn::Sequential make_network() {
  return torch::nn::Sequential(torch::nn::Linear(kWidth, 64),
                               torch::nn::SiLU(),
                               torch::nn::Linear(64, 64),
                               torch::nn::SiLU(),
                               torch::nn::Linear(64, 5));
}

struct Reduction {
  Reduction(torch::nn::Sequential& network, Group& group) {
    std::unordered_map<size_t, std::string> names;
    for (const auto& parameter : network->named_parameters()) {
      names[parameters.size()] = parameter.key();
      parameters.push_back(parameter.value());
    }
    const std::vector<bool> dense(parameters.size(), false);
    // Small, so that there are several buckets.
    constexpr size_t kBucketBytes = 8 << 10;
    auto [buckets, limits] =
        c10d::compute_bucket_assignment_by_size(parameters, {kBucketBytes, kBucketBytes}, dense);
    // Gradients are there in the opposite order.
    std::reverse(buckets.begin(), buckets.end());
    bucket_count = buckets.size();
    reducer = std::make_shared<c10d::Reducer>(parameters,
                                              buckets,
                                              group.group,
                                              dense,
                                              static_cast<int64_t>(kBucketBytes),
                                              /*find_unused_parameters=*/false,
                                              /*gradient_as_bucket_view=*/true,
                                              names,
                                              static_cast<int64_t>(kBucketBytes),
                                              /*skip_all_reduce_unused_params=*/false,
                                              /*use_python_reducer=*/false,
                                              std::vector<int64_t>{});
    logger = std::make_shared<c10d::Logger>(reducer);
    reducer->set_logger(logger);
    logger->set_construction_data_and_log("network", {}, -1, false, false, false);
  }

  std::vector<at::Tensor> parameters;
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;
  size_t bucket_count = 0;
};

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) gradients.push_back(parameter.grad().clone());
  return gradients;
}

bool equal_on_all_ranks(Communicator& ranks, const at::Tensor& tensor) {
  const auto flat = tensor.contiguous();
  const std::string own(static_cast<const char*>(flat.data_ptr()), flat.nbytes());
  std::string first = own;
  ranks.broadcast(first, 0);
  return !ranks.agree_any(first != own);
}

// Three steps, each gradient beside that of one process with everybody's samples.
void train(std::optional<c10d::BuiltinCommHookType> hook, double relative, double absolute) {
  Group group;
  const int rank = group.ranks->rank(), size = group.ranks->size();
  // Other weights on every rank, until rank 0's are broadcast.
  torch::manual_seed(rank);
  auto network = make_network();
  {
    Reduction reduction(network, group);
    EXPECT_GT(reduction.bucket_count, 1U);
    if (hook) reduction.reducer->register_builtin_comm_hook(*hook);
    c10d::verify_params_across_processes(group.group, reduction.parameters, std::nullopt);
    std::vector<at::Tensor> weights;
    for (const auto& parameter : reduction.parameters) weights.push_back(parameter.detach());
    c10d::broadcast_coalesced(group.group, weights, 1 << 20, 0);

    for (int step = 0; step < 3; ++step) {
      torch::manual_seed(100 + step);
      const auto inputs = at::randn({kSamplesPerRank * size, kWidth});
      const auto targets = at::randn({kSamplesPerRank * size, 5});
      const auto own = [&](const at::Tensor& all) {
        return all.narrow(0, rank * kSamplesPerRank, kSamplesPerRank);
      };
      reduction.logger->set_runtime_stats_and_log();
      reduction.reducer->prepare_for_forward();
      if (step > 0) reduction.reducer->rebuild_buckets();
      const auto output = network->forward(own(inputs));
      reduction.reducer->prepare_for_backward({});
      at::mse_loss(output, own(targets)).backward();
      const auto gradients = gradients_of(reduction.parameters);
      const auto all = torch::autograd::grad({at::mse_loss(network->forward(inputs), targets)},
                                             reduction.parameters);
      for (size_t i = 0; i < gradients.size(); ++i) {
        EXPECT_TRUE(gradients[i].allclose(all[i], relative, absolute)) << step << ' ' << i;
        EXPECT_TRUE(equal_on_all_ranks(*group.ranks, gradients[i])) << step << ' ' << i;
      }
      const at::NoGradGuard no_gradient;
      for (const auto& parameter : reduction.parameters) {
        parameter.sub_(parameter.grad(), 0.1);
        parameter.mutable_grad() = at::Tensor();
      }
    }
    for (const auto& parameter : reduction.parameters) {
      EXPECT_TRUE(equal_on_all_ranks(*group.ranks, parameter.detach()));
    }
  }
  group.shut_down();
}

TEST(ReducerOverMpi, GivesTheGradientOfAllRanksSamples) {
  train(std::nullopt, 1e-5, 1e-7);
}

TEST(ReducerOverMpi, SendsHalvesWhereItIsToldTo) {
  train(c10d::BuiltinCommHookType::FP16_COMPRESS, 2e-2, 1e-4);
}

TEST(ReducerOverMpi, RefusesNetworksOfDifferentSizes) {
  Group group;
  torch::nn::Linear layer(torch::nn::LinearOptions(4, 3).bias(group.ranks->rank() == 0));
  const std::vector<at::Tensor> parameters = layer->parameters();
  EXPECT_ANY_THROW(c10d::verify_params_across_processes(group.group, parameters, std::nullopt));
  group.shut_down();
}

}  // namespace
}  // namespace limewash
