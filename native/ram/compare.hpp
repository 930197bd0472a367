// One comparison over a whole memory domain: which of the addresses that are still candidates hold it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace frameperfect::ram {

enum class Kind : uint8_t { kUnsigned, kSigned, kFloat, kBcd, kNybbles };
enum class Relation : uint8_t { kEqual, kLess, kGreater, kBetween, kModulo };

// How a value lies in memory: `width` bytes (1, 2, 4 or 8), one value every `step` bytes.
struct Format {
  Kind kind;
  size_t width;
  bool big;
  size_t step;
};

// value RELATION other, or its opposite. `other` is the value that `then` holds there, plus `by`; where there
// is no `then`, it is the constant `first` (and `second`: between first and second; value % first == second).
struct Test {
  Relation relation;
  bool opposite = false;
  double by = 0, first = 0, second = 0;
  int64_t whole_by = 0, whole_first = 0, whole_second = 0;  // the same for integers, exactly
};

// Copies a domain into the console's own byte order: within each word of `swap` bytes the view is reversed.
void take(const uint8_t* view, size_t size, size_t swap, uint8_t* out);

// Clears the bits of `candidates` (one a value, least significant first) whose value in `now` fails the test;
// values that are no number (not finite, no decimal digits) fail always. Returns how many stay.
size_t keep(const uint8_t* now, const uint8_t* then, size_t count, const Format& format, const Test& test,
            uint64_t* candidates);

}  // namespace frameperfect::ram
