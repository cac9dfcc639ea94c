// usage: features COMMAND [forward|reversed|shuffled [SEED]]
//   run      every check: "NAME FAILURES" each
//   faults   every faulty launch: "NUMBER TEXT" each, with a good launch after each
//   threads  all checks on four host threads at once
//   fork     all checks in a child forked after use, also while another thread launches
//   log      executed_kernels()
//   time     ns per switch and per thread
#include "feature_kernels.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "simt/control.h"

using namespace ck::CK_GPU;

namespace {

int all_failures() {
  int failures = 0;
  for (int i = 0; i < kFeatureCount; ++i) failures += kFeatures[i].failures();
  return failures;
}

int run() {
  for (int i = 0; i < kFeatureCount; ++i) {
    std::printf("%s %d\n", kFeatures[i].name, kFeatures[i].failures());
  }
  return 0;
}

int faults() {
  for (int i = 0;; ++i) {
    std::string text = "(nothing thrown)";
    try {
      if (!run_fault(i)) return 0;
    } catch (const ck::simt::SimtError& e) {
      text = std::string("SimtError ") + e.what();
    } catch (int thrown) {
      text = "int " + std::to_string(thrown);
    }
    std::printf("%d %s\n", i, text.c_str());
    if (all_failures() != 0) std::printf("%d and later launches are wrong\n", i);
  }
}

int threads() {
  std::atomic<int> failures{0};
  std::vector<std::thread> pool;
  for (int i = 0; i < 4; ++i) {
    pool.emplace_back([&failures] {
      for (int repeat = 0; repeat < 5; ++repeat) failures += all_failures();
    });
  }
  for (std::thread& thread : pool) thread.join();
  std::printf("failures %d\n", failures.load());
  return 0;
}

int fork_after_use() {
  int failures = all_failures();
  std::atomic<bool> stop{false};
  std::thread busy([&stop, &failures] {
    while (!stop) failures += all_failures();
  });
  for (int i = 0; i < 5; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(all_failures() == 0 ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) std::printf("child status %d\n", status);
  }
  stop = true;
  busy.join();
  std::printf("failures %d\n", failures);
  return 0;
}

int log() {
  const uint64_t before = ck::simt::launch_count();
  kFeatures[0].failures();
  kFeatures[0].failures();
  run_empty(1, 1);
  std::printf("launches %d\n", static_cast<int>(ck::simt::launch_count() - before));
  for (const std::string& name : ck::simt::executed_kernels()) std::printf("%s\n", name.c_str());
  return 0;
}

template <class Body>
double best_ns(Body body) {
  double best = 1e30;
  for (int i = 0; i < 7; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    if (time.count() < best) best = time.count();
  }
  return best;
}

int time() {
  constexpr int kBlocks = 2000, kThreads = 256, kBarriers = 400;
  const double empty = best_ns([] { run_empty(kBlocks, kThreads); }) / kBlocks;
  const double single = best_ns([] { run_empty(kBlocks, 1); }) / kBlocks;
  const double barrier = best_ns([] { run_barriers(kThreads, kBarriers); }) / kBarriers;
  std::printf("block of 1 thread %.0f ns\n", single);
  std::printf("empty kernel %.1f ns a thread\n", (empty - single) / (kThreads - 1));
  std::printf("barrier %.1f ns a thread\n", barrier / kThreads);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "", order = argc > 2 ? argv[2] : "forward";
  ck::simt::Options options;
  if (order == "reversed") options.order = ck::simt::Order::kReversed;
  if (order == "shuffled") options.order = ck::simt::Order::kShuffled;
  if (argc > 3) options.seed = std::stoull(argv[3]);
  ck::simt::set_options(options);
  if (command == "run") return run();
  if (command == "faults") return faults();
  if (command == "threads") return threads();
  if (command == "fork") return fork_after_use();
  if (command == "log") return log();
  if (command == "time") return time();
  std::printf("no command '%s'\n", command.c_str());
  return 2;
}
