#include "hook/huffman.hpp"

#include <algorithm>
#include <vector>

namespace frameperfect::hook {

Huffman::Huffman(std::span<const uint32_t, 256> frequencies) {
  struct Tree {
    uint32_t frequency;
    int node;
  };
  std::vector<Tree> trees;
  for (int byte = 0; byte < 256; ++byte) trees.push_back({frequencies[byte], byte});
  trees.push_back({1, kEnd});
  // Which of two equally rare trees is joined first decides the code: a stable sort, the last two of it.
  int next = kSymbols;
  while (trees.size() > 1) {
    std::stable_sort(trees.begin(), trees.end(),
                     [](const Tree& a, const Tree& b) { return a.frequency > b.frequency; });
    const Tree rarest = trees.back();
    trees.pop_back();
    Tree& other = trees.back();
    children_[next] = {static_cast<uint16_t>(rarest.node), static_cast<uint16_t>(other.node)};
    other = {rarest.frequency + other.frequency, next++};
  }
  root_ = trees[0].node;
}

template <typename Take>
Huffman::End Huffman::read(std::span<const uint8_t> packed, Take&& take) const {
  int node = root_;
  for (const uint8_t byte : packed) {
    for (int bit = 0; bit < 8; ++bit) {
      node = children_[node][byte >> bit & 1];
      if (node >= kSymbols) continue;
      if (node == kEnd) return End::kWhole;
      if (!take(static_cast<uint8_t>(node))) return End::kEnough;
      node = root_;
    }
  }
  return End::kDamaged;
}

int Huffman::unpack(std::span<const uint8_t> packed, std::span<uint8_t> out) const {
  size_t written = 0;
  const End end = read(packed, [&](uint8_t byte) {
    if (written == out.size()) return false;
    out[written++] = byte;
    return true;
  });
  return end == End::kWhole ? static_cast<int>(written) : -1;
}

bool Huffman::peek(std::span<const uint8_t> packed, std::span<uint8_t> out) const {
  size_t written = 0;
  read(packed, [&](uint8_t byte) {
    out[written++] = byte;
    return written < out.size();
  });
  return written == out.size();
}

}  // namespace frameperfect::hook
