// Memory that the host wants to see after every step.
#pragma once
#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "hook/memory.hpp"
#include "hook/protocol.hpp"
#include "hook/scan.hpp"

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
      const auto hops = std::min<uint32_t>(watch.hops, kMaxHops);
      const auto place = scan::follow(watch.address, {watch.add, hops}, sizeof(void*), read_memory);
      if (!place || !read_memory(*place, out, watch.length)) std::memset(out, 0, watch.length);
      out += watch.length;
    }
  }

 private:
  std::vector<Watch> watches_;
};

}  // namespace frameperfect::hook
