// The sums of core/strict_channels.h on the CPU. NHWC: lanes are channels, each of which makes its
// chains one after the other. NCHW: lanes are chains of one channel, whose terms are transposed.
#pragma once

#include "core/strict_channels.h"
#include "cpu/operands.h"
#include "cpu/strict.h"
#include "cpu/tasks.h"

namespace ck {
namespace CK_ISA {

template <class T, class Sums>
static void sum_channel_lanes(const ChannelBatch& b, const Sums& sums, int64_t first, T* totals) {
  const int64_t lanes = min_of(kLanes<T>, b.c - first), terms = b.terms();
  const Vec<T> center =
      sums.center == nullptr ? Vec<T>::zero() : Vec<T>::load_first(sums.center + first, lanes);
  StrictSum<Vec<T>> total[Sums::kFields];
  for (int64_t t = 0; t < terms; t += kStrictChain) {
    Vec<T> chain[Sums::kFields] = {};
    const int64_t end = min_of(t + kStrictChain, terms);
    for (int64_t i = t; i < end; ++i) {
      Vec<T> values[Sums::kArrays];
      for (int a = 0; a < Sums::kArrays; ++a) {
        values[a] = Vec<T>::load_first(sums.array[a] + i * b.c + first, lanes);
      }
      Sums::step(values, center, chain);
    }
    for (int f = 0; f < Sums::kFields; ++f) total[f].add_chain(chain[f]);
  }
  for (int f = 0; f < Sums::kFields; ++f) {
    total[f].total().store_first(totals + f * b.c + first, lanes);
  }
}

// Terms [t, t + count) of a channel, side by side.
template <class T>
static void copy_terms(const ChannelBatch& b, const T* channel, int64_t t, int64_t count, T* to) {
  while (count > 0) {
    const int64_t pixel = t % b.pixels, run = min_of(count, b.pixels - pixel);
    copy_run(channel + b.image_at(t / b.pixels) + pixel, run, to);
    t += run, to += run, count -= run;
  }
}

template <class T, class Sums>
static void sum_channel_chains(const ChannelBatch& b, const Sums& sums, int64_t c, T* totals) {
  constexpr int64_t kTerms = int64_t(kLanes<T>) * kStrictChain;
  const int64_t terms = b.terms();
  const T number = sums.center == nullptr ? T(0) : sums.center[c];
  const Vec<T> center = Vec<T>::broadcast(number);
  StrictSum<T> total[Sums::kFields];
  T flat[Sums::kArrays][kTerms], across[Sums::kArrays][kTerms];
  for (int64_t t = 0; t < terms; t += kTerms) {
    const int64_t count = min_of(kTerms, terms - t), chains = count / kStrictChain;
    for (int a = 0; a < Sums::kArrays; ++a) {
      copy_terms(b, sums.array[a] + b.channel_at(c), t, count, flat[a]);
      transpose(flat[a], int64_t(kStrictChain), chains, int64_t(kStrictChain), across[a],
                int64_t(kLanes<T>));
    }
    Vec<T> chain[Sums::kFields] = {};
    for (int i = 0; chains > 0 && i < kStrictChain; ++i) {
      Vec<T> values[Sums::kArrays];
      for (int a = 0; a < Sums::kArrays; ++a) {
        values[a] = Vec<T>::load_first(across[a] + i * kLanes<T>, chains);
      }
      Sums::step(values, center, chain);
    }
    T rest[Sums::kFields] = {};  // the chain that is not whole
    for (int64_t i = chains * kStrictChain; i < count; ++i) {
      T values[Sums::kArrays];
      for (int a = 0; a < Sums::kArrays; ++a) values[a] = flat[a][i];
      Sums::step(values, number, rest);
    }
    for (int f = 0; f < Sums::kFields; ++f) {
      for (int64_t i = 0; i < chains; ++i) total[f].add_chain(chain[f][int(i)]);
      if (count % kStrictChain != 0) total[f].add_chain(rest[f]);
    }
  }
  for (int f = 0; f < Sums::kFields; ++f) totals[f * b.c + c] = total[f].total();
}

// totals[field * c + channel].
template <class T, class Sums>
static void strict_channel_sums(const ChannelBatch& b, const Sums& sums, T* totals,
                                int thread_count) {
  constexpr int64_t kStepsPerTerm = 4;  // multiplications that take as long, about
  const int threads = useful_threads(b.terms() * b.c * kStepsPerTerm, thread_count);
  if (b.layout == Layout::kNHWC) {
    run_tasks(ceil_div(b.c, kLanes<T>), threads,
              [&](int64_t task, int64_t) { sum_channel_lanes(b, sums, task * kLanes<T>, totals); });
  } else {
    run_tasks(b.c, threads, [&](int64_t c, int64_t) { sum_channel_chains(b, sums, c, totals); });
  }
}

}  // namespace CK_ISA
}  // namespace ck
