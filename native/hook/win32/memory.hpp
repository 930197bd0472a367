// This process' own memory: reading what may not be there, and the program's image.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hook/scan.hpp"

namespace frameperfect::hook {

// Once, before `read_memory`.
void guard_reads();

// Copies `size` bytes from `address`; false, and perhaps a part of them, where the process has no such
// memory. For one thread at a time.
bool read_memory(uint64_t address, void* out, size_t size);

uint64_t image_base();

// The sections of the program (not of its libraries), as they are loaded.
std::vector<scan::Region> image_sections();

// All else that can be written.
std::vector<scan::Region> allocated_memory();

// Where the stack of the process' first thread begins, its highest address; 0 where that can't be told.
uint64_t first_stack();

}  // namespace frameperfect::hook
