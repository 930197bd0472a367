// Priorities of a replay's rows: their sum, and the row at a given place of the sum, in few steps of memory.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace frameperfect::replay {

// A tree of 16 children a node, so that a million rows are five levels and a node two lines of cache. A node
// is always the sum of its children, anew: nothing drifts, and equal leaves make equal trees. Batches go
// level by level, which lets the processor wait for all their nodes at once. Owned by one thread.
class SumTree {
 public:
  explicit SumTree(size_t rows);

  size_t rows() const { return rows_; }
  double sum() const { return sum_; }
  double at(size_t row) const { return levels_[0][row / kFan][row % kFan]; }

  // Priorities are finite and not below 0, rows below rows(): the caller has looked. A row may come twice;
  // its last priority stands.
  void set(std::span<const int64_t> rows, std::span<const double> priorities);

  // For each place in [0, sum()): the row whose share of the sum it lies in. No row of priority 0 is found
  // unless all are 0.
  void find(std::span<const double> places, std::span<int64_t> found);

  // All leaves, row by row.
  void copy(std::span<double> out) const;

 private:
  static constexpr size_t kFan = 16;
  struct alignas(64) Node : std::array<double, kFan> {};
  static double total(const Node& node);

  size_t rows_;
  double sum_ = 0;
  std::vector<std::vector<Node>> levels_;  // leaves first; the last level is one node
  std::vector<size_t> parents_;            // of the batch under way
  std::vector<double> rest_;
};

}  // namespace frameperfect::replay
