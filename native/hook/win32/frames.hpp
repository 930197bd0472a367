// The frame boundary of a Windows game, and what is answered there.
#pragma once
#include <cstdint>

#include "hook/win32/link.hpp"

namespace frameperfect::hook {

// What ends a frame.
enum class Boundary { kMessages, kSleep, kSwap };

struct Terms {
  Boundary boundary;
  int64_t frame_ns;  // the least that a frame takes in the game's own time
  bool ours;         // the game was started for us: it ends with its host, and begins like every other run
};

// From the next boundary on, serve the host at the other end of `link`. Names a function that could not be
// led to us, or null.
const char* begin_frames(Link&& link, const Terms& terms);
bool has_host();

}  // namespace frameperfect::hook
