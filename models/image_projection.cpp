#include "models/image_projection.h"

#include <torch/torch.h>

namespace limewash::models {

ImageProjectionImpl::ImageProjectionImpl(int64_t image_embedding_size,
                                         int64_t cross_attention_dim,
                                         int64_t tokens)
    : tokens_(tokens), cross_attention_dim_(cross_attention_dim) {
  proj = register_module("proj", LoraLinear(image_embedding_size, tokens * cross_attention_dim));
  norm = register_module("norm", LayerNorm(cross_attention_dim));
}

at::Tensor ImageProjectionImpl::forward(const at::Tensor& image_embeds) const {
  TORCH_CHECK(image_embeds.dim() == 2 && image_embeds.size(1) == proj->in_features(),
              "IP-Adapter image_embeds: expected [N, ",
              proj->in_features(),
              "], got ",
              image_embeds.sizes());
  return norm->forward(proj->forward(image_embeds).view({-1, tokens_, cross_attention_dim_}));
}

}  // namespace limewash::models
