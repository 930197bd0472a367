// How hot loops use AVX2 where the processor has it. Never FMA: fused sums round differently, and our frames
// equal OpenCV's bit for bit.
#pragma once

// FRAMEPERFECT_CLONES: a loop that the compiler vectorises by itself, compiled for plain x86-64 and for AVX2;
// the choice is made when the library loads. Sanitizers can't run in the code that makes it, so they get no
// clones.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define FRAMEPERFECT_CLONES __attribute__((target_clones("default", "avx2")))
#else
#define FRAMEPERFECT_CLONES
#endif

// FRAMEPERFECT_AVX2: a function written in AVX2's intrinsics, to be called if has_avx2().
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define FRAMEPERFECT_AVX2 __attribute__((target("avx2")))

namespace frameperfect::video {

inline bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

}  // namespace frameperfect::video
#endif
