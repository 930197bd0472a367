// This process' own memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hook/scan.hpp"

namespace frameperfect::hook {

// Copies `size` bytes from `address`; false, and perhaps a part of them, where the process has no such
// memory.
bool read_memory(uint64_t address, void* out, size_t size);

// What the program has allocated since it began, and the stacks of its threads.
std::vector<scan::Region> allocated_memory();

}  // namespace frameperfect::hook
