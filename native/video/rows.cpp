#include "video/rows.hpp"

#include <algorithm>

#include "video/simd.hpp"

namespace frameperfect::video {
namespace {

template <typename Pixel>
const Pixel* as(const uint8_t* bytes) {
  return reinterpret_cast<const Pixel*>(bytes);
}

// The upper half of a product of 16-bit numbers: one instruction.
inline uint16_t high(uint16_t a, uint16_t b) { return static_cast<uint16_t>(uint32_t{a} * b >> 16); }

// Where a 16-bit format keeps its channels: masks for red and green, and the factors that widen a masked
// field to 8 bits in `high` (33 / 4 repeats the upper bits of 5 below, 65 / 16 those of 6). Blue is shifted
// up first.
struct Fields {
  uint16_t red, red_factor, green, green_factor;
};
constexpr Fields kFields565 = {0xf800, 33 << 3, 0x07e0, 65 << 7};
constexpr Fields kFields1555 = {0x7c00, 33 << 4, 0x03e0, 33 << 9};
constexpr uint16_t kBlueFactor = 33 << 3;

inline uint16_t field(uint16_t a, uint16_t b, uint16_t mask, uint16_t factor) {
  return high(std::max<uint16_t>(a & mask, b & mask), factor);
}
inline uint16_t blue_of(uint16_t a, uint16_t b) {
  return high(std::max(static_cast<uint16_t>(a << 11), static_cast<uint16_t>(b << 11)), kBlueFactor);
}

// The weights have four digits, so a grey is a whole number of ten-thousandths, cut off. The factor is two
// units in the last place above 1e-4: whole greys stay whole, and no other reaches the next.
inline int ten_thousandths(int r, int g, int b) { return 2125 * r + 7154 * g + 721 * b; }
constexpr float kUnit = 1.00000015e-4f;
inline int cut_grey(int sum) { return static_cast<int>(static_cast<float>(sum) * kUnit); }

void grey16_plain(const uint16_t* a, const uint16_t* b, Fields fields, size_t n, uint8_t* out) {
  for (size_t i = 0; i < n; i++) {
    const uint16_t r = field(a[i], b[i], fields.red, fields.red_factor);
    const uint16_t g = field(a[i], b[i], fields.green, fields.green_factor);
    out[i] = static_cast<uint8_t>(cut_grey(ten_thousandths(r, g, blue_of(a[i], b[i]))));
  }
}

#ifdef FRAMEPERFECT_AVX2
// The same, 32 pixels at a time.
FRAMEPERFECT_AVX2 void grey16_avx2(const uint16_t* a, const uint16_t* b, Fields fields, size_t n,
                                   uint8_t* out) {
  const __m256i red = _mm256_set1_epi16(static_cast<int16_t>(fields.red));
  const __m256i red_factor = _mm256_set1_epi16(static_cast<int16_t>(fields.red_factor));
  const __m256i green = _mm256_set1_epi16(static_cast<int16_t>(fields.green));
  const __m256i green_factor = _mm256_set1_epi16(static_cast<int16_t>(fields.green_factor));
  const __m256i blue_factor = _mm256_set1_epi16(kBlueFactor);
  const __m256i red_green_weights = _mm256_set1_epi32(7154 << 16 | 2125),
                blue_weight = _mm256_set1_epi32(721);
  const __m256 unit = _mm256_set1_ps(kUnit);
  const auto sixteen = [&](size_t i) FRAMEPERFECT_AVX2 {
    const __m256i p = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i));
    const __m256i q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i));
    const auto field = [&](__m256i mask, __m256i factor) FRAMEPERFECT_AVX2 {
      return _mm256_mulhi_epu16(_mm256_max_epu16(_mm256_and_si256(p, mask), _mm256_and_si256(q, mask)),
                                factor);
    };
    const __m256i r = field(red, red_factor), g = field(green, green_factor);
    const __m256i l =
        _mm256_mulhi_epu16(_mm256_max_epu16(_mm256_slli_epi16(p, 11), _mm256_slli_epi16(q, 11)), blue_factor);
    const auto cut = [&](__m256i red_green, __m256i blue_only) FRAMEPERFECT_AVX2 {
      const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(red_green, red_green_weights),
                                           _mm256_madd_epi16(blue_only, blue_weight));
      return _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), unit));
    };
    const __m256i zero = _mm256_setzero_si256();
    return _mm256_packs_epi32(cut(_mm256_unpacklo_epi16(r, g), _mm256_unpacklo_epi16(l, zero)),
                              cut(_mm256_unpackhi_epi16(r, g), _mm256_unpackhi_epi16(l, zero)));
  };
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i bytes = _mm256_packus_epi16(sixteen(i), sixteen(i + 16));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_permute4x64_epi64(bytes, 0xd8));
  }
  grey16_plain(a + i, b + i, fields, n - i, out + i);
}
#endif

void grey16(const uint16_t* a, const uint16_t* b, Fields fields, size_t n, uint8_t* out) {
#ifdef FRAMEPERFECT_AVX2
  if (has_avx2()) return grey16_avx2(a, b, fields, n, out);
#endif
  grey16_plain(a, b, fields, n, out);
}

