#include "ram/compare.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "video/simd.hpp"

// Templates can have no clones of their own: they are inlined into the one function that has.
#define INLINE inline __attribute__((always_inline))

namespace frameperfect::ram {
namespace {

// Values are decoded, compared and packed so many at a time: all of it stays in the first-level cache.
constexpr size_t kBlock = 1024;

INLINE uint8_t reversed(uint8_t x) { return x; }
INLINE uint16_t reversed(uint16_t x) { return __builtin_bswap16(x); }
INLINE uint32_t reversed(uint32_t x) { return __builtin_bswap32(x); }
INLINE uint64_t reversed(uint64_t x) { return __builtin_bswap64(x); }

template <typename U>
INLINE void decode(const uint8_t* in, size_t n, size_t step, bool big, U* out) {
  if (step == sizeof(U)) {
    std::memcpy(out, in, n * sizeof(U));
    if (big)
      for (size_t i = 0; i < n; i++) out[i] = reversed(out[i]);
  } else if (step == 1) {  // overlapping: put together from byte streams, which the compiler vectorises
    for (size_t i = 0; i < n; i++) {
      U value = 0;
      for (size_t b = 0; b < sizeof(U); b++) value |= static_cast<U>(static_cast<U>(in[i + b]) << (8 * b));
      out[i] = value;
    }
    if (big)
      for (size_t i = 0; i < n; i++) out[i] = reversed(out[i]);
  } else {
    for (size_t i = 0; i < n; i++) {
      std::memcpy(&out[i], in + i * step, sizeof(U));
      if (big) out[i] = reversed(out[i]);
    }
  }
}

template <typename T>
INLINE void compare(const T* a, const T* b, size_t n, Relation relation, uint8_t* flags) {
  if (relation == Relation::kEqual)
    for (size_t i = 0; i < n; i++) flags[i] = a[i] == b[i];
  else if (relation == Relation::kLess)
    for (size_t i = 0; i < n; i++) flags[i] = a[i] < b[i];
  else
    for (size_t i = 0; i < n; i++) flags[i] = a[i] > b[i];
}

// The values of a block as numbers, and which of them are none.
template <typename U>
INLINE void numbers(const U* raw, size_t n, Kind kind, int64_t* out, uint8_t* valid) {
  if (kind == Kind::kSigned || sizeof(U) == 8) {  // integers are int64: a u8 above that reads as negative
    constexpr int kUnused = 64 - 8 * static_cast<int>(sizeof(U));
    for (size_t i = 0; i < n; i++)
      out[i] = static_cast<int64_t>(static_cast<uint64_t>(raw[i]) << kUnused) >> kUnused;
  } else {
    for (size_t i = 0; i < n; i++) out[i] = static_cast<int64_t>(raw[i]);
  }
  if (kind != Kind::kBcd && kind != Kind::kNybbles) return;
  const int bits = kind == Kind::kBcd ? 4 : 8;
  for (size_t i = 0; i < n; i++) {
    int64_t value = 0, place = 1;
    for (size_t shift = 0; shift < 8 * sizeof(U); shift += bits, place *= 10) {
      const auto digit = static_cast<int64_t>(raw[i] >> shift & (bits == 4 ? 15 : 255));
      valid[i] &= digit < 10;
      value += digit * place;
    }
    out[i] = value;
  }
}

template <typename T>
INLINE void compare_constants(const T* a, size_t n, Relation relation, T first, T second, uint8_t* flags) {
  if (relation == Relation::kBetween)
    for (size_t i = 0; i < n; i++) flags[i] = (a[i] >= first) & (a[i] <= second);
  else if (relation == Relation::kEqual)
    for (size_t i = 0; i < n; i++) flags[i] = a[i] == first;
  else if (relation == Relation::kLess)
    for (size_t i = 0; i < n; i++) flags[i] = a[i] < first;
  else
    for (size_t i = 0; i < n; i++) flags[i] = a[i] > first;
}

template <typename U, typename F>
INLINE void test_floats(const U* now, const U* then, size_t n, const Test& test, uint8_t* flags,
                        uint8_t* valid) {
  F a[kBlock], b[kBlock];
  std::memcpy(a, now, n * sizeof(F));
  for (size_t i = 0; i < n; i++) valid[i] = a[i] - a[i] == 0;
  if (then == nullptr)
    return compare_constants(a, n, test.relation, static_cast<F>(test.first), static_cast<F>(test.second),
                             flags);
  std::memcpy(b, then, n * sizeof(F));
  for (size_t i = 0; i < n; i++) valid[i] &= b[i] - b[i] == 0;
  if (test.by != 0)
    for (size_t i = 0; i < n; i++) b[i] += static_cast<F>(test.by);
  compare(a, b, n, test.relation, flags);
}

template <typename U>
INLINE void test_integers(const U* now, const U* then, size_t n, Kind kind, const Test& test, uint8_t* flags,
                          uint8_t* valid) {
  int64_t a[kBlock], b[kBlock];
  numbers(now, n, kind, a, valid);
  if (test.relation == Relation::kModulo) {
    for (size_t i = 0; i < n; i++) {
      const int64_t rest = a[i] % test.whole_first;
      flags[i] = (rest < 0 ? rest + test.whole_first : rest) == test.whole_second;
    }
  } else if (then == nullptr) {
    compare_constants(a, n, test.relation, test.whole_first, test.whole_second, flags);
  } else {
    numbers(then, n, kind, b, valid);
    for (size_t i = 0; i < n; i++)  // modulo 2**64, as the eight bytes themselves count
      b[i] = static_cast<int64_t>(static_cast<uint64_t>(b[i]) + static_cast<uint64_t>(test.whole_by));
    compare(a, b, n, test.relation, flags);
  }
}

// Two snapshots of plain integers, the commonest question: compared at their own width.
template <typename U>
INLINE void test_plain(U* now, U* then, size_t n, Kind kind, Relation relation, uint8_t* flags) {
  if (kind == Kind::kSigned || sizeof(U) == 8) {
    constexpr U kSign = static_cast<U>(U{1} << (8 * sizeof(U) - 1));
    for (size_t i = 0; i < n; i++) now[i] ^= kSign, then[i] ^= kSign;
  }
  compare(now, then, n, relation, flags);
}

// 64 flags of 0 or 1 as the bits of a word.
INLINE uint64_t pack(const uint8_t* flags) {
  uint64_t word = 0;
#ifdef __SSE2__
  for (int i = 0; i < 4; i++) {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(flags + 16 * i));
    word |= static_cast<uint64_t>(_mm_movemask_epi8(_mm_slli_epi16(some, 7))) << (16 * i);
  }
#else
  for (int i = 0; i < 8; i++) {
    uint64_t eight;
    std::memcpy(&eight, flags + 8 * i, 8);
    word |= (eight * 0x0102040810204080 >> 56) << (8 * i);
  }
#endif
  return word;
}

template <typename U>
INLINE size_t keep_as(const uint8_t* now, const uint8_t* then, size_t count, const Format& format,
                      const Test& test, uint64_t* candidates) {
  const bool digits = format.kind == Kind::kBcd || format.kind == Kind::kNybbles;
  const bool plain = then != nullptr && test.whole_by == 0 && !digits && format.kind != Kind::kFloat &&
                     (test.relation == Relation::kEqual || test.relation == Relation::kLess ||
                      test.relation == Relation::kGreater);
  const uint64_t flip = test.opposite ? ~uint64_t{0} : 0;
  size_t kept = 0;
  U a[kBlock], b[kBlock];
  uint8_t flags[kBlock], valid[kBlock];
  for (size_t start = 0; start < count; start += kBlock) {
    const size_t n = std::min(kBlock, count - start), words = (n + 63) / 64;
    uint64_t* const block = candidates + start / 64;
    uint64_t any = 0;
    for (size_t w = 0; w < words; w++) any |= block[w];
    if (any == 0) continue;
    if (n < kBlock) std::memset(flags, 0, sizeof flags);
    if (!plain) std::memset(valid, 1, sizeof valid);
    decode(now + start * format.step, n, format.step, format.big, a);
    if (then != nullptr) decode(then + start * format.step, n, format.step, format.big, b);
    const U* const other = then == nullptr ? nullptr : b;
    if (plain) {
      test_plain(a, b, n, format.kind, test.relation, flags);
    } else if (format.kind == Kind::kFloat) {
      if constexpr (sizeof(U) == 4) test_floats<U, float>(a, other, n, test, flags, valid);
      if constexpr (sizeof(U) == 8) test_floats<U, double>(a, other, n, test, flags, valid);
    } else {
      test_integers(a, other, n, format.kind, test, flags, valid);
    }
    for (size_t w = 0; w < words; w++) {
      block[w] &= (pack(flags + 64 * w) ^ flip) & (plain ? ~uint64_t{0} : pack(valid + 64 * w));
      kept += static_cast<size_t>(std::popcount(block[w]));
    }
  }
  return kept;
}

template <typename U>
INLINE void take_as(const uint8_t* view, size_t size, uint8_t* out) {
  for (size_t i = 0; i + sizeof(U) <= size; i += sizeof(U)) {
    U word;
    std::memcpy(&word, view + i, sizeof(U));
    word = reversed(word);
    std::memcpy(out + i, &word, sizeof(U));
  }
}

}  // namespace

FRAMEPERFECT_CLONES void take(const uint8_t* view, size_t size, size_t swap, uint8_t* out) {
  if (swap == 2) return take_as<uint16_t>(view, size, out);
  if (swap == 4) return take_as<uint32_t>(view, size, out);
  if (swap == 8) return take_as<uint64_t>(view, size, out);
  std::copy_n(view, size, out);
}

FRAMEPERFECT_CLONES size_t keep(const uint8_t* now, const uint8_t* then, size_t count, const Format& format,
                                const Test& test, uint64_t* candidates) {
  switch (format.width) {
    case 1:
      return keep_as<uint8_t>(now, then, count, format, test, candidates);
    case 2:
      return keep_as<uint16_t>(now, then, count, format, test, candidates);
    case 4:
      return keep_as<uint32_t>(now, then, count, format, test, candidates);
    default:
      return keep_as<uint64_t>(now, then, count, format, test, candidates);
  }
}

}  // namespace frameperfect::ram
