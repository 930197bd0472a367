// A game's rules as a program over registers, compiled from expressions by frameperfect.game.program.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace frameperfect::rules {

// A truth value is 0 or 1 in `whole`. Which member holds the number is known when the program is made.
union Value {
  int64_t whole;
  double real;
};

// Whole numbers wrap where a file's rules could not, floats divide and round as Python's do, and dividing by
// zero gives 0.
enum class Code : uint8_t {
  kCopy,
  kReal,
  kTruth,
  kTruthReal,
  kNot,
  kAnd,
  kOr,
  kXor,
  kInvert,
  kShiftLeft,
  kShiftRight,
  kAdd,
  kAddReal,
  kSubtract,
  kSubtractReal,
  kMultiply,
  kMultiplyReal,
  kDivide,
  kFloorDivide,
  kFloorDivideReal,
  kModulo,
  kModuloReal,
  kMin,
  kMinReal,
  kMax,
  kMaxReal,
  kAbs,
  kAbsReal,
  kSign,
  kSignReal,
  kRoot,
  kIf,
  kLess,
  kLessReal,
  kAtMost,
  kAtMostReal,
  kEqual,
  kEqualReal,
  kUnequal,
  kUnequalReal,
  kCount,
};  // clang-format keeps these in rows

struct Operation {
  Code code;
  uint32_t to, a, b, c;  // registers
};

// How a variable's bytes in a row become a number: see frameperfect.memory.
struct Column {
  size_t offset;
  char kind;                   // u, i: binary; d, n: decimal digits, two or one a byte; f: IEEE float
  std::vector<uint8_t> order;  // places of its bytes, the least significant first
  int64_t mask;                // kept bits, in place; -1: all
  int bit;                     // picked, or -1
  bool scaled;
  double scale;  // what a scaled one is divided by; it is then a float

  // How the bytes lie; `general` for all but whole numbers in the order of this machine.
  enum class Load : uint8_t { kGeneral, k8, k16, k32, k64 };
  Load load() const;

  uint64_t raw(const uint8_t* row) const;  // the bytes as a number, without its sign
  Value shown(uint64_t raw) const;
};

// The registers, in this order: the variables now and at the step before; what definitions are now and were
// at the step before; the number of the step; constants; intermediate results. Immutable, so shared by all
// threads.
struct Program {
  std::vector<Column> columns;
  size_t width = 0;                                   // bytes of a row that are read
  size_t kept = 0;                                    // definitions and running extremes
  std::vector<std::pair<uint32_t, Value>> constants;  // register and bits
  size_t registers = 0;
  std::vector<Operation> begin, step, features, terms, time;
  std::vector<uint32_t> feature_registers;  // floats
  uint32_t reward = 0, terminated = 0, truncated = 0, success = 0;

  size_t now() const { return 0; }
  size_t before_columns() const { return columns.size(); }
  size_t kept_now() const { return 2 * columns.size(); }
  size_t kept_before() const { return kept_now() + kept; }
  size_t step_number() const { return kept_before() + kept; }

  // Whether every operation stays within the registers; a program that does not may not be run.
  bool sound() const;
};

// N environments that follow one program. Owned by one thread at a time.
class Episodes {
 public:
  Episodes(const Program& program, size_t count);

  // The environments whose `chosen` is set (all, where it is null) begin at their rows, `stride` bytes apart.
  void begin(const uint8_t* rows, size_t stride, const uint8_t* chosen);
  // A step has ended at these rows.
  void step(const uint8_t* rows, size_t stride);
  // (N, F) feature vectors now.
  void features(float* out);
  // Computes terms or time into their registers.
  void run_terms() { run(program_.terms, 0, count_); }
  void run_time() { run(program_.time, 0, count_); }

  size_t count() const { return count_; }
  const Program& program() const { return program_; }
  Value* at(size_t number) { return values_.data() + number * count_; }

 private:
  void run(std::span<const Operation> operations, size_t first, size_t end);
  void read(const uint8_t* rows, size_t stride, size_t first, size_t end);

  const Program& program_;
  std::vector<Column::Load> loads_;
  size_t count_;
  std::vector<Value> values_;  // register by register, N values each
};

}  // namespace frameperfect::rules
