// The host's parallel loop. Threads start at the first loop that needs them, never at import, and
// again after a fork.
#pragma once

#include <cstdint>

namespace ck {

// Calls body(context, i) for every i in [0, count), on up to `threads` threads, this one included.
// Which thread takes which index is not fixed, so no result may depend on it. An exception of any
// body is rethrown here. A loop inside a loop, or beside another caller's, runs on its own thread
// alone.
void parallel_for(int64_t count, int threads, void (*body)(void* context, int64_t index),
                  void* context);

int num_threads();
void set_num_threads(int threads);  // >= 1

// Long loops ask now and then whether the user wants out (Ctrl-C). The hook answers on the calling
// thread; where it returns true, the loop ends with Interrupted. Cheap enough to call once per
// block of work.
void set_interrupt_hook(bool (*hook)());
void poll_interrupt();
struct Interrupted {};

}  // namespace ck
