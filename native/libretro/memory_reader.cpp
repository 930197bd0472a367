#include "libretro/memory_reader.hpp"

#include <cstring>

namespace frameperfect::libretro {
namespace {

// Bytes from memory whose words are kept reversed, in the console's order.
template <typename Word>
void copy_swapped(const uint8_t* memory, uint64_t offset, uint64_t length, uint8_t* out) {
  constexpr uint64_t kFlip = sizeof(Word) - 1;
  const uint64_t end = offset + length;
  for (; offset < end && offset & kFlip; offset++) *out++ = memory[offset ^ kFlip];
  for (; end - offset >= sizeof(Word); offset += sizeof(Word), out += sizeof(Word)) {
    Word word;
    std::memcpy(&word, memory + offset, sizeof word);
    word = sizeof(Word) == 2 ? __builtin_bswap16(word) : __builtin_bswap32(word);
    std::memcpy(out, &word, sizeof word);
  }
  for (; offset < end; offset++) *out++ = memory[offset ^ kFlip];
}

}  // namespace

MemoryReader::MemoryReader(std::vector<Domain> domains, std::vector<Span> spans)
    : domains_(std::move(domains)), spans_(std::move(spans)) {
  for (const Span& span : spans_) row_bytes_ += span.length;
}

void MemoryReader::read(const Core& core, uint8_t* row) const {
  const Blocks& blocks = core.memory();
  for (const Span& span : spans_) {
    const auto bytes = blocks[span.domain].bytes;
    const unsigned flip = span.raw ? 0 : domains_[span.domain].swap - 1;
    if (!span.hops.empty()) {
      read_hops(blocks, span, row);
    } else if (bytes.size() % (flip + 1) != 0 || span.offset + span.length > bytes.size()) {
      // A core may have less of it since a power-on; the last word of an odd size is not whole.
      for (uint64_t i = 0; i < span.length; i++) {
        const uint64_t at = (span.offset + i) ^ flip;
        row[i] = at < bytes.size() ? bytes[at] : 0;
      }
    } else if (flip == 0) {
      std::memcpy(row, bytes.data() + span.offset, span.length);
    } else if (flip == 1) {
      copy_swapped<uint16_t>(bytes.data(), span.offset, span.length, row);
    } else {
      copy_swapped<uint32_t>(bytes.data(), span.offset, span.length, row);
    }
    row += span.length;
  }
}

void MemoryReader::read_hops(const Blocks& blocks, const Span& span, uint8_t* out) const {
  const Domain& home = domains_[span.domain];
  const uint64_t bus = home.address_bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << home.address_bits) - 1;
  uint64_t address = 0;
  for (size_t i = 0; i < span.hops.size(); i++) {
    const Hop& hop = span.hops[i];
    uint64_t stored = 0;
    for (int k = 0; k < hop.width; k++) {
      // The first pointer's domain is given, and may lie on no bus.
      const uint64_t one = i == 0 ? byte(blocks, span.domain, span.offset + k) : byte_at(blocks, address + k);
      stored |= one << 8 * (hop.big_endian ? hop.width - 1 - k : k);
    }
    address = (stored + static_cast<uint64_t>(hop.add)) & bus;
  }
  for (uint64_t i = 0; i < span.length; i++) out[i] = byte_at(blocks, address + i);
}

std::optional<std::pair<size_t, uint64_t>> MemoryReader::find(uint64_t address) const {
  // As it stands in any domain, then as wide as the bus is: the order of memory.find_domain.
  for (size_t i = 0; i < domains_.size(); i++) {
    if (address - domains_[i].base < domains_[i].size) return std::pair(i, address - domains_[i].base);
  }
  for (size_t i = 0; i < domains_.size(); i++) {
    const unsigned bits = domains_[i].address_bits;
    const uint64_t cut = bits >= 64 ? address : address & ((uint64_t{1} << bits) - 1);
    if (cut - domains_[i].base < domains_[i].size) return std::pair(i, cut - domains_[i].base);
  }
  return std::nullopt;
}

uint8_t MemoryReader::byte(const Blocks& blocks, size_t domain, uint64_t offset) const {
  const auto bytes = blocks[domain].bytes;
  const uint64_t at = offset ^ (domains_[domain].swap - 1);
  return at < bytes.size() ? bytes[at] : 0;
}

uint8_t MemoryReader::byte_at(const Blocks& blocks, uint64_t address) const {
  const auto found = find(address);
  return found ? byte(blocks, found->first, found->second) : 0;
}

}  // namespace frameperfect::libretro
