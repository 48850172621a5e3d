#include "trainer/loss_tail.h"

#include <cmath>

#include <torch/torch.h>

namespace limewash::trainer {

LossTail::LossTail(const LossOptions& options, const std::vector<LossTerm>& terms)
    : with_shares_(options.gradient_share_every > 0) {
  for (const auto& term : terms) terms_.emplace_back(term.name, term.weight);
  if (options.adversarial.wall > 0) discriminators_.push_back("discriminator_wall");
  if (options.adversarial.paint > 0) discriminators_.push_back("discriminator_paint");
}

int64_t LossTail::size() const {
  const auto terms = static_cast<int64_t>(terms_.size());
  return 1 + terms + static_cast<int64_t>(discriminators_.size()) + (with_shares_ ? terms : 0);
}

void LossTail::add(at::Tensor slots,
                   const LossTerms& terms,
                   const Adversary::Losses& discriminators,
                   const std::vector<at::Tensor>& squares) const {
  torch::NoGradGuard no_grad;
  int64_t slot = 0;
  slots[slot++].add_(terms.total.detach());
  for (const auto& term : terms.terms) slots[slot++].add_(term.value.detach());
  for (const auto& name : discriminators_) {
    const auto& loss = name == "discriminator_wall" ? discriminators.wall : discriminators.paint;
    if (loss.defined()) slots[slot].add_(loss);
    ++slot;
  }
  for (const auto& square : squares) slots[slot++].add_(square);
}

StepLosses LossTail::read(const at::Tensor& slots, bool measured) const {
  const auto values = slots.to(torch::kCPU).contiguous();
  const float* next = values.const_data_ptr<float>();
  StepLosses losses;
  losses.total = *next++;
  for (const auto& [name, weight] : terms_) losses.terms.push_back({name, weight, *next++, {}});
  for (const auto& name : discriminators_) losses.discriminators.push_back({name, 1, *next++, {}});
  if (!measured) return losses;
  double sum = 0;
  for (size_t i = 0; i < terms_.size(); ++i) sum += std::sqrt(double{next[i]});
  for (auto& term : losses.terms) {
    const double norm = std::sqrt(double{*next++});
    if (sum > 0) term.share = norm / sum;
  }
  return losses;
}

std::vector<std::string> LossTail::columns() const {
  std::vector<std::string> columns{"loss"};
  for (const auto& [name, weight] : terms_) columns.push_back(name);
  for (const auto& name : discriminators_) columns.push_back(name);
  for (const auto& [name, weight] : terms_) {
    if (with_shares_) columns.push_back(name + "_share");
  }
  columns.insert(columns.end(), {"learning_rate", "gradient_norm"});
  return columns;
}

std::vector<std::optional<double>> LossTail::values(const StepLosses& losses,
                                                    double learning_rate,
                                                    double gradient_norm) const {
  std::vector<std::optional<double>> values{losses.total};
  for (const auto& term : losses.terms) values.push_back(term.value);
  for (const auto& term : losses.discriminators) values.push_back(term.value);
  for (const auto& term : losses.terms) {
    if (with_shares_) values.push_back(term.share);
  }
  values.insert(values.end(), {learning_rate, gradient_norm});
  return values;
}

}  // namespace limewash::trainer
