// The program's own image: its segments, byte patterns in them, and C++ objects by the name of their class.
// Names of classes with virtual functions survive stripping, in the type information that the Itanium C++ ABI
// (https://itanium-cxx-abi.github.io/cxx-abi/abi.html#rtti) puts beside every vtable.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace frameperfect::hook {

struct Segment {
  uintptr_t start;
  size_t size;
  bool writable;
  std::span<const uint8_t> bytes() const { return {reinterpret_cast<const uint8_t*>(start), size}; }
};

struct Module {
  uintptr_t base = 0;
  std::vector<Segment> segments;

  // The program itself (not its libraries).
  static Module program();

  // The first place of `pattern`, on multiples of `align`; null where there is none.
  const uint8_t* find(std::span<const uint8_t> pattern, size_t align = 1) const;

  // The addresses in the program's data where an object of the class begins. The class is given as the ABI
  // mangles it: "10CCharacter". Empty where the program has no such class, or no object of it.
  std::vector<uintptr_t> objects_of(std::string_view mangled) const;

 private:
  // Every aligned word of the image that holds `value`.
  std::vector<uintptr_t> words_equal_to(uintptr_t value, bool writable_only) const;
};

}  // namespace frameperfect::hook
