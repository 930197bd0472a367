#include "replay/n_step.hpp"

namespace frameperfect::replay {

void n_step(const Rings& rings, std::span<const int64_t> rows, int n, double gamma, std::span<float> returns,
            std::span<float> discounts, std::span<int64_t> steps, std::span<int64_t> next) {
  for (size_t i = 0; i < rows.size(); i++) {
    size_t row = static_cast<size_t>(rows[i]);
    const size_t begin = row / rings.length * rings.length, end = begin + rings.length;
    double sum = 0, discount = 1;
    int taken = 0;
    while (taken < n) {
      const uint8_t kind = rings.kinds[row];
      if (kind != kStep && kind != kTerminated) break;
      sum += discount * rings.rewards[row];
      discount *= gamma;
      taken++;
      if (++row == end) row = begin;
      if (kind == kTerminated) {
        discount = 0;
        break;
      }
    }
    returns[i] = static_cast<float>(sum);
    discounts[i] = static_cast<float>(discount);
    steps[i] = taken;
    next[i] = static_cast<int64_t>(row);
  }
}

}  // namespace frameperfect::replay
