#include "video/resize.hpp"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "video/simd.hpp"

namespace frameperfect::video {
namespace {

constexpr int kBand = Resizer::kBand;
constexpr int kFixed = 2048;  // OpenCV's INTER_RESIZE_COEF_SCALE

// The band's lines side by side: column x of all lines goes to out[x * step].
void interleave_plain(const uint8_t* lines, size_t pitch, uint8_t* out, size_t step) {
  for (size_t x = 0; x < pitch; x++, out += step) {
    for (int row = 0; row < kBand; row++) out[row] = lines[row * pitch + x];
  }
}

#ifdef FRAMEPERFECT_AVX2
// The same, eight columns at a time.
FRAMEPERFECT_AVX2 void interleave_avx2(const uint8_t* lines, size_t pitch, uint8_t* out, size_t step) {
  for (size_t x = 0; x < pitch; x += kBand, lines += kBand) {
    __m128i pairs[kBand / 2];  // of lines, their pixels in turn
    for (int i = 0; i < kBand / 2; i++) {
      pairs[i] =
          _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(lines + 2 * i * pitch)),
                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lines + (2 * i + 1) * pitch)));
    }
    const __m128i upper[] = {_mm_unpacklo_epi16(pairs[0], pairs[1]), _mm_unpackhi_epi16(pairs[0], pairs[1])};
    const __m128i lower[] = {_mm_unpacklo_epi16(pairs[2], pairs[3]), _mm_unpackhi_epi16(pairs[2], pairs[3])};
    for (int half = 0; half < 2; half++) {
      const __m128i columns[] = {_mm_unpacklo_epi32(upper[half], lower[half]),
                                 _mm_unpackhi_epi32(upper[half], lower[half])};
      for (const __m128i& two : columns) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), two);
        _mm_storeh_pd(reinterpret_cast<double*>(out + step), _mm_castsi128_pd(two));
        out += 2 * step;
      }
    }
  }
}
#endif

void interleave(const uint8_t* lines, size_t pitch, uint8_t* out, size_t step) {
#ifdef FRAMEPERFECT_AVX2
  if (has_avx2()) return interleave_avx2(lines, pitch, out, step);
#endif
  interleave_plain(lines, pitch, out, step);
}

// To the nearest integer, halves to even, for 0 <= value < 2^22: the sum pushes the fraction out of the
// float.
inline uint8_t round_to_byte(float value) {
  return static_cast<uint8_t>(std::min(std::bit_cast<uint32_t>(value + 8388608.f) & 0x7fffff, 255u));
}

FRAMEPERFECT_CLONES void set_weighted(const float* row, float weight, float* sum, size_t n) {
  for (size_t i = 0; i < n; i++) sum[i] = weight * row[i];
}

FRAMEPERFECT_CLONES void add_weighted(const float* row, float weight, float* sum, size_t n) {
  for (size_t i = 0; i < n; i++) sum[i] += weight * row[i];
}

FRAMEPERFECT_CLONES void round_row(const float* sum, float factor, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = round_to_byte(sum[i] * factor);
}

FRAMEPERFECT_CLONES void halve_row(const float* sum, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = static_cast<uint8_t>((static_cast<int>(sum[i]) + 2) >> 2);
}

// Samples of the result's columns from the source's, for the band's lines side by side; each of them is
// summed in OpenCV's order. Sample i of line r goes to out[r * row_pitch + i].
void weigh_plain(const uint8_t* band, const std::vector<Sample>& samples, const float* weights, int taps,
                 size_t step, float* out, size_t row_pitch) {
  for (size_t i = 0; i < samples.size(); i++) {
    float sums[kBand] = {};
    const uint8_t* at = band + samples[i].first;
    const float* const weight = weights + samples[i].weights;
    for (int tap = 0; tap < taps; tap++, at += step) {
      for (int row = 0; row < kBand; row++) sums[row] += at[row] * weight[tap];
    }
    for (int row = 0; row < kBand; row++) out[row * row_pitch + i] = sums[row];
  }
}

