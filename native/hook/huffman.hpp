// The Huffman code that Teeworlds packs its packets with. Its tree is grown from a fixed table of how often
// each byte occurs; a program that speaks the protocol carries this table, so we take it from there.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace frameperfect::hook {

class Huffman {
 public:
  // `frequencies`: of the 256 bytes.
  explicit Huffman(std::span<const uint32_t, 256> frequencies);

  // Bytes written to `out`, or -1 where the input is damaged or `out` too small.
  int unpack(std::span<const uint8_t> packed, std::span<uint8_t> out) const;

  // Whether there are as many bytes as `out` has; they are its first ones.
  bool peek(std::span<const uint8_t> packed, std::span<uint8_t> out) const;

 private:
  static constexpr int kEnd = 256;  // the symbol that ends a packet
  static constexpr int kSymbols = 257;

  // Hands each byte to `take` until that says that it wants no more, or the input ends.
  enum class End { kWhole, kDamaged, kEnough };
  template <typename Take>
  End read(std::span<const uint8_t> packed, Take&& take) const;

  std::array<std::array<uint16_t, 2>, 2 * kSymbols>
      children_{};  // of inner nodes; symbols are below kSymbols
  int root_ = 0;
};

}  // namespace frameperfect::hook
