#include "models/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/blocked_attention.h"
#include "models/frozen_linear.h"
#include "models/fused_attention.h"
#include "models/geglu.h"

namespace limewash::models {

namespace {

/// Products of queries and keys from which, in float32, blocks gain more than their calls cost.
constexpr int64_t kBlockedAttentionProducts = int64_t{1} << 14;

/// `query` [N, heads, S, d], `key` and `value` [N, heads, T, d] -> [N, heads, S, d].
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
  const int64_t products = query.size(2) * key.size(2);
  const bool bfloat16 = query.scalar_type() == at::kBFloat16;
  if (bfloat16 && fused_attention_takes(query)) return blocked_attention(query, key, value);
  if (blocked_attention_takes(query)) {
    if (bfloat16 && products <= kPlainAttentionProducts) {
      const double scale = 1 / std::sqrt(static_cast<double>(query.size(3)));
      const at::Tensor scores = at::matmul(query * scale, key.transpose(2, 3));
      return at::matmul(at::softmax(scores, -1), value);
    }
    if (products >= kBlockedAttentionProducts) return blocked_attention(query, key, value);
  }
  return at::scaled_dot_product_attention(query, key, value);
}

/// `layer` of the context [N, L, D]. Rows that are one row expanded, as of a prompt that all
/// samples share, are computed once.
at::Tensor project_context(const LoraLinear& layer, const at::Tensor& context) {
  const bool shared = context.size(0) > 1 && context.stride(0) == 0 && !layer->lora_drops_out();
  if (!shared) return layer->forward(context);
  return layer->forward(context.narrow(0, 0, 1)).expand({context.size(0), -1, -1});
}

}  // namespace

AttentionImpl::AttentionImpl(int64_t query_dim,
                             int64_t cross_attention_dim,
                             int64_t heads,
                             int64_t head_dim)
    : heads_(heads) {
  const int64_t inner = heads * head_dim;
  const int64_t context = cross_attention_dim > 0 ? cross_attention_dim : query_dim;
  to_q = register_module("to_q", LoraLinear(query_dim, inner, /*with_bias=*/false));
  to_k = register_module("to_k", LoraLinear(context, inner, /*with_bias=*/false));
  to_v = register_module("to_v", LoraLinear(context, inner, /*with_bias=*/false));
  to_out = LoraLinear(inner, query_dim);
  auto list = register_module("to_out", torch::nn::ModuleList());
  list->push_back(to_out);  // the key is to_out.0; diffusers keeps a dropout at 1
}

at::Tensor AttentionImpl::split_heads(const at::Tensor& projected) const {
  return projected.unflatten(-1, {heads_, -1}).transpose(1, 2);  // [N, heads, S, head_dim]
}

at::Tensor AttentionImpl::forward(const at::Tensor& hidden_states,
                                  const at::Tensor& encoder_hidden_states,
                                  at::TensorList ip_hidden_states) const {
  const at::Tensor& context =
      encoder_hidden_states.defined() ? encoder_hidden_states : hidden_states;
  const at::Tensor query = split_heads(to_q->forward(hidden_states));
  at::Tensor attended = attend(query,
                               split_heads(project_context(to_k, context)),
                               split_heads(project_context(to_v, context)));
  for (size_t place = 0; place < std::min(ip_attentions_.size(), ip_hidden_states.size());
       ++place) {
    const IpAttention& ip = ip_attentions_[place];
    if (!ip.enabled || !ip.to_k.defined() || !ip_hidden_states[place].defined()) continue;
    const at::Tensor& tokens = ip_hidden_states[place];  // [N, T, D]
    const at::Tensor key = split_heads(trained_linear(tokens, ip.to_k, {}));
    const at::Tensor value = split_heads(trained_linear(tokens, ip.to_v, {}));
    attended = at::add(attended, attend(query, key, value), ip.scale);
  }
  return to_out->forward(attended.transpose(1, 2).flatten(2));  // [N, S, C]
}

size_t AttentionImpl::add_ip_adapter(at::Tensor to_k_ip, at::Tensor to_v_ip, double scale) {
  TORCH_CHECK(to_k_ip.sizes() == to_k->weight.sizes() && to_v_ip.sizes() == to_v->weight.sizes(),
              "add_ip_adapter: ",
              to_k_ip.sizes(),
              " and ",
              to_v_ip.sizes(),
              " do not fit keys and values of ",
              to_k->weight.sizes());
  const auto free = std::find_if(ip_attentions_.begin(),
                                 ip_attentions_.end(),
                                 [](const IpAttention& ip) { return !ip.to_k.defined(); });
  const auto place = static_cast<size_t>(free - ip_attentions_.begin());
  if (place == ip_attentions_.size()) ip_attentions_.emplace_back();
  ip_attentions_[place] = {std::move(to_k_ip), std::move(to_v_ip), scale, true};
  return place;
}

void AttentionImpl::remove_ip_adapter(size_t place) {
  ip_attentions_.at(place) = {};
  while (!ip_attentions_.empty() && !ip_attentions_.back().to_k.defined()) {
    ip_attentions_.pop_back();
  }
}

void AttentionImpl::set_ip_adapter_enabled(size_t place, bool enabled) {
  ip_attentions_.at(place).enabled = enabled;
}

size_t AttentionImpl::ip_adapter_count() const {
  return ip_attentions_.size();
}

FeedForwardImpl::FeedForwardImpl(int64_t dim, int64_t multiplier) {
  const int64_t inner = dim * multiplier;
  // Keys net.0.proj and net.2; between them diffusers keeps a dropout.
  auto net = register_module("net", std::make_shared<torch::nn::Module>("net"));
  auto geglu = net->register_module("0", std::make_shared<torch::nn::Module>("GEGLU"));
  proj_in_ = geglu->register_module("proj", LoraLinear(dim, 2 * inner));
  proj_out_ = net->register_module("2", LoraLinear(inner, dim));
}

at::Tensor FeedForwardImpl::forward(const at::Tensor& hidden_states) const {
  return proj_out_->forward(geglu(proj_in_->forward(hidden_states)));
}

BasicTransformerBlockImpl::BasicTransformerBlockImpl(int64_t dim,
                                                     int64_t heads,
                                                     int64_t head_dim,
                                                     int64_t cross_attention_dim) {
  norm1_ = register_module("norm1", LayerNorm(dim));
  attn1 = register_module("attn1", Attention(dim, 0, heads, head_dim));
  norm2_ = register_module("norm2", LayerNorm(dim));
  attn2 = register_module("attn2", Attention(dim, cross_attention_dim, heads, head_dim));
  norm3_ = register_module("norm3", LayerNorm(dim));
  ff_ = register_module("ff", FeedForward(dim));
}

at::Tensor BasicTransformerBlockImpl::forward(at::Tensor hidden_states,
                                              const at::Tensor& encoder_hidden_states,
                                              at::TensorList ip_hidden_states) const {
  hidden_states = attn1->forward(norm1_->forward(hidden_states)) + hidden_states;
  hidden_states =
      attn2->forward(norm2_->forward(hidden_states), encoder_hidden_states, ip_hidden_states) +
      hidden_states;
  return ff_->forward(norm3_->forward(hidden_states)) + hidden_states;
}

}  // namespace limewash::models
