// The checks of feature_kernels.cu, one build per instruction set.
#pragma once

namespace ck {
namespace CK_GPU {

struct Feature {
  const char* name;
  int (*failures)();  // number of wrong values
};
extern const Feature kFeatures[];
extern const int kFeatureCount;

// Launches that must be refused or fail, by number; false when there is none of this number.
bool run_fault(int number);

// A launch of a barrier-free or a barrier-heavy kernel, for timing.
void run_empty(int blocks, int threads);
void run_barriers(int threads, int count);

}  // namespace CK_GPU
}  // namespace ck
