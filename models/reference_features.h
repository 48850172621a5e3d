#pragma once
// What an IP-Adapter takes of the image encoder.

namespace limewash::models {

enum class ReferenceFeatures {
  kImageEmbeds,             ///< [N, E], the projected class token: the base kind
  kPenultimateHiddenState,  ///< [N, 1 + patches, C], `hidden_states[-2]`: the Plus kind
};

/// As transformers and `limewash model run` name them.
constexpr const char* reference_features_name(ReferenceFeatures features) {
  return features == ReferenceFeatures::kImageEmbeds ? "image_embeds" : "penultimate_hidden_state";
}

}  // namespace limewash::models
