// The program's own image: its segments, byte patterns in them, and C++ objects by the name of their class.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "hook/scan.hpp"

namespace frameperfect::hook {

struct Module {
  uintptr_t base = 0;
  std::vector<scan::Region> segments;  // what of it can be read

  // The program itself (not its libraries).
  static Module program();

  // The first place of `bytes`, on multiples of `align`; null where there is none.
  const uint8_t* find(std::span<const uint8_t> bytes, size_t align = 1) const;

  // Addresses of the class' objects in the program's own data; where it has none there, in what it allocated.
  // See scan::objects_of.
  std::vector<uint64_t> objects_of(std::string_view name) const;
};

}  // namespace frameperfect::hook
