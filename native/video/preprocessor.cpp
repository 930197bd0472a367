#include "video/preprocessor.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "video/rows.hpp"

namespace frameperfect::video {

Preprocessor::Preprocessor(Shape shape)
    : shape_(shape),
      channels_(shape.grey ? 1 : 3),
      frame_bytes_(size_t(shape.height) * shape.width * channels_) {}

Picture Preprocessor::cropped(const Picture& picture) const {
  if (picture.empty() || !shape_.crop) return picture;
  const auto clamp = [](int value, unsigned end) { return std::clamp(value, 0, static_cast<int>(end)); };
  const Crop& crop = *shape_.crop;
  const int top = clamp(crop.top, picture.height), left = clamp(crop.left, picture.width);
  Picture part = picture;
  part.pixels += top * picture.pitch + left * bytes_per_pixel(picture.format);
  part.height = std::min<unsigned>(crop.height, picture.height - top);
  part.width = std::min<unsigned>(crop.width, picture.width - left);
  return part;
}

void Preprocessor::keep(const Picture& picture) {
  const Picture part = cropped(picture);
  kept_ = part;
  if (part.empty()) return;
  kept_.pitch = part.width * bytes_per_pixel(part.format);
  kept_pixels_.resize(kept_.pitch * part.height);
  kept_.pixels = kept_pixels_.data();
  for (unsigned y = 0; y < part.height; y++) {
    std::memcpy(kept_pixels_.data() + y * kept_.pitch, part.pixels + y * part.pitch, kept_.pitch);
  }
}

void Preprocessor::push(const Picture& picture, uint8_t* stack) {
  std::memmove(stack, stack + frame_bytes_, stack_bytes() - frame_bytes_);
  draw(picture, stack + stack_bytes() - frame_bytes_);
}

void Preprocessor::fill(const Picture& picture, uint8_t* stack) {
  kept_ = {};
  draw(picture, stack);
  for (int i = 1; i < shape_.stack; i++) std::memcpy(stack + i * frame_bytes_, stack, frame_bytes_);
}

void Preprocessor::draw(const Picture& picture, uint8_t* out) {
  const Picture part = cropped(picture);
  const Picture before = std::exchange(kept_, {});
  if (part.empty()) {
    std::memset(out, 0, frame_bytes_);
    return;
  }
  const bool two = !before.empty() && before.width == part.width && before.height == part.height &&
                   before.format == part.format;
  const auto line = [&](int y) {
    const uint8_t* const row = part.pixels + y * part.pitch;
    return Line{row, two ? before.pixels + y * before.pitch : row, part.width, part.format};
  };
  const int height = part.height, width = part.width;
  if (height == shape_.height && width == shape_.width) {
    for (int y = 0; y < height; y++, out += size_t(width) * channels_) {
      shape_.grey ? rows_.grey(line(y), out) : rows_.rgb(line(y), out);
    }
    return;
  }
  if (!resizer_ || !resizer_->fits(height, width)) {
    resizer_.emplace(height, width, shape_.height, shape_.width, channels_);
    lines_.resize(resizer_->pitch() * Resizer::kBand * channels_);
  }
  const size_t pitch = resizer_->pitch();
  for (int y = 0; y < height; y++) {
    const int lane = y % Resizer::kBand;
    uint8_t* const first = lines_.data() + lane * pitch;
    if (shape_.grey) {
      rows_.grey(line(y), first);
    } else {
      const size_t plane = pitch * Resizer::kBand;
      rows_.planes(line(y), first, first + plane, first + 2 * plane);
    }
    if (lane == Resizer::kBand - 1 || y == height - 1) resizer_->feed(lines_.data(), y - lane, out);
  }
}

}  // namespace frameperfect::video
