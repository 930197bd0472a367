// frameperfect._native.Preprocessor: the frames of any machine to observations.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "bind/bind.hpp"
#include "video/preprocessor.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::video {
namespace {

using Frame = nb::ndarray<nb::ro, nb::device::cpu>;
using Stack = nb::ndarray<uint8_t, nb::c_contig, nb::device::cpu>;

// (H, W, 3) uint8 is RGB888, (H, W) uint8 grey, (H, W) uint32 XRGB8888, and (H, W) uint16 what `format` says.
// Rows may lie apart.
Picture view(const Frame& frame, const std::string& format) {
  Picture picture;
  size_t pixel = 0;
  if (frame.ndim() == 3 && frame.dtype() == nb::dtype<uint8_t>() && frame.shape(2) == 3 &&
      frame.stride(2) == 1) {
    picture.format = Format::kRgb888, pixel = 3;
  } else if (frame.ndim() == 2 && frame.dtype() == nb::dtype<uint8_t>()) {
    picture.format = Format::kGrey8, pixel = 1;
  } else if (frame.ndim() == 2 && frame.dtype() == nb::dtype<uint32_t>()) {
    picture.format = Format::kXrgb8888, pixel = 1;
  } else if (frame.ndim() == 2 && frame.dtype() == nb::dtype<uint16_t>()) {
    if (format != "rgb565" && format != "xrgb1555") {
      throw nb::value_error("16-bit frames need a format: 'rgb565' or 'xrgb1555'");
    }
    picture.format = format == "rgb565" ? Format::kRgb565 : Format::kXrgb1555, pixel = 1;
  } else {
    throw nb::value_error("a frame is (H, W, 3) or (H, W) uint8, (H, W) uint32 or (H, W) uint16");
  }
  if (frame.shape(0) && frame.shape(1) > 1 && frame.stride(1) != static_cast<int64_t>(pixel)) {
    throw nb::value_error("the pixels of a row must lie side by side");
  }
  picture.pixels = static_cast<const uint8_t*>(frame.data());
  picture.height = frame.shape(0), picture.width = frame.shape(1);
  picture.pitch = frame.stride(0) * frame.itemsize();
  return picture;
}

uint8_t* pixels_of(const Preprocessor& self, const Stack& stack) {
  if (stack.nbytes() != self.stack_bytes()) throw nb::value_error("the stack has another shape");
  return stack.data();
}

}  // namespace
}  // namespace frameperfect::video

void bind_preprocess(nb::module_& m) {
  using namespace frameperfect::video;
  nb::class_<Preprocessor>(m, "Preprocessor",
                           "Crop, maximum, grey, area resize and stack of one machine's frames.")
      .def(
          "__init__",
          [](Preprocessor* self, int height, int width, bool grey, int stack,
             std::optional<std::tuple<int, int, int, int>> crop) {
            if (height < 1 || width < 1 || stack < 1)
              throw nb::value_error("height, width and stack: at least 1");
            Shape shape{height, width, grey, stack, std::nullopt};
            if (crop) {
              const auto [top, left, rows, columns] = *crop;
              if (rows < 1 || columns < 1) throw nb::value_error("a crop has at least 1 row and column");
              shape.crop = {top, left, rows, columns};
            }
            new (self) Preprocessor(shape);
          },
          "height"_a, "width"_a, "grey"_a = true, "stack"_a = 4, "crop"_a = nb::none(),
          "crop: (top, left, height, width).")
      .def(
          "keep",
          [](Preprocessor& self, const Frame& frame, const std::string& format) {
            self.keep(view(frame, format));
          },
          "frame"_a, "format"_a = "",
          "Remember the frame before a step's last: the next push takes the maximum.")
      .def(
          "push",
          [](Preprocessor& self, const Frame& frame, const Stack& stack, const std::string& format) {
            self.push(view(frame, format), pixels_of(self, stack));
          },
          "frame"_a, "stack"_a.noconvert(), "format"_a = "",
          "Drop the oldest frame of the stack (stack, H, W[, 3]) and append this one.")
      .def(
          "fill",
          [](Preprocessor& self, const Frame& frame, const Stack& stack, const std::string& format) {
            self.fill(view(frame, format), pixels_of(self, stack));
          },
          "frame"_a, "stack"_a.noconvert(), "format"_a = "", "A stack of this frame only.");
}