FRAMEPERFECT_CLONES void planes16(const uint16_t* __restrict a, const uint16_t* __restrict b, Fields fields,
                                  size_t n, uint8_t* __restrict red, uint8_t* __restrict green,
                                  uint8_t* __restrict blue) {
  for (size_t i = 0; i < n; i++) {
    red[i] = static_cast<uint8_t>(field(a[i], b[i], fields.red, fields.red_factor));
    green[i] = static_cast<uint8_t>(field(a[i], b[i], fields.green, fields.green_factor));
    blue[i] = static_cast<uint8_t>(blue_of(a[i], b[i]));
  }
}

FRAMEPERFECT_CLONES void maximum8(const uint8_t* __restrict a, const uint8_t* __restrict b, size_t n,
                                  uint8_t* __restrict out) {
  for (size_t i = 0; i < n; i++) out[i] = std::max(a[i], b[i]);
}

FRAMEPERFECT_CLONES void planes8888(const uint32_t* __restrict in, size_t n, uint8_t* __restrict red,
                                    uint8_t* __restrict green, uint8_t* __restrict blue) {
  for (size_t i = 0; i < n; i++) {
    red[i] = static_cast<uint8_t>(in[i] >> 16);
    green[i] = static_cast<uint8_t>(in[i] >> 8);
    blue[i] = static_cast<uint8_t>(in[i]);
  }
}

FRAMEPERFECT_CLONES void planes888(const uint8_t* __restrict in, size_t n, uint8_t* __restrict red,
                                   uint8_t* __restrict green, uint8_t* __restrict blue) {
  for (size_t i = 0; i < n; i++) {
    red[i] = in[3 * i], green[i] = in[3 * i + 1], blue[i] = in[3 * i + 2];
  }
}

// Only where nothing is cut off can Gymnasium's sum of doubles come out below ours: with 63 of the 8-bit
// colours, and with none that came from 5 and 6 bits. Pieces where that might be are done as Gymnasium does.
FRAMEPERFECT_CLONES void grey_planes(const uint8_t* __restrict r, const uint8_t* __restrict g,
                                     const uint8_t* __restrict b, size_t n, uint8_t* __restrict out) {
  constexpr size_t kPiece = 64;
  for (size_t at = 0; at < n; at += kPiece) {
    const size_t end = std::min(n, at + kPiece);
    int whole = 0;
    for (size_t i = at; i < end; i++) {
      const int sum = ten_thousandths(r[i], g[i], b[i]);
      const int cut = cut_grey(sum);
      whole |= (cut * 10000 == sum) & (sum != 0);
      out[i] = static_cast<uint8_t>(cut);
    }
    if (!whole) continue;
    for (size_t i = at; i < end; i++) out[i] = video::grey({r[i], g[i], b[i]});
  }
}

bool is_16_bit(Format format) { return format == Format::kRgb565 || format == Format::kXrgb1555; }

const Fields& fields_of(Format format) { return format == Format::kRgb565 ? kFields565 : kFields1555; }

}  // namespace

const uint8_t* RowMaker::larger(const Line& line) {
  if (line.other == line.pixels) return line.pixels;
  larger_.resize(line.width * bytes_per_pixel(line.format));
  maximum8(line.pixels, line.other, larger_.size(), larger_.data());
  return larger_.data();
}

void RowMaker::grey(const Line& line, uint8_t* out) {
  if (is_16_bit(line.format)) {
    return grey16(as<uint16_t>(line.pixels), as<uint16_t>(line.other), fields_of(line.format), line.width,
                  out);
  }
  if (line.format == Format::kGrey8) {
    std::copy_n(larger(line), line.width, out);
    return;
  }
  for (auto* const plane : {&red_, &green_, &blue_}) plane->resize(line.width);
  planes(line, red_.data(), green_.data(), blue_.data());
  grey_planes(red_.data(), green_.data(), blue_.data(), line.width, out);
}

void RowMaker::planes(const Line& line, uint8_t* red, uint8_t* green, uint8_t* blue) {
  switch (line.format) {
    case Format::kRgb565:
    case Format::kXrgb1555:
      return planes16(as<uint16_t>(line.pixels), as<uint16_t>(line.other), fields_of(line.format), line.width,
                      red, green, blue);
    case Format::kXrgb8888:
      return planes8888(as<uint32_t>(larger(line)), line.width, red, green, blue);
    case Format::kRgb888:
      return planes888(larger(line), line.width, red, green, blue);
    case Format::kGrey8:
      for (uint8_t* const plane : {red, green, blue}) std::copy_n(larger(line), line.width, plane);
  }
}

void RowMaker::rgb(const Line& line, uint8_t* out) {
  if (line.format == Format::kRgb888) {
    std::copy_n(larger(line), 3 * line.width, out);
    return;
  }
  for (auto* const plane : {&red_, &green_, &blue_}) plane->resize(line.width);
  planes(line, red_.data(), green_.data(), blue_.data());
  for (size_t i = 0; i < line.width; i++, out += 3) {
    out[0] = red_[i], out[1] = green_[i], out[2] = blue_[i];
  }
}

void write_rgb(const Picture& picture, uint8_t* out) {
  RowMaker maker;
  for (unsigned y = 0; y < picture.height; y++, out += size_t{picture.width} * 3) {
    const uint8_t* const row = picture.pixels + y * picture.pitch;
    maker.rgb({row, row, picture.width, picture.format}, out);
  }
}

}  // namespace frameperfect::video
