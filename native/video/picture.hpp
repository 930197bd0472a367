// Pictures as emulators draw them, and their pixels as 8-bit channels.
#pragma once
#include <cstddef>
#include <cstdint>

namespace frameperfect::video {

// The first three numbers are libretro's own (RETRO_PIXEL_FORMAT_*); RGB888 is three bytes a pixel,
// and grey one byte that is taken as it is.
enum class Format : uint8_t { kXrgb1555 = 0, kXrgb8888 = 1, kRgb565 = 2, kRgb888 = 3, kGrey8 = 4 };

constexpr size_t bytes_per_pixel(Format format) {
  return format == Format::kXrgb8888 ? 4 : format == Format::kRgb888 ? 3 : format == Format::kGrey8 ? 1 : 2;
}

// A view of somebody else's pixels. Null pixels or a zero size mean that nothing was drawn yet: black.
struct Picture {
  const uint8_t* pixels = nullptr;
  unsigned width = 0, height = 0;
  size_t pitch = 0;  // bytes from one row to the next
  Format format = Format::kRgb888;

  bool empty() const { return pixels == nullptr || width == 0 || height == 0; }
};

// Channels of 5 and 6 bits become 8 bits by repeating their high bits below (0 -> 0, all ones -> 255).
constexpr uint8_t widen5(unsigned v) { return static_cast<uint8_t>(v << 3 | v >> 2); }
constexpr uint8_t widen6(unsigned v) { return static_cast<uint8_t>(v << 2 | v >> 4); }

struct Rgb {
  uint8_t r, g, b;
};
constexpr Rgb rgb565(uint16_t p) { return {widen5(p >> 11), widen6(p >> 5 & 63), widen5(p & 31)}; }
constexpr Rgb rgb1555(uint16_t p) { return {widen5(p >> 10 & 31), widen5(p >> 5 & 31), widen5(p & 31)}; }
constexpr Rgb rgb8888(uint32_t p) {
  return {static_cast<uint8_t>(p >> 16), static_cast<uint8_t>(p >> 8), static_cast<uint8_t>(p)};
}

// Grey as Gymnasium's GrayscaleObservation computes it: a sum of doubles in this order, cut off.
constexpr uint8_t grey(Rgb p) { return static_cast<uint8_t>(p.r * 0.2125 + p.g * 0.7154 + p.b * 0.0721); }

// The whole picture as tight (height, width, 3) RGB.
void write_rgb(const Picture& picture, uint8_t* out);

}  // namespace frameperfect::video
