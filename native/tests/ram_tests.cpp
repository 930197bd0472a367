// A RAM search's comparisons against a loop that decodes one value at a time.
#include "tests/ram_tests.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "ram/compare.hpp"
#include "tests/check.hpp"

using namespace frameperfect::ram;

namespace {

using Bytes = std::vector<uint8_t>;  // of the exact size, so that the sanitizer sees a byte too many
using Random = std::mt19937;

// Values that meet often, so that every relation holds somewhere.
Bytes memory(Random& random, size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = random() % 2 ? random() % 3 : random();
  return bytes;
}

uint64_t raw(const Bytes& bytes, size_t place, const Format& format) {
  uint64_t value = 0;
  for (size_t i = 0; i < format.width; i++) {
    const size_t power = format.big ? format.width - 1 - i : i;
    value |= uint64_t{bytes[place + i]} << (8 * power);
  }
  return value;
}

std::optional<int64_t> integer(uint64_t bits, const Format& format) {
  const unsigned unused = 64 - 8 * format.width;
  if (format.kind == Kind::kSigned) return static_cast<int64_t>(bits << unused) >> unused;
  if (format.kind == Kind::kUnsigned) return static_cast<int64_t>(bits);
  const unsigned digit_bits = format.kind == Kind::kBcd ? 4 : 8;
  int64_t value = 0;
  for (int shift = 8 * static_cast<int>(format.width) - digit_bits; shift >= 0; shift -= digit_bits) {
    const uint64_t digit = bits >> shift & ((1u << digit_bits) - 1);
    if (digit > 9) return std::nullopt;
    value = 10 * value + static_cast<int64_t>(digit);
  }
  return value;
}

template <typename T>
bool holds(const Test& test, T value, T other, T second) {
  switch (test.relation) {
    case Relation::kEqual:
      return value == other;
    case Relation::kLess:
      return value < other;
    case Relation::kGreater:
      return value > other;
    case Relation::kBetween:
      return other <= value && value <= second;
    case Relation::kModulo:
      break;
  }
  return false;
}

bool stays_as_float(const Test& test, uint64_t now, const std::optional<uint64_t>& then, size_t width) {
  const auto read = [width](uint64_t bits) -> double {
    return width == 4 ? std::bit_cast<float>(static_cast<uint32_t>(bits)) : std::bit_cast<double>(bits);
  };
  // Sums and constants have the width of the values.
  const auto fit = [width](double value) { return width == 4 ? static_cast<float>(value) : value; };
  const double value = read(now), before = then ? read(*then) : 0;
  if (!std::isfinite(value) || !std::isfinite(before)) return false;
  const double other = then ? fit(before + fit(test.by)) : fit(test.first);
  return holds(test, value, other, fit(test.second)) != test.opposite;
}

bool stays(const Test& test, const Format& format, uint64_t now, const std::optional<uint64_t>& then) {
  if (format.kind == Kind::kFloat) return stays_as_float(test, now, then, format.width);
  const auto value = integer(now, format);
  const auto before = then ? integer(*then, format) : 0;
  if (!value || !before) return false;
  if (test.relation == Relation::kModulo) {
    const int64_t rest = *value % test.whole_first;
    return ((rest + test.whole_first) % test.whole_first == test.whole_second) != test.opposite;
  }
  const int64_t other = then ? *before + test.whole_by : test.whole_first;
  return holds(test, *value, other, test.whole_second) != test.opposite;
}

Test a_test(Random& random, const Format& format, bool with_then) {
  const bool modulo = !with_then && format.kind != Kind::kFloat;
  Test test{static_cast<Relation>(random() % (with_then ? 3 : modulo ? 5 : 4))};
  test.opposite = random() % 2;
  const auto small = [&random] { return static_cast<int64_t>(random() % 9) - 4; };
  test.whole_by = random() % 2 ? small() : 0;
  test.by = random() % 2 ? static_cast<double>(small()) / 2 : 0;
  test.whole_first = test.relation == Relation::kModulo ? 1 + random() % 7 : small();
  test.whole_second = test.relation == Relation::kModulo ? random() % 7 : test.whole_first + random() % 200;
  test.first = static_cast<double>(small());
  test.second = test.first + random() % 200;
  return test;
}

Format a_format(Random& random) {
  Format format{static_cast<Kind>(random() % 5), size_t{1} << random() % 4, random() % 2 == 0, 1};
  if (format.kind == Kind::kFloat) format.width = random() % 2 ? 4 : 8;
  // Sixteen decimal digits and more are beyond what a search offers.
  if (format.kind == Kind::kBcd || format.kind == Kind::kNybbles) format.width = size_t{1} << random() % 3;
  format.step = random() % 3 ? (random() % 2 ? 1 : format.width) : 1 + random() % 9;
  return format;
}

}  // namespace

void comparisons_keep_what_a_plain_loop_keeps() {
  Random random(11);
  for (int round = 0; round < 3000; round++) {
    const Format format = a_format(random);
    const size_t size = format.width + random() % (round % 10 ? 200 : 5000);
    const size_t count = (size - format.width) / format.step + 1;
    const Bytes now = memory(random, size);
    Bytes then = now;
    for (uint8_t& byte : then) byte = random() % 4 ? byte : random() % 3;
    const bool with_then = random() % 2;
    const Test test = a_test(random, format, with_then);
    std::vector<uint64_t> candidates((count + 63) / 64);
    for (size_t i = 0; i < count; i++) candidates[i / 64] |= uint64_t{random() % 4 > 0} << (i % 64);
    std::vector<uint64_t> wanted(candidates.size());
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
      if (!(candidates[i / 64] >> (i % 64) & 1)) continue;
      std::optional<uint64_t> before;
      if (with_then) before = raw(then, i * format.step, format);
      if (!stays(test, format, raw(now, i * format.step, format), before)) continue;
      wanted[i / 64] |= uint64_t{1} << (i % 64);
      left++;
    }
    const size_t kept =
        keep(now.data(), with_then ? then.data() : nullptr, count, format, test, candidates.data());
    CHECK(kept == left);
    CHECK(candidates == wanted);
  }
}

void a_snapshot_has_the_consoles_order() {
  Random random(12);
  for (const size_t swap : {1, 2, 4, 8}) {
    for (const size_t words : {0, 1, 3, 700}) {
      const Bytes view = memory(random, words * swap);
      Bytes out(view.size()), wanted(view.size());
      for (size_t i = 0; i < view.size(); i++) wanted[i] = view[i / swap * swap + swap - 1 - i % swap];
      take(view.data(), view.size(), swap, out.data());
      CHECK(out == wanted);
    }
  }
}
