// Hashes of states, and the set of those that a search has seen.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace frameperfect::search {

// 128 bits: among a thousand million states, two unequal ones collide with a chance of 10^-21.
struct Hash {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash&) const = default;
};

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit.
inline uint64_t scramble(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

inline Hash mix(Hash hash, uint64_t word) {
  return {scramble(hash.low ^ word) + 0x9e3779b97f4a7c15,
          scramble(hash.high + std::rotl(word, 32) + 0xd1b54a32d192ed03)};
}

inline Hash hash_bytes(Hash hash, std::span<const uint8_t> bytes) {
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    hash = mix(hash, word);
  }
  if (at == bytes.size()) return hash;
  uint64_t word = 0;
  std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  return mix(hash, word);
}

// Open addressing, linear probing, at most three quarters full. Owned by one thread.
class HashSet {
 public:
  HashSet() : table_(kLeast) {}

  // Whether it was new.
  bool insert(Hash hash) {
    if (4 * (count_ + 1) > 3 * table_.size()) grow();
    if (hash == Hash{}) hash.low = 1;  // an empty place
    for (size_t at = hash.low & mask();; at = (at + 1) & mask()) {
      if (table_[at] == hash) return false;
      if (table_[at] == Hash{}) {
        table_[at] = hash;
        count_++;
        return true;
      }
    }
  }

  bool contains(Hash hash) const {
    if (hash == Hash{}) hash.low = 1;
    for (size_t at = hash.low & mask();; at = (at + 1) & mask()) {
      if (table_[at] == hash) return true;
      if (table_[at] == Hash{}) return false;
    }
  }

  void clear() {
    table_.assign(kLeast, {});
    count_ = 0;
  }

  size_t count() const { return count_; }
  size_t bytes() const { return table_.size() * sizeof(Hash); }

  // Every member, in no order.
  template <typename Visit>
  void each(Visit visit) const {
    for (const Hash& hash : table_) {
      if (!(hash == Hash{})) visit(hash);
    }
  }

 private:
  static constexpr size_t kLeast = 1024;
  size_t mask() const { return table_.size() - 1; }

  void grow() {
    std::vector<Hash> old(table_.size() * 2);
    old.swap(table_);
    count_ = 0;
    for (const Hash& hash : old) {
      if (!(hash == Hash{})) insert(hash);
    }
  }

  std::vector<Hash> table_;
  size_t count_ = 0;
};

}  // namespace frameperfect::search