#ifdef FRAMEPERFECT_AVX2
// The same with the lines in one vector; eight samples at a time are turned into eight of each line.
template <int kTaps>  // 0: `taps` of them
FRAMEPERFECT_AVX2 void weigh_avx2(const uint8_t* band, const std::vector<Sample>& samples,
                                  const float* weights, int taps, size_t step, float* out, size_t row_pitch) {
  for (size_t first = 0; first < samples.size(); first += kBand) {
    __m256 s[kBand], t[kBand];
    for (size_t i = 0; i < kBand; i++) {
      const Sample& sample = samples[std::min(first + i, samples.size() - 1)];
      const uint8_t* at = band + sample.first;
      const float* const weight = weights + sample.weights;
      __m256 sum = _mm256_setzero_ps();
#pragma GCC unroll 8
      for (int tap = 0; tap < (kTaps ? kTaps : taps); tap++, at += step) {
        const __m256i pixels = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
        const __m256 weighed = _mm256_mul_ps(_mm256_cvtepi32_ps(pixels), _mm256_broadcast_ss(weight + tap));
        sum = _mm256_add_ps(sum, weighed);
      }
      s[i] = sum;
    }
    for (int i = 0; i < kBand; i += 2) {
      t[i] = _mm256_unpacklo_ps(s[i], s[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(s[i], s[i + 1]);
    }
    for (int i = 0; i < kBand; i += 4) {
      s[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      s[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      s[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      s[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < kBand / 2; i++) {
      float* const row = out + i * row_pitch + first;
      _mm256_storeu_ps(row, _mm256_permute2f128_ps(s[i], s[i + 4], 0x20));
      _mm256_storeu_ps(row + kBand / 2 * row_pitch, _mm256_permute2f128_ps(s[i], s[i + 4], 0x31));
    }
  }
}

#endif

using Weigh = void (*)(const uint8_t* band, const std::vector<Sample>& samples, const float* weights,
                       int taps, size_t step, float* out, size_t row_pitch);

// The function for so many taps: for those that screens need most there are loops without a counter.
Weigh weigh_for(int taps) {
#ifdef FRAMEPERFECT_AVX2
  constexpr Weigh kKnown[] = {weigh_avx2<0>, weigh_avx2<1>, weigh_avx2<2>, weigh_avx2<3>,
                              weigh_avx2<4>, weigh_avx2<5>, weigh_avx2<6>};
  if (has_avx2()) return taps < 7 ? kKnown[taps] : kKnown[0];
#endif
  return weigh_plain;
}

FRAMEPERFECT_CLONES void blend(const float* upper, int upper_weight, const float* lower, int lower_weight,
                               uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const int above = (upper_weight * (static_cast<int>(upper[i]) >> 4)) >> 16;
    const int below = (lower_weight * (static_cast<int>(lower[i]) >> 4)) >> 16;
    out[i] = static_cast<uint8_t>((above + below + 2) >> 2);
  }
}

}  // namespace

Resizer::Resizer(int source_height, int source_width, int height, int width, int channels)
    : source_height_(source_height),
      source_width_(source_width),
      height_(height),
      width_(width),
      channels_(channels),
      samples_(width * channels),
      pitch_((source_width + kBand - 1) / kBand * kBand),
      row_pitch_((samples_ + kBand - 1) / kBand * kBand),
      // As OpenCV rounds it: the inverse of the inverse.
      x_scale_(1.0 / (static_cast<double>(width) / source_width)),
      y_scale_(1.0 / (static_cast<double>(height) / source_height)) {
  const int x_factor = static_cast<int>(std::lrint(x_scale_));
  const int y_factor = static_cast<int>(std::lrint(y_scale_));
  if (x_scale_ < 1 || y_scale_ < 1) {
    bilinear_tables();
  } else if (std::abs(x_scale_ - x_factor) < DBL_EPSILON && std::abs(y_scale_ - y_factor) < DBL_EPSILON) {
    whole_tables(x_factor, y_factor);
  } else {
    area_tables();
  }
  band_.resize(kBand * (pitch_ + taps_) * channels_);  // taps of weight 0 may look behind the end
  const int bands = finish_ == Finish::kBilinear ? (source_height_ + kBand - 1) / kBand : 1;
  rows_.resize(bands * kBand * row_pitch_);
  sum_.resize(samples_);
}

void Resizer::set_columns(const std::vector<Taps>& columns) {
  for (const Taps& one : columns) taps_ = std::max(taps_, static_cast<int>(one.weights.size()));
  for (size_t column = 0; column < columns.size(); column++) {
    const int weights = static_cast<int>(column) * taps_;
    weights_.insert(weights_.end(), columns[column].weights.begin(), columns[column].weights.end());
    weights_.resize(weights + taps_);
    for (int channel = 0; channel < channels_; channel++) {
      columns_.push_back({(columns[column].first * channels_ + channel) * kBand, weights});
    }
  }
}

void Resizer::area_tables() {
  // Which source pixels a result pixel covers, and how much of each: calls add(result, source, weight).
  const auto cover = [](int source, int result, double scale, auto add) {
    for (int at = 0; at < result; at++) {
      const double begin = at * scale, end = begin + scale;
      const double cell = std::min(scale, source - begin);
      const int last = std::min(static_cast<int>(std::floor(end)), source - 1);
      const int first = std::min(static_cast<int>(std::ceil(begin)), last);
      if (first - begin > 1e-3) add(at, first - 1, static_cast<float>((first - begin) / cell));
      for (int whole = first; whole < last; whole++) add(at, whole, static_cast<float>(1.0 / cell));
      if (end - last > 1e-3) {
        add(at, last, static_cast<float>(std::min(std::min(end - last, 1.0), cell) / cell));
      }
    }
  };
  finish_ = Finish::kRound;
  std::vector<Taps> columns(width_);
  cover(source_width_, width_, x_scale_, [&](int column, int source, float weight) {
    if (columns[column].weights.empty()) columns[column].first = source;
    columns[column].weights.push_back(weight);
  });
  set_columns(columns);
  std::vector<std::vector<Share>> by_source(source_height_);
  cover(source_height_, height_, y_scale_,
        [&](int row, int source, float weight) { by_source[source].push_back({row, weight}); });
  for (const auto& shares : by_source) {
    share_begin_.push_back(shares_.size());
    shares_.insert(shares_.end(), shares.begin(), shares.end());
  }
  share_begin_.push_back(shares_.size());
}

void Resizer::whole_tables(int x_factor, int y_factor) {
  // Sums of at most 2^24 / 255 pixels are exact in floats.
  finish_ = x_factor == 2 && y_factor == 2 ? Finish::kHalve : Finish::kScale;
  factor_ = 1.f / (x_factor * y_factor);
  std::vector<Taps> columns;
  for (int column = 0; column < width_; column++) {
    columns.push_back({column * x_factor, std::vector<float>(x_factor, 1.f)});
  }
  set_columns(columns);
  for (int source = 0; source < source_height_; source++) {
    share_begin_.push_back(shares_.size());
    shares_.push_back({source / y_factor, 1.f});
  }
  share_begin_.push_back(shares_.size());
}

void Resizer::bilinear_tables() {
  finish_ = Finish::kBilinear;
  const auto place = [](int at, double scale, double inverse) {
    const int source = static_cast<int>(std::floor(at * scale));
    float lower = static_cast<float>((at + 1) - (source + 1) * inverse);
    lower = lower <= 0 ? 0.f : lower - std::floor(lower);
    return std::pair(source, lower);
  };
  const auto fixed = [](float weight) { return static_cast<int16_t>(std::lrint(weight * kFixed)); };
  std::vector<Taps> columns;
  for (int column = 0; column < width_; column++) {
    const auto [source, lower] = place(column, x_scale_, static_cast<double>(width_) / source_width_);
    if (source >= source_width_ - 1) {
      columns.push_back({source_width_ - 1, {kFixed}});
    } else {
      columns.push_back({source, {float(fixed(1.f - lower)), float(fixed(lower))}});
    }
  }
  set_columns(columns);
  for (int row = 0; row < height_; row++) {
    const auto [source, lower] = place(row, y_scale_, static_cast<double>(height_) / source_height_);
    upper_row_.push_back(std::min(source, source_height_ - 1));
    upper_weight_.push_back(fixed(1.f - lower));
    lower_weight_.push_back(fixed(lower));
  }
}

void Resizer::feed(const uint8_t* lines, int first, uint8_t* out) {
  if (first == 0) current_ = 0;
  for (int channel = 0; channel < channels_; channel++) {
    interleave(lines + channel * kBand * pitch_, pitch_, band_.data() + channel * kBand,
               size_t(channels_) * kBand);
  }
  float* const rows = rows_.data() + (finish_ == Finish::kBilinear ? first * row_pitch_ : 0);
  weigh_for(taps_)(band_.data(), columns_, weights_.data(), taps_, size_t(channels_) * kBand, rows,
                   row_pitch_);
  const int count = std::min(kBand, source_height_ - first);
  const bool last = first + count == source_height_;
  if (finish_ == Finish::kBilinear) {
    if (last) bilinear_rows(out);
    return;
  }
  for (int row = 0; row < count; row++) add_row(rows + row * row_pitch_, first + row, out);
  if (last) finish_row(out);
}

void Resizer::add_row(const float* row, int source, uint8_t* out) {
  for (size_t i = share_begin_[source]; i < share_begin_[source + 1]; i++) {
    const Share& share = shares_[i];
    if (share.row != current_) finish_row(out);
    const bool starts = share.row != current_ || (source == 0 && i == 0);
    current_ = share.row;
    (starts ? set_weighted : add_weighted)(row, share.weight, sum_.data(), samples_);
  }
}

void Resizer::finish_row(uint8_t* out) {
  uint8_t* const row = out + size_t(current_) * samples_;
  if (finish_ == Finish::kHalve) {
    halve_row(sum_.data(), row, samples_);
  } else {
    round_row(sum_.data(), factor_, row, samples_);
  }
}

void Resizer::bilinear_rows(uint8_t* out) {
  for (int y = 0; y < height_; y++, out += samples_) {
    const int lower_row = std::min(upper_row_[y] + 1, source_height_ - 1);
    blend(rows_.data() + upper_row_[y] * row_pitch_, upper_weight_[y], rows_.data() + lower_row * row_pitch_,
          lower_weight_[y], out, samples_);
  }
}

}  // namespace frameperfect::video
