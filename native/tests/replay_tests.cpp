// The replay's native parts against plain lists.
#include "tests/replay_tests.hpp"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "replay/n_step.hpp"
#include "replay/sum_tree.hpp"
#include "tests/check.hpp"

using namespace frameperfect::replay;

void a_sum_tree_is_a_plain_list() {
  std::mt19937 random(1);
  for (const size_t size : {1, 2, 16, 17, 256, 257, 5000}) {
    SumTree tree(size);
    std::vector<double> plain(size);
    for (int round = 0; round < 50; round++) {
      std::vector<int64_t> rows(1 + random() % 40);
      std::vector<double> priorities(rows.size());
      for (size_t i = 0; i < rows.size(); i++) {
        rows[i] = random() % size;
        plain[rows[i]] = priorities[i] = random() % 5;
      }
      tree.set(rows, priorities);
      const double sum = std::accumulate(plain.begin(), plain.end(), 0.0);
      CHECK(tree.sum() == sum);  // whole numbers: no rounding
      if (sum == 0) continue;
      std::vector<double> places(20);
      for (double& place : places) place = random() % static_cast<size_t>(sum);
      places.push_back(sum);  // past the end, as rounding may have it
      std::vector<int64_t> found(places.size());
      tree.find(places, found);
      for (size_t i = 0; i + 1 < places.size(); i++) {
        const double before = std::accumulate(plain.begin(), plain.begin() + found[i], 0.0);
        CHECK(before <= places[i] && places[i] < before + plain[found[i]]);
      }
      CHECK(plain[found.back()] > 0);
    }
  }
}

void n_step_returns_end_with_the_episode() {
  // a ring of 6: the episode that terminates at row 1 began at row 4; rows 2 and 3 are another's end
  const std::vector<uint8_t> kinds = {kStep, kTerminated, kStep, kFinal, kStep, kStep};
  const std::vector<float> rewards = {1, 2, 4, 8, 16, 32};
  const std::vector<int64_t> rows = {4, 5, 0, 1, 2};
  std::vector<float> returns(5), discounts(5);
  std::vector<int64_t> steps(5), next(5);
  n_step({kinds, rewards, 6}, rows, 3, 0.5, returns, discounts, steps, next);
  CHECK((returns == std::vector<float>{16 + 16 + 0.25f, 32 + 0.5f + 0.5f, 1 + 1, 2, 4}));
  CHECK((discounts == std::vector<float>{0.125f, 0, 0, 0, 0.5f}));
  CHECK((steps == std::vector<int64_t>{3, 3, 2, 1, 1}));
  CHECK((next == std::vector<int64_t>{1, 2, 2, 2, 3}));
}
