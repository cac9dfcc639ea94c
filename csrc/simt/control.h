// What tests and the Python module ask of simt: the order of threads, the log of kernels, the
// error.
#pragma once

#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>

namespace ck::simt {

// The order in which threads, warps and blocks get their turn. A correct kernel gives the same bits
// in each; a missing barrier rarely does. Shuffled depends on the seed and the block, nothing else.
enum class Order : int { kForward, kReversed, kShuffled };

struct Options {
  Order order = Order::kForward;
  uint64_t seed = 0;
  // When the data of a cp.async arrive: at once, which shows a buffer that is still read, or as the
  // wait for them ends, which shows a missing wait.
  bool late_copies = false;
};

// For the whole process; a launch reads them when it starts.
void set_options(const Options& options);
Options get_options();

// A fault of the kernel or its launch, found while running it. The launch throws it; the arrays
// written so far stay as they are.
struct SimtError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Launches since the process started, and the names given to them.
uint64_t launch_count();
std::set<std::string> executed_kernels();

}  // namespace ck::simt
