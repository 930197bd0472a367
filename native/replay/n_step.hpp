// What a replay's rows lead to after n steps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace frameperfect::replay {

// What a row of a ring is. Environment i owns rows [i * length, (i + 1) * length), a ring in time.
enum Kind : uint8_t {
  kOpen = 0,        // nothing, or an observation that nothing was done after yet
  kStep = 1,        // an observation, the action chosen there, and the reward that followed
  kTerminated = 2,  // the same; the step ended the episode for good
  kFinal = 3,       // the last observation of an episode: no action follows
};

struct Rings {
  std::span<const uint8_t> kinds;
  std::span<const float> rewards;
  size_t length = 0;
};

// For each row: the discounted rewards of up to n steps, how many steps they are, the discount of what comes
// after them (0 where the episode terminated), and the row that they lead to. The sum ends early with the
// episode: at a truncated one's last observation it is valued from there.
void n_step(const Rings& rings, std::span<const int64_t> rows, int n, double gamma, std::span<float> returns,
            std::span<float> discounts, std::span<int64_t> steps, std::span<int64_t> next);

}  // namespace frameperfect::replay
