// The map as the game's collision code holds it, and what can be told from it alone: walls along a ray, solid
// ground, and how far it is to the finish.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace frameperfect::hook {

// The head of the game's collision object.
struct Collision {
  const uint8_t* tiles;  // four bytes each, of which the first is its kind
  int32_t width, height;
  const void* unused[2];
  const uint8_t* tele;  // two bytes each: number and kind; null where the map has no such layer
};

class Grid {
 public:
  static constexpr float kTile = 32.0f;

  Grid() = default;
  explicit Grid(const Collision& collision);

  bool known() const { return width_ > 0; }
  bool solid(float x, float y) const { return solid_[place(tile(x), tile(y))] != 0; }

  // A direction, as a unit vector, and how far it is along it from one border of tiles to the next.
  struct Heading {
    Heading(float dx, float dy);
    float dx, dy, across, along;
  };
  static constexpr float kMost = 640.0f;  // pixels that a ray can be long

  // Pixels from (x, y) to the first wall, at most `most`.
  float ray(float x, float y, const Heading& to, float most) const;

  // Tiles to the nearest finish, or -1.
  int32_t to_finish(float x, float y) const;

 private:
  enum Tile : uint8_t { kSolid = 1, kUnhookable = 3, kFreeze = 9, kFinish = 34 };
  enum Tele : uint8_t { kTeleInEvil = 10, kTeleIn = 26, kTeleOut = 27 };
  static constexpr int kFreezeCost = 8;  // tiles that it is worth to go around one

  static int tile(float pixels) { return static_cast<int>(pixels >= 0 ? pixels : pixels - kTile) / 32; }
  // Where `solid_` has a tile. Outside, the map's edge goes on.
  size_t place(int column, int row) const;
  void measure(const Collision& collision);

  // Tiles that a ray passes on each axis, and with room for where it begins: what lies further out is the
  // same.
  static constexpr int kPassed = static_cast<int>(kMost / kTile) + 2, kBorder = 2 * kPassed;

  int width_ = 0, height_ = 0, stride_ = 0;
  std::vector<uint8_t> solid_;  // with kBorder tiles around the map, so that a ray needs no look at its edges
  std::vector<int32_t> distance_;
};

}  // namespace frameperfect::hook
