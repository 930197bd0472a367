// Memory that the host wants to see after every step.
#pragma once
#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "hook/protocol.hpp"

namespace frameperfect::hook {

class WatchList {
 public:
  void set(std::span<const Watch> wanted) {
    size_t bytes = 0;
    for (const Watch& watch : wanted) bytes += watch.length;
    if (wanted.size() > kMaxWatches || bytes > kMaxWatched)
      throw std::runtime_error("too much memory to watch");
    watches_.assign(wanted.begin(), wanted.end());
  }

  // One after the other.
  void copy(uint8_t* out) const {
    for (const Watch& watch : watches_) {
      if (const uint8_t* place = follow(watch))
        std::memcpy(out, place, watch.length);
      else
        std::memset(out, 0, watch.length);
      out += watch.length;
    }
  }

 private:
  static const uint8_t* follow(const Watch& watch) {
    uint64_t at = watch.address;
    for (uint32_t hop = 0; hop < std::min<uint32_t>(watch.hops, 4); ++hop) {
      uint64_t pointer;
      std::memcpy(&pointer, reinterpret_cast<const void*>(at), sizeof(pointer));
      if (pointer == 0) return nullptr;
      at = pointer + static_cast<uint64_t>(watch.add[hop]);
    }
    return reinterpret_cast<const uint8_t*>(at);
  }

  std::vector<Watch> watches_;
};

}  // namespace frameperfect::hook
