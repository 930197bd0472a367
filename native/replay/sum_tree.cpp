#include "replay/sum_tree.hpp"

#include <algorithm>
#include <cmath>

namespace frameperfect::replay {

SumTree::SumTree(size_t rows) : rows_(rows) {
  size_t nodes = rows;
  do {
    nodes = (nodes + kFan - 1) / kFan;
    levels_.emplace_back(nodes);
  } while (nodes > 1);
}

double SumTree::total(const Node& node) {
  double part[4] = {};
  for (size_t i = 0; i < kFan; i += 4) {
    for (size_t j = 0; j < 4; j++) part[j] += node[i + j];
  }
  return (part[0] + part[1]) + (part[2] + part[3]);
}

void SumTree::set(std::span<const int64_t> rows, std::span<const double> priorities) {
  parents_.clear();
  for (size_t i = 0; i < rows.size(); i++) {
    const size_t row = static_cast<size_t>(rows[i]), node = row / kFan;
    levels_[0][node][row % kFan] = priorities[i];
    if (parents_.empty() || parents_.back() != node) parents_.push_back(node);
  }
  for (size_t level = 1; level < levels_.size(); level++) {
    size_t kept = 0;
    for (const size_t node : parents_) {
      const size_t parent = node / kFan;
      levels_[level][parent][node % kFan] = total(levels_[level - 1][node]);
      if (!kept || parents_[kept - 1] != parent) parents_[kept++] = parent;
    }
    parents_.resize(kept);
  }
  sum_ = total(levels_.back()[0]);
}

void SumTree::find(std::span<const double> places, std::span<int64_t> found) {
  rest_.assign(places.begin(), places.end());
  std::fill(found.begin(), found.end(), 0);
  for (size_t level = levels_.size(); level-- > 0;) {
    const std::vector<Node>& nodes = levels_[level];
    for (size_t i = 0; i < found.size(); i++) {
      const Node& node = nodes[static_cast<size_t>(found[i])];
      double rest = rest_[i];
      size_t child = 0, last = 0;  // last: the last child with a share
      for (; child < kFan; child++) {
        if (rest < node[child]) break;
        if (node[child] > 0) last = child;
        rest -= node[child];
      }
      if (child == kFan) {  // rounding carried the place past the end
        child = last;
        rest = std::nextafter(node[child], 0.0);
      }
      rest_[i] = rest;
      found[i] = found[i] * static_cast<int64_t>(kFan) + static_cast<int64_t>(child);
#if defined(__GNUC__)
      if (level) {
        const Node& below = levels_[level - 1][static_cast<size_t>(found[i])];
        __builtin_prefetch(&below);
        __builtin_prefetch(&below[kFan / 2]);
      }
#endif
    }
  }
}

void SumTree::copy(std::span<double> out) const {
  for (size_t row = 0; row < rows_; row++) out[row] = at(row);
}

}  // namespace frameperfect::replay
