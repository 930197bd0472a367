// A core's picture as the video code takes it.
#pragma once
#include "libretro/core.hpp"
#include "video/picture.hpp"

namespace frameperfect::libretro {

inline video::Picture view(const Picture& shown) {
  return {shown.pixels, shown.width, shown.height, shown.pitch, static_cast<video::Format>(shown.format)};
}

}  // namespace frameperfect::libretro
