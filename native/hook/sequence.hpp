// The fixed sequence that a hooked program gets in the place of chance.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace frameperfect::hook {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Used by whichever thread asks; the game's own asks in
// order.
class Sequence {
 public:
  void fill(void* out, size_t size) {
    auto* bytes = static_cast<uint8_t*>(out);
    while (size > 0) {
      uint64_t z = state_ += 0x9E3779B97F4A7C15;
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
      z = (z ^ z >> 27) * 0x94D049BB133111EB;
      z ^= z >> 31;
      const size_t part = size < 8 ? size : 8;
      std::memcpy(bytes, &z, part);
      bytes += part;
      size -= part;
    }
  }

 private:
  uint64_t state_ = 0x46504631;
};

}  // namespace frameperfect::hook
