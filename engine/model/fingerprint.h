// SPDX-License-Identifier: Apache-2.0
// Names a model by what it computes: the numbers of its configuration, and samples of its weights.
#pragma once

#include <cstdint>

#include "engine/model/config.h"
#include "engine/model/tensor_names.h"
#include "engine/weights/weight_source.h"

namespace minimax {

// Equal for equal models however their tensors are named, in whichever type they are stored or loaded,
// on whatever device.
struct ModelFingerprint {
  uint64_t config;
  uint64_t weights;
  bool operator==(const ModelFingerprint&) const = default;
};

// Looks at four places of each tensor, a few thousand pages of the released models. The text model's
// alone: pictures have become keys, values and states before anything is remembered.
ModelFingerprint fingerprint_of(const ModelConfig& config, const TextTensors& tensors,
                                const WeightSource& source);

}  // namespace minimax
