// Softmax cross-entropy: how badly the logits of each position predict its class.
#pragma once

#include <cstdint>

#include "core/algorithm.h"
#include "core/types.h"

namespace ck {

enum class Reduction : int { kNone, kSum, kMean };

struct CrossEntropyProblem {
  DType dtype;
  int64_t n, classes, pixels;  // positions are (image, pixel)
  bool classes_last;           // logits are (n, pixels, classes), else (n, classes, pixels)
  double label_smoothing;      // e: the target is (1 - e) of its class and e / classes of each
  int64_t ignore_index;        // a target that counts as no position
  Reduction reduction;
};

// fprop reads logits and target (n, pixels) and writes out: the loss of each position, their sum,
// or their mean over those not ignored. dgrad reads grad too, like the loss, and writes out like
// the logits. Of an ignored position loss and gradient are 0, whatever its logits.
struct CrossEntropyArrays {
  const void* logits;
  const int64_t* target;
  const void* grad;
  void* out;
};

using CrossEntropyKernel = Kernel<CrossEntropyProblem, CrossEntropyArrays>;

}  // namespace ck
