// The player's keyboard, mouse and game controller, as SDL tells a game of them: events, and what is held.
#pragma once
#include "hook/sdl/protocol.hpp"
#include "hook/sdl/sdl.hpp"

namespace frameperfect::hook::sdl {

class Devices {
 public:
  // A frame begins with this input: what is different from the frame before becomes events.
  void hold(const Input& input, int pads);

  // The next event; false where there is none.
  bool next(Event& event);
  bool waiting() const { return first_ != last_; }

  // Whether an event from the system is the player's, whom only the host plays.
  static bool is_players(const Event& event) {
    return (event.type >= kKeyDown && event.type <= kTextInput) ||
           (event.type >= kMouseMotion && event.type <= kMouseWheel) || (event.type & ~0xffu) == kFingerDown;
  }

  const uint8_t* keys() const { return key_; }
  int modifiers() const;
  uint32_t mouse(int* x, int* y) const;
  uint32_t push(int* dx, int* dy);

 private:
  static constexpr int kKeys = 512, kQueue = 256;

  Event& queue();
  void hold_pad(const Input& input);

  Input held_{};
  uint8_t key_[kKeys] = {};  // the game may keep a pointer to it
  int32_t x_ = 0, y_ = 0, dx_ = 0, dy_ = 0;
  Event events_[kQueue];
  int first_ = 0, last_ = 0;
  Joystick* pad_ = nullptr;
};

extern Devices devices;

}  // namespace frameperfect::hook::sdl
