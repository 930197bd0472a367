// How long x86 instructions are, and where they keep distances: enough to move the first ones of a function.
// After the opcode maps of Intel's manual (Software Developer's Manual, volume 2, appendix A). Knows no
// operating system.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace frameperfect::hook {

enum class Bits { k32, k64 };

struct Instruction {
  size_t length;
  size_t distance_at = 0;    // where a distance from the instruction's end is kept; 0: there is none
  size_t distance_size = 0;  // 1 or 4 bytes
  bool is_branch = false;    // it leads to code, else to data
};

// The first instruction of `code`; nothing where it is none, or cut off.
std::optional<Instruction> decode(std::span<const uint8_t> code, Bits bits);

// The first instructions of the function at `from`, at least `least` bytes of them, as they are written at
// `to`. Sets `taken` to the bytes they were. Nothing where one can't be moved: it is none, its distance gets
// too large, or the function ends before.
std::optional<std::vector<uint8_t>> move_code(std::span<const uint8_t> code, uint64_t from, uint64_t to,
                                              size_t least, Bits bits, size_t& taken);

}  // namespace frameperfect::hook
