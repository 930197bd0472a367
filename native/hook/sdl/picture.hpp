// The game's picture: read where the game shows it, and not drawn at all where nobody looks.
#pragma once
#include <cstdint>
#include <vector>

#include "hook/sdl/sdl.hpp"

namespace frameperfect::hook::sdl {

// A part of every state, so that a state brings its picture along.
struct Picture {
  bool wanted = true;        // this frame's is to be drawn and read
  uint64_t read_at = ~0ull;  // the frame it is of
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // RGB

  // Room for a picture of this size; false where it is too large to hand over.
  bool make_room(int w, int h);
};

extern Picture picture;

// In frames.cpp: the game has shown what it drew.
void shown();
// Frames since the game began.
uint64_t current_frame();

}  // namespace frameperfect::hook::sdl
