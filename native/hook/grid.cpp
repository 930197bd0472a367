#include "hook/grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace frameperfect::hook {

Grid::Grid(const Collision& collision)
    : width_(collision.width), height_(collision.height), stride_(width_ + 2 * kBorder) {
  solid_.resize(static_cast<size_t>(stride_) * (height_ + 2 * kBorder));
  for (int row = -kBorder; row < height_ + kBorder; ++row) {
    for (int column = -kBorder; column < width_ + kBorder; ++column) {
      const int x = std::clamp(column, 0, width_ - 1), y = std::clamp(row, 0, height_ - 1);
      const uint8_t kind = collision.tiles[4 * (static_cast<size_t>(y) * width_ + x)];
      solid_[static_cast<size_t>(row + kBorder) * stride_ + column + kBorder] =
          kind == kSolid || kind == kUnhookable;
    }
  }
  measure(collision);
}

size_t Grid::place(int column, int row) const {
  column = std::clamp(column, -kPassed, width_ - 1 + kPassed) + kBorder;
  row = std::clamp(row, -kPassed, height_ - 1 + kPassed) + kBorder;
  return static_cast<size_t>(row) * stride_ + column;
}

static constexpr float kNever = std::numeric_limits<float>::infinity();

Grid::Heading::Heading(float dx, float dy)
    : dx(dx),
      dy(dy),
      across(dx != 0 ? kTile / std::abs(dx) : kNever),
      along(dy != 0 ? kTile / std::abs(dy) : kNever) {}

// From cell border to cell border (Amanatides and Woo, "A fast voxel traversal algorithm", 1987).
float Grid::ray(float x, float y, const Heading& to, float most) const {
  const int column = tile(x), row = tile(y);
  const uint8_t* at = solid_.data() + place(column, row);
  if (*at) return 0;
  const ptrdiff_t right = to.dx > 0 ? 1 : -1, down = to.dy > 0 ? stride_ : -stride_;
  float next_x = to.dx != 0 ? ((column + (to.dx > 0)) * kTile - x) / to.dx : kNever;
  float next_y = to.dy != 0 ? ((row + (to.dy > 0)) * kTile - y) / to.dy : kNever;
  most = std::min(most, kMost);
  for (;;) {
    const bool sideways = next_x < next_y;
    const float gone = sideways ? next_x : next_y;
    if (gone >= most) return most;
    at += sideways ? right : down;
    if (*at) return gone;
    next_x += sideways ? to.across : 0;
    next_y += sideways ? 0 : to.along;
  }
}

int32_t Grid::to_finish(float x, float y) const {
  const int column = std::clamp(tile(x), 0, width_ - 1), row = std::clamp(tile(y), 0, height_ - 1);
  return distance_[static_cast<size_t>(row) * width_ + column];
}

// Outwards from the finish tiles by Dial's algorithm: a list of cells for each distance, used in turn. From a
// teleporter's exit it goes on at its entrances.
void Grid::measure(const Collision& collision) {
  const int cells = width_ * height_;
  distance_.assign(cells, -1);
  std::vector<std::vector<int>> waiting(kFreezeCost + 1);
  std::vector<std::vector<int>> entrances(256);
  for (int cell = 0; cell < cells; ++cell) {
    if (collision.tiles[4 * cell] == kFinish) waiting[0].push_back(cell);
    if (collision.tele == nullptr) continue;
    const uint8_t number = collision.tele[2 * cell], kind = collision.tele[2 * cell + 1];
    if (kind == kTeleIn || kind == kTeleInEvil) entrances[number].push_back(cell);
  }
  int empty = 0;
  for (int at = 0; empty <= kFreezeCost; ++at) {
    std::vector<int> now;
    now.swap(waiting[at % (kFreezeCost + 1)]);
    empty = now.empty() ? empty + 1 : 0;
    for (const int cell : now) {
      if (distance_[cell] >= 0) continue;
      distance_[cell] = at;
      const int column = cell % width_;
      const auto reach = [&](int other, bool inside) {
        if (!inside || solid_[place(other % width_, other / width_)] != 0 || distance_[other] >= 0) return;
        const int cost = collision.tiles[4 * other] == kFreeze ? kFreezeCost : 1;
        waiting[(at + cost) % (kFreezeCost + 1)].push_back(other);
      };
      reach(cell - 1, column > 0);
      reach(cell + 1, column + 1 < width_);
      reach(cell - width_, cell >= width_);
      reach(cell + width_, cell + width_ < cells);
      if (collision.tele == nullptr || collision.tele[2 * cell + 1] != kTeleOut) continue;
      for (const int entrance : entrances[collision.tele[2 * cell]]) reach(entrance, true);
    }
  }
}

}  // namespace frameperfect::hook
