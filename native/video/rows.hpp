// One row of pixels at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "video/picture.hpp"

namespace frameperfect::video {

// A row of one frame, or the larger of each channel of two frames' rows: `other` may be the row itself.
struct Line {
  const uint8_t* pixels;
  const uint8_t* other;
  size_t width;
  Format format;
};

// Owned by one thread at a time, for the room it keeps.
class RowMaker {
 public:
  // Grey as Gymnasium computes it (see picture.hpp).
  void grey(const Line& line, uint8_t* out);
  // The channels, each by itself.
  void planes(const Line& line, uint8_t* red, uint8_t* green, uint8_t* blue);
  // Three samples a pixel, side by side.
  void rgb(const Line& line, uint8_t* out);

 private:
  const uint8_t* larger(const Line& line);

  std::vector<uint8_t> larger_, red_, green_, blue_;
};

}  // namespace frameperfect::video
