// Finding things in a program's memory without its symbols: byte patterns, chains of pointers, and C++
// objects by the name of their class. Knows no operating system: memory comes as regions, or through a
// function that reads.
//
// Classes with virtual functions keep their name in a stripped program, in the type information beside their
// tables of functions: as the Itanium C++ ABI lays it out (GCC, Clang, MinGW:
// https://itanium-cxx-abi.github.io/cxx-abi/abi.html#rtti), or as Microsoft's compilers do
// (https://learn.microsoft.com/en-us/cpp/cpp/run-time-type-information; names that begin with ".?A").
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace frameperfect::scan {

// Memory and where the program has it.
struct Region {
  uint64_t address;
  std::span<const uint8_t> bytes;
  bool writable;
};

// Bytes of which some may be anything.
class Pattern {
 public:
  // Two hex digits a byte, "??" for any: "48 8b 05 ?? ?? ?? ??". Throws std::invalid_argument, also where no
  // byte is given.
  explicit Pattern(std::string_view text);

  // Addresses of the first `most` places, in the order of the regions. None goes from one region into the
  // next.
  std::vector<uint64_t> find(std::span<const Region> regions, size_t most) const;

 private:
  bool matches(const uint8_t* at) const;

  std::vector<uint8_t> bytes_, known_;  // known_: 0xff where the byte counts, else 0
  size_t first_known_ = 0;
};

// Where a chain leads: the pointer at `address` is read and the first of `adds` added, that sum is where the
// next pointer is read, and so on. Nothing where one is null or can't be read. `width`: bytes of a pointer, 4
// or 8. `read(address, out, size)` says whether it could.
template <typename Read>
std::optional<uint64_t> follow(uint64_t address, std::span<const int64_t> adds, size_t width, Read&& read) {
  const uint64_t all = width == 4 ? 0xffff'ffff : ~uint64_t{0};
  for (const int64_t add : adds) {
    uint64_t pointer = 0;
    if (!read(address, &pointer, width) || pointer == 0) return std::nullopt;
    address = (pointer + static_cast<uint64_t>(add)) & all;
  }
  return address;
}

// Addresses in writable regions where an object of the class begins, rising. The name is as the compiler
// writes it: "10CCharacter", ".?AVCCharacter@@". `width`: bytes of a pointer; `base`: where the program is
// loaded.
std::vector<uint64_t> objects_of(std::span<const Region> regions, std::string_view name, size_t width,
                                 uint64_t base);

}  // namespace frameperfect::scan
