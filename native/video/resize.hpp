// Area resize of 8-bit pictures, bit for bit as OpenCV's INTER_AREA (modules/imgproc/src/resize.cpp).
//
// OpenCV has four cases. Where both sides shrink, a pixel is the weighted mean of the area it covers, summed
// in floats along the row and then down the column; by whole factors the sum is an integer. Where a side
// grows, it is bilinear in 11-bit fixed point with its own phase. Equal sizes are a copy (not done here).
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace frameperfect::video {

// Where a sample of the result's columns comes from: `first` is its first tap's place in a band, and
// `weights` its first tap's weight among all.
struct Sample {
  int first, weights;
};

// Takes the rows of a source from its top in bands of kBand, so that it can be fed while they are made.
// Owned by one thread at a time.
class Resizer {
 public:
  static constexpr int kBand = 8;

  Resizer(int source_height, int source_width, int height, int width, int channels);

  bool fits(int source_height, int source_width) const {
    return source_height == source_height_ && source_width == source_width_;
  }

  // Bytes from one line of a band to the next, a multiple of kBand.
  size_t pitch() const { return pitch_; }

  // A band's lines: row `first + i` of the source, channel c, begins at lines + (c * kBand + i) * pitch().
  // Lines beyond the source's last row are ignored. Rows of `out` (height, width, channels) are written as
  // they become complete.
  void feed(const uint8_t* lines, int first, uint8_t* out);

 private:
  enum class Finish { kRound, kScale, kHalve, kBilinear };
  struct Share {  // what a source row adds to a row of the result
    int row;
    float weight;
  };

  struct Taps {  // the source columns that make a result column
    int first = 0;
    std::vector<float> weights;
  };
  void set_columns(const std::vector<Taps>& columns);
  void area_tables();
  void whole_tables(int x_factor, int y_factor);
  void bilinear_tables();
  void add_row(const float* row, int source, uint8_t* out);
  void finish_row(uint8_t* out);
  void bilinear_rows(uint8_t* out);

  int source_height_, source_width_, height_, width_, channels_, samples_;
  size_t pitch_, row_pitch_;  // of the lines, and of rows_
  double x_scale_, y_scale_;
  Finish finish_ = Finish::kRound;
  float factor_ = 1;             // kScale: 1 / pixels of an area
  int taps_ = 0;                 // of each sample; weights of 0 fill up
  std::vector<Sample> columns_;  // by result sample
  std::vector<float> weights_;
  std::vector<Share> shares_;        // of all source rows in turn
  std::vector<size_t> share_begin_;  // by source row, and one more
  std::vector<int> upper_row_;       // bilinear: by result row
  std::vector<int16_t> upper_weight_, lower_weight_;

  std::vector<uint8_t> band_;  // the lines interleaved: pixels 0 of all, then pixels 1

  std::vector<float> rows_;  // a band's lines after resizing along them; bilinear: the whole source's
  std::vector<float> sum_;
  int current_ = 0;  // the result row being summed
};

}  // namespace frameperfect::video
