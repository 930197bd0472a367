// What the host and the hook in an SDL game say to each other besides ../protocol.hpp; machines/native/sdl.py
// is the other side of this file.
#pragma once
#include <cstdint>

#include "hook/protocol.hpp"

namespace frameperfect::hook::sdl {

// What the host puts into the game's environment: "boundary:nanoseconds a frame:controllers", numbers all.
inline constexpr char kVariable[] = "FRAMEPERFECT_SDL";

// Where a frame ends.
enum class Boundary : uint32_t {
  kPoll = 0,  // the game begins to ask for its events
  kSwap = 1,  // the game shows what it has drawn
};

// `Op::kStep` is here: uint32 frames, uint32 draw (the last one), then an Input.
inline constexpr int kAxes = 6;

struct Input {
  uint8_t keys[64];            // bit i: the key of scancode i is down
  int32_t mouse_x, mouse_y;    // where the pointer goes; -1: nowhere
  int32_t mouse_dx, mouse_dy;  // and how far it is pushed from there
  uint32_t mouse_buttons;      // bit i: button i + 1
  uint32_t pad_buttons;        // as SDL_GameControllerButton counts them
  int16_t pad_axes[kAxes];     // as SDL_GameControllerAxis counts them
  bool operator==(const Input&) const = default;
};
static_assert(sizeof(Input) == 100);

// In the views, in the place of players' records.
struct SdlStatus {
  uint32_t ended;          // the game has come to its own end; frames pass and nothing happens
  uint32_t drawn;          // the picture is the last frame's
  uint32_t width, height;  // of the picture; 0 while there is none
};

// Behind all else: RGB, rows from the top, no gaps.
inline constexpr uint32_t kPictureAt = kViewsSize;
inline constexpr uint32_t kMaxPicture = 32 << 20;

}  // namespace frameperfect::hook::sdl
