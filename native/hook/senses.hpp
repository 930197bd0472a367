// What the machine shows of each player, read from the game's own objects after every tick.
#pragma once
#include <cstdint>

#include "hook/grid.hpp"
#include "hook/protocol.hpp"

namespace frameperfect::hook {

class Senses {
 public:
  void set(const Places& places, int players) {
    places_ = places;
    players_ = players;
  }

  // After every tick: follows the race clocks and the lives.
  void follow();

  // The records of all players now; those of players who are not there are zero.
  void show(PlayerRecord* out);

 private:
  struct Run {
    int32_t race = 0, clock = 0;
    uint8_t alive = 0, restarts = 0;
  };

  template <typename T>
  T read(int player, uint32_t offset) const;
  void show(int player, PlayerRecord& out);
  void show_others(PlayerRecord* all) const;

  Places places_{};
  int players_ = 0;
  Run run_[kMaxPlayers];
  Grid grid_;
};

}  // namespace frameperfect::hook
