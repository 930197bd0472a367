#include "hook/grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace frameperfect::hook {

Grid::Grid(const Collision& collision) : width_(collision.width), height_(collision.height) {
  const size_t cells = static_cast<size_t>(width_) * height_;
  solid_.resize(cells);
  for (size_t cell = 0; cell < cells; ++cell) {
    const uint8_t kind = collision.tiles[4 * cell];
    solid_[cell] = kind == kSolid || kind == kUnhookable;
  }
  measure(collision);
}

bool Grid::solid_at(int column, int row) const {
  column = std::clamp(column, 0, width_ - 1);
  row = std::clamp(row, 0, height_ - 1);
  return solid_[static_cast<size_t>(row) * width_ + column] != 0;
}

// From cell border to cell border (Amanatides and Woo, "A fast voxel traversal algorithm", 1987).
float Grid::ray(float x, float y, float dx, float dy, float most) const {
  constexpr float kNever = std::numeric_limits<float>::infinity();
  int column = tile(x), row = tile(y);
  if (solid_at(column, row)) return 0;
  const int right = dx > 0 ? 1 : -1, down = dy > 0 ? 1 : -1;
  const float across = dx != 0 ? kTile / std::abs(dx) : kNever,
              along = dy != 0 ? kTile / std::abs(dy) : kNever;
  float next_x = dx != 0 ? ((column + (dx > 0)) * kTile - x) / dx : kNever;
  float next_y = dy != 0 ? ((row + (dy > 0)) * kTile - y) / dy : kNever;
  for (;;) {
    const float gone = std::min(next_x, next_y);
    if (gone >= most) return most;
    if (next_x < next_y) {
      column += right;
      next_x += across;
    } else {
      row += down;
      next_y += along;
    }
    if (solid_at(column, row)) return gone;
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
        if (!inside || solid_[other] != 0 || distance_[other] >= 0) return;
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
