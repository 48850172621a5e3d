#include "models/ip_adapter.h"
#include "runtime/error.h"

namespace limewash::models {

void ResamplerOptions::describe(config::Fields& fields) {
  fields.field("dim", dim, "width of the queries; 0: the UNet's cross_attention_dim", {0, 65536});
  fields.field("depth", depth, "layers", {1, 256});
  fields.field("heads", heads, "attention heads", {1, 1024});
  fields.field("head_dim", head_dim, "width of a head (diffusers reads 64)", {1, 4096});
  fields.field("ff_mult", ff_mult, "width of the feed-forward layers, in dim", {1, 64});
}

void IpAdapterOptions::describe(config::Fields& fields) {
  fields.choice("kind", kind, {"none", "base", "plus"}, "how the reference enters the UNet");
  fields.field("tokens",
               tokens,
               "tokens that the reference becomes; 0: as published, base 4 (diffusers reads no "
               "other), plus 16",
               {0, 1024});
  fields.field("scale", scale, "weight of the attention over the reference", {0, 100});
  fields.section("resampler", resampler);
}

void IpAdapterOptions::validate() const {
  if (kind != "none" && kind != "base" && kind != "plus") {
    throw ConfigError("adapter.ip_adapter.kind is '" + kind + "': expected none, base or plus");
  }
  if (tokens < 0) {
    throw ConfigError("adapter.ip_adapter.tokens is " + std::to_string(tokens) +
                      ": expected 0 or more");
  }
}

int64_t IpAdapterOptions::token_count() const {
  if (tokens > 0) return tokens;
  return kind == "plus" ? 16 : 4;
}

ReferenceFeatures IpAdapterOptions::reference_features() const {
  return kind == "plus" ? ReferenceFeatures::kPenultimateHiddenState
                        : ReferenceFeatures::kImageEmbeds;
}

}  // namespace limewash::models
