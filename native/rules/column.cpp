// The number that a variable's bytes hold.
#include <bit>
#include <cmath>
#include <cstring>

#include "rules/program.hpp"

namespace frameperfect::rules {
namespace {

double half(uint64_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = static_cast<double>(bits & 0x3FF) / 1024;
  if (exponent == 31) return NAN;  // infinite or no number: read as 0
  return sign * (exponent ? std::ldexp(1 + fraction, exponent - 15) : std::ldexp(fraction, -14));
}

double real(uint64_t bits, size_t width) {
  if (width == 2) return half(bits);
  if (width == 4) {
    const auto narrow = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &narrow, sizeof value);
    return value;
  }
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

Column::Load Column::load() const {
  if (std::endian::native != std::endian::little || (kind != 'u' && kind != 'i')) return Load::kGeneral;
  for (size_t power = 0; power < order.size(); ++power)
    if (order[power] != power) return Load::kGeneral;
  switch (order.size()) {
    case 1:
      return Load::k8;
    case 2:
      return Load::k16;
    case 4:
      return Load::k32;
    case 8:
      return Load::k64;
    default:
      return Load::kGeneral;
  }
}

uint64_t Column::raw(const uint8_t* row) const {
  const uint8_t* bytes = row + offset;
  const size_t width = order.size();
  uint64_t raw = 0;
  if (kind == 'd' || kind == 'n') {
    for (size_t power = width; power-- > 0;) {
      const uint8_t byte = bytes[order[power]];
      const unsigned low = (byte & 15) % 10;
      raw = kind == 'd' ? raw * 100 + (byte >> 4) % 10 * 10 + low : raw * 10 + low;
    }
  } else {
    for (size_t power = width; power-- > 0;) raw = raw << 8 | bytes[order[power]];
  }
  return raw;
}

Value Column::shown(uint64_t raw) const {
  const size_t width = order.size();
  Value value;
  if (kind == 'f') {
    value.real = real(raw, width);
    if (!std::isfinite(value.real)) value.real = 0;
    if (scaled) value.real /= scale;
    return value;
  }
  if (kind == 'i' && width < 8) {
    const uint64_t sign = uint64_t{1} << (8 * width - 1);
    raw = (raw ^ sign) - sign;
  }
  value.whole = static_cast<int64_t>(raw);
  if (bit >= 0) {
    value.whole = value.whole >> bit & 1;
  } else {
    value.whole &= mask;
  }
  if (scaled) value.real = static_cast<double>(value.whole) / scale;
  return value;
}

}  // namespace frameperfect::rules
