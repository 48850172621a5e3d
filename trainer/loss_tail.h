#pragma once
// The scalars of a step that are summed over ranks behind the gradients, and what they mean.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "trainer/objective.h"

namespace limewash::trainer {

/// What a step came to, over all ranks.
struct StepLosses {
  double total = 0;
  struct Term {
    std::string name;
    double weight = 1;
    double value = 0;             ///< before its weight
    std::optional<double> share;  ///< of the gradient, where it was measured
  };
  std::vector<Term> terms;
  std::vector<Term> discriminators;  ///< their own losses, no part of the total
};

/// Where each scalar stands in the tail. Slots: the total, the terms, the discriminators' losses,
/// and the squared gradient norm of each term.
class LossTail {
 public:
  /// `terms`: Objective::terms().
  LossTail(const LossOptions& options, const std::vector<LossTerm>& terms);

  int64_t size() const;
  /// Add a micro-batch's share to `slots` [size()]; `squares` is empty where the step does not
  /// measure them.
  void add(at::Tensor slots,
           const LossTerms& terms,
           const Adversary::Losses& discriminators,
           const std::vector<at::Tensor>& squares) const;
  /// The sums over all ranks. A term's share is its norm by the sum of all norms: the norms are
  /// those of the weighted terms' gradients at the network's output.
  StepLosses read(const at::Tensor& slots, bool measured) const;
  /// The columns of losses.csv behind `step`, and a step's values in that order.
  std::vector<std::string> columns() const;
  std::vector<std::optional<double>> values(const StepLosses& losses,
                                            double learning_rate,
                                            double gradient_norm) const;

 private:
  std::vector<std::pair<std::string, double>> terms_;  ///< names and weights
  std::vector<std::string> discriminators_;
  bool with_shares_;
};

}  // namespace limewash::trainer
