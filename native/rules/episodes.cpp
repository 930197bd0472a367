// Running the program: operation by operation, each over a stretch of environments.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "rules/program.hpp"

namespace frameperfect::rules {
namespace {

constexpr size_t kStretch = 64;  // so that what a stretch touches stays in the cache

uint64_t bits(int64_t value) { return static_cast<uint64_t>(value); }
int64_t whole(uint64_t value) { return static_cast<int64_t>(value); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return whole(0 - bits(a));
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Python's: the rest has the sign of the divisor, and the quotient is the whole number that goes with it.
double modulo(double a, double b) {
  if (b == 0) return 0;
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (b < 0) != (rest < 0) ? rest + b : rest;
}

double floor_divide(double a, double b) {
  if (b == 0) return 0;
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

template <typename Of>
void each(size_t first, size_t end, Of&& of) {
  for (size_t i = first; i < end; i++) of(i);
}

}  // namespace

bool Program::sound() const {
  const auto within = [&](uint32_t number) { return number < registers; };
  for (const auto* part : {&begin, &step, &features, &terms, &time}) {
    for (const Operation& one : *part) {
      if (one.code >= Code::kCount || !within(one.to) || !within(one.a) || !within(one.b) || !within(one.c)) {
        return false;
      }
    }
  }
  for (const Column& column : columns) {
    for (const uint8_t place : column.order) {
      if (column.offset + place >= width) return false;
    }
  }
  for (const auto& constant : constants) {
    if (!within(constant.first)) return false;
  }
  return step_number() < registers && within(reward) && within(terminated) && within(truncated) &&
         within(success) && std::all_of(feature_registers.begin(), feature_registers.end(), within);
}

Episodes::Episodes(const Program& program, size_t count)
    : program_(program), count_(count), values_(program.registers * count, Value{0}) {
  for (const auto& [number, value] : program.constants) std::fill_n(at(number), count, value);
  for (const Column& column : program.columns) loads_.push_back(column.load());
}

void Episodes::begin(const uint8_t* rows, size_t stride, const uint8_t* chosen) {
  const Program& p = program_;
  for (size_t i = 0; i < count_; i++) {
    if (chosen && !chosen[i]) continue;
    read(rows, stride, i, i + 1);
    at(p.step_number())[i].whole = 0;
    run(p.begin, i, i + 1);
    for (size_t n = 0; n < p.columns.size(); n++) at(p.before_columns() + n)[i] = at(p.now() + n)[i];
    for (size_t n = 0; n < p.kept; n++) at(p.kept_before() + n)[i] = at(p.kept_now() + n)[i];
  }
}

void Episodes::step(const uint8_t* rows, size_t stride) {
  const Program& p = program_;
  std::copy_n(at(p.now()), p.columns.size() * count_, at(p.before_columns()));
  std::copy_n(at(p.kept_now()), p.kept * count_, at(p.kept_before()));
  read(rows, stride, 0, count_);
  each(0, count_,
       [number = at(p.step_number())](size_t i) { number[i].whole = whole(bits(number[i].whole) + 1); });
  run(p.step, 0, count_);
}

void Episodes::features(float* out) {
  run(program_.features, 0, count_);
  const size_t width = program_.feature_registers.size();
  for (size_t n = 0; n < width; n++) {
    const Value* from = at(program_.feature_registers[n]);
    for (size_t i = 0; i < count_; i++) out[i * width + n] = static_cast<float>(from[i].real);
  }
}

void Episodes::read(const uint8_t* rows, size_t stride, size_t first, size_t end) {
  for (size_t n = 0; n < program_.columns.size(); n++) {
    const Column& column = program_.columns[n];
    Value* to = at(program_.now() + n);
    const uint8_t* from = rows + column.offset;
    const auto every = [&](auto&& raw) {
      for (size_t i = first; i < end; i++) to[i] = column.shown(raw(i));
    };
    const auto load = [&]<typename T>(T value) {
      every([&, value](size_t i) mutable {
        std::memcpy(&value, from + i * stride, sizeof(T));
        return static_cast<uint64_t>(value);
      });
    };
    switch (loads_[n]) {
      case Column::Load::k8:
        load(uint8_t{});
        break;
      case Column::Load::k16:
        load(uint16_t{});
        break;
      case Column::Load::k32:
        load(uint32_t{});
        break;
      case Column::Load::k64:
        load(uint64_t{});
        break;
      case Column::Load::kGeneral:
        every([&](size_t i) { return column.raw(rows + i * stride); });
    }
  }
}

void Episodes::run(std::span<const Operation> operations, size_t from, size_t until) {
  for (size_t first = from; first < until; first += kStretch) {
    const size_t end = std::min(first + kStretch, until);
    for (const Operation& one : operations) {
      Value* to = at(one.to);
      const Value *a = at(one.a), *b = at(one.b), *c = at(one.c);
#define CASE(code, what)                       \
  case Code::code:                             \
    each(first, end, [=](size_t i) { what; }); \
    break
      switch (one.code) {
        CASE(kCopy, to[i] = a[i]);
        CASE(kReal, to[i].real = static_cast<double>(a[i].whole));
        CASE(kTruth, to[i].whole = a[i].whole != 0);
        CASE(kTruthReal, to[i].whole = a[i].real != 0);
        CASE(kNot, to[i].whole = !a[i].whole);
        CASE(kAnd, to[i].whole = a[i].whole & b[i].whole);
        CASE(kOr, to[i].whole = a[i].whole | b[i].whole);
        CASE(kXor, to[i].whole = a[i].whole ^ b[i].whole);
        CASE(kInvert, to[i].whole = ~a[i].whole);
        CASE(kShiftLeft, to[i].whole = whole(bits(a[i].whole) << (b[i].whole & 63)));
        CASE(kShiftRight, to[i].whole = a[i].whole >> (b[i].whole & 63));
        CASE(kAdd, to[i].whole = whole(bits(a[i].whole) + bits(b[i].whole)));
        CASE(kAddReal, to[i].real = a[i].real + b[i].real);
        CASE(kSubtract, to[i].whole = whole(bits(a[i].whole) - bits(b[i].whole)));
        CASE(kSubtractReal, to[i].real = a[i].real - b[i].real);
        CASE(kMultiply, to[i].whole = whole(bits(a[i].whole) * bits(b[i].whole)));
        CASE(kMultiplyReal, to[i].real = a[i].real * b[i].real);
        CASE(kDivide, to[i].real = b[i].real == 0 ? 0 : a[i].real / b[i].real);
        CASE(kFloorDivide, to[i].whole = floor_divide(a[i].whole, b[i].whole));
        CASE(kFloorDivideReal, to[i].real = floor_divide(a[i].real, b[i].real));
        CASE(kModulo, to[i].whole = modulo(a[i].whole, b[i].whole));
        CASE(kModuloReal, to[i].real = modulo(a[i].real, b[i].real));
        CASE(kMin, to[i].whole = a[i].whole < b[i].whole ? a[i].whole : b[i].whole);
        CASE(kMinReal, to[i].real = a[i].real < b[i].real ? a[i].real : b[i].real);
        CASE(kMax, to[i].whole = a[i].whole > b[i].whole ? a[i].whole : b[i].whole);
        CASE(kMaxReal, to[i].real = a[i].real > b[i].real ? a[i].real : b[i].real);
        CASE(kAbs, to[i].whole = a[i].whole < 0 ? whole(0 - bits(a[i].whole)) : a[i].whole);
        CASE(kAbsReal, to[i].real = std::fabs(a[i].real));
        CASE(kSign, to[i].whole = (a[i].whole > 0) - (a[i].whole < 0));
        CASE(kSignReal, to[i].whole = (a[i].real > 0) - (a[i].real < 0));
        CASE(kRoot, to[i].real = a[i].real > 0 ? std::sqrt(a[i].real) : 0);
        CASE(kIf, to[i] = a[i].whole ? b[i] : c[i]);
        CASE(kLess, to[i].whole = a[i].whole < b[i].whole);
        CASE(kLessReal, to[i].whole = a[i].real < b[i].real);
        CASE(kAtMost, to[i].whole = a[i].whole <= b[i].whole);
        CASE(kAtMostReal, to[i].whole = a[i].real <= b[i].real);
        CASE(kEqual, to[i].whole = a[i].whole == b[i].whole);
        CASE(kEqualReal, to[i].whole = a[i].real == b[i].real);
        CASE(kUnequal, to[i].whole = a[i].whole != b[i].whole);
        CASE(kUnequalReal, to[i].whole = a[i].real != b[i].real);
        case Code::kCount:
          break;
      }
#undef CASE
    }
  }
}

}  // namespace frameperfect::rules
