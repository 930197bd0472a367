#include "hook/senses.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace frameperfect::hook {

namespace {

enum Race : int32_t { kRunning = 1 };
constexpr float kHalfBody = 14, kFeet = kHalfBody + 5;  // the game's own test for standing on something
constexpr int32_t kAirJumpUsed = 2;

static_assert(kRayLength <= Grid::kMost);
const std::vector<Grid::Heading> kHeadings = [] {
  std::vector<Grid::Heading> headings;
  for (int i = 0; i < kRays; ++i) {
    const double angle = 2 * 3.14159265358979323846 * i / kRays;
    // The axes exactly, so that a ray along a wall stays beside it.
    headings.emplace_back(static_cast<float>(i % 8 == 4 ? 0 : std::cos(angle)),
                          static_cast<float>(i % 8 == 0 ? 0 : std::sin(angle)));
  }
  return headings;
}();

int32_t rounded(float value) { return static_cast<int32_t>(std::lround(value)); }

}  // namespace

template <typename T>
T Senses::read(int player, uint32_t offset) const {
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(places_.first + player * places_.stride + offset),
              sizeof(T));
  return value;
}

void Senses::follow() {
  if (places_.first == 0) return;
  for (int player = 0; player < players_; ++player) {
    Run& run = run_[player];
    const uint8_t alive = read<uint8_t>(player, places_.alive) != 0;
    if (alive && !run.alive) {
      ++run.restarts;
      run.clock = 0;
    }
    run.alive = alive;
    const int32_t race = alive ? read<int32_t>(player, places_.race) : 0;
    if (race == kRunning) run.clock = run.race == kRunning ? run.clock + 1 : 0;
    run.race = race;
  }
}

void Senses::show(PlayerRecord* out) {
  for (int player = 0; player < kMaxPlayers; ++player) {
    out[player] = {};
    if (player < players_ && places_.first != 0) show(player, out[player]);
  }
  show_others(out);
}

void Senses::show_others(PlayerRecord* all) const {
  for (int player = 0; player < players_; ++player) {
    PlayerRecord& own = all[player];
    if (!own.alive) continue;
    std::array<std::pair<int64_t, int>, kMaxPlayers> away;  // its square, and who
    int count = 0;
    for (int other = 0; other < players_; ++other) {
      if (other == player || !all[other].alive) continue;
      const int64_t x = all[other].x - own.x, y = all[other].y - own.y;
      away[count++] = {x * x + y * y, other};
    }
    const int shown = std::min(count, kNear);
    std::partial_sort(away.begin(), away.begin() + shown, away.begin() + count);
    for (int i = 0; i < shown; ++i) {
      const PlayerRecord& other = all[away[i].second];
      own.near[i] = {other.x, other.y, other.vx, other.vy, other.to_finish, 1};
    }
  }
}

void Senses::show(int player, PlayerRecord& out) {
  const Run& run = run_[player];
  out.restarts = run.restarts;
  out.alive = run.alive;
  out.hooked = -1;
  if (!run.alive) return;
  // Position, velocity and the hook's position lie together.
  const auto place = read<std::array<float, 6>>(player, places_.position);
  out.x = rounded(place[0]), out.y = rounded(place[1]);
  out.vx = rounded(place[2] * 256), out.vy = rounded(place[3] * 256);
  out.hook_x = rounded(place[4]), out.hook_y = rounded(place[5]);
  out.hook_state = read<int32_t>(player, places_.hook_state);
  out.hooked = read<int32_t>(player, places_.hooked);
  out.direction = read<int32_t>(player, places_.direction);
  out.air_jump = (read<int32_t>(player, places_.jumped) & kAirJumpUsed) == 0;
  out.freeze = read<int32_t>(player, places_.freeze);
  out.race = run.race;
  out.clock = run.clock;
  if (!grid_.known()) {
    const auto* collision = read<const Collision*>(player, places_.collision);
    if (collision == nullptr || collision->tiles == nullptr) return;
    grid_ = Grid(*collision);
  }
  const float x = place[0], y = place[1];
  out.grounded = grid_.solid(x - kHalfBody, y + kFeet) || grid_.solid(x + kHalfBody, y + kFeet);
  out.to_finish = grid_.to_finish(x, y);
  for (int i = 0; i < kRays; ++i)
    out.ray[i] = static_cast<int16_t>(grid_.ray(x, y, kHeadings[i], kRayLength));
}

}  // namespace frameperfect::hook
