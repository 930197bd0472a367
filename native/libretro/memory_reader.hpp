// What a pool reads of a core's memory after each step; spans and domains as src/frameperfect/memory.py has
// them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "libretro/core.hpp"

namespace frameperfect::libretro {

// How a memory block of the core lies on the console's bus.
struct Domain {
  uint64_t base = 0, size = 0;
  unsigned swap = 1;  // bytes of a word that the core keeps reversed
  unsigned address_bits = 32;
};

struct Hop {
  int width = 4;
  bool big_endian = false;
  int64_t add = 0;
};

struct Span {
  size_t domain = 0;  // its number
  uint64_t offset = 0, length = 0;
  bool raw = false;
  std::vector<Hop> hops;
};

// Immutable, so any number of threads may read with it.
class MemoryReader {
 public:
  // `domains` in the order of Core::memory().
  MemoryReader(std::vector<Domain> domains, std::vector<Span> spans);

  size_t row_bytes() const { return row_bytes_; }
  // The spans of `core` side by side.
  void read(const Core& core, uint8_t* row) const;

 private:
  using Blocks = std::vector<MemoryBlock>;
  void read_hops(const Blocks& blocks, const Span& span, uint8_t* out) const;
  std::optional<std::pair<size_t, uint64_t>> find(uint64_t address) const;
  uint8_t byte(const Blocks& blocks, size_t domain, uint64_t offset) const;
  uint8_t byte_at(const Blocks& blocks, uint64_t address) const;

  std::vector<Domain> domains_;
  std::vector<Span> spans_;
  size_t row_bytes_ = 0;
};

}  // namespace frameperfect::libretro
