// Frames to observations: crop, maximum of two frames, grey, area resize, stack, equal to Gymnasium's
// MaxAndSkipObservation, GrayscaleObservation, ResizeObservation and FrameStackObservation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "video/picture.hpp"
#include "video/resize.hpp"
#include "video/rows.hpp"

namespace frameperfect::video {

struct Crop {
  int top = 0, left = 0, height = 0, width = 0;  // the part of it that lies on the screen counts
};

struct Shape {
  int height = 84, width = 84;  // of the observation
  bool grey = true;             // one channel instead of RGB
  int stack = 4;
  std::optional<Crop> crop;
};

// One machine's frames. Owned by one thread at a time; the stacks belong to the caller.
class Preprocessor {
 public:
  explicit Preprocessor(Shape shape);

  size_t frame_bytes() const { return frame_bytes_; }
  size_t stack_bytes() const { return frame_bytes_ * shape_.stack; }

  // Remember the frame before a step's last one: the next `push` takes the larger of each channel. Where the
  // screen's size or format changed between the two, the last frame counts alone.
  void keep(const Picture& picture);

  // Drop the oldest frame of a stack (stack, height, width, channels) and append this one.
  void push(const Picture& picture, uint8_t* stack);

  // A stack of this frame only.
  void fill(const Picture& picture, uint8_t* stack);

 private:
  void draw(const Picture& picture, uint8_t* out);
  Picture cropped(const Picture& picture) const;

  Shape shape_;
  int channels_;
  size_t frame_bytes_;
  std::vector<uint8_t> kept_pixels_;
  Picture kept_;  // into kept_pixels_; empty if there is none
  std::optional<Resizer> resizer_;
  RowMaker rows_;
  std::vector<uint8_t> lines_;  // a band of rows, channel by channel
};

}  // namespace frameperfect::video
