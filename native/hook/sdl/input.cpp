#include "hook/sdl/input.hpp"

#include <cstring>

#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/real.hpp"

namespace frameperfect::hook::sdl {

Devices devices;

namespace {

constexpr uint32_t kWindow = 1;  // the number of a program's first window
constexpr uint32_t kJoystickSystem = 0x200;
constexpr int kGameController = 1, kPadButtons = 15;

// Scancodes that change the meaning of others, and SDL's bit for each.
constexpr struct {
  int scancode, bit;
} kModifiers[] = {{224, 0x40}, {225, 0x01}, {226, 0x100}, {227, 0x400},
                  {228, 0x80}, {229, 0x02}, {230, 0x200}, {231, 0x800}};

bool is_down(const Input& input, int scancode) { return input.keys[scancode / 8] >> scancode % 8 & 1; }

}  // namespace

Event& Devices::queue() {
  Event& event = events_[last_];
  last_ = (last_ + 1) % kQueue;
  std::memset(&event, 0, sizeof(event));
  event.key.timestamp = REAL(SDL_GetTicks)();
  event.key.window = kWindow;
  return event;
}

bool Devices::next(Event& event) {
  if (first_ == last_) return false;
  event = events_[first_];
  first_ = (first_ + 1) % kQueue;
  return true;
}

int Devices::modifiers() const {
  int bits = 0;
  for (const auto& modifier : kModifiers)
    if (key_[modifier.scancode] != 0) bits |= modifier.bit;
  return bits;
}

uint32_t Devices::mouse(int* x, int* y) const {
  if (x != nullptr) *x = x_;
  if (y != nullptr) *y = y_;
  return held_.mouse_buttons;
}

uint32_t Devices::push(int* dx, int* dy) {
  if (dx != nullptr) *dx = dx_;
  if (dy != nullptr) *dy = dy_;
  dx_ = dy_ = 0;
  return held_.mouse_buttons;
}

void Devices::hold(const Input& input, int pads) {
  first_ = last_ = 0;  // what the game did not ask for is lost
  for (int scancode = 0; scancode < kKeys; ++scancode) {
    const bool down = is_down(input, scancode);
    if (down == is_down(held_, scancode)) continue;
    key_[scancode] = down;
    KeyEvent& key = queue().key;
    key.type = down ? kKeyDown : kKeyUp;
    key.state = down;
    key.scancode = scancode;
    key.key = REAL(SDL_GetKeyFromScancode)(scancode);
    key.modifiers = static_cast<uint16_t>(modifiers());
  }
  const int32_t x = (input.mouse_x < 0 ? x_ : input.mouse_x) + input.mouse_dx;
  const int32_t y = (input.mouse_y < 0 ? y_ : input.mouse_y) + input.mouse_dy;
  if (x != x_ || y != y_) {
    MotionEvent& motion = queue().motion;
    motion.type = kMouseMotion;
    motion.buttons = held_.mouse_buttons;
    motion.x = x;
    motion.y = y;
    dx_ += motion.dx = x - x_;
    dy_ += motion.dy = y - y_;
    x_ = x;
    y_ = y;
  }
  for (int number = 0; number < 5; ++number) {
    const bool down = input.mouse_buttons >> number & 1;
    if (down == (held_.mouse_buttons >> number & 1)) continue;
    ButtonEvent& button = queue().button;
    button.type = down ? kMouseButtonDown : kMouseButtonUp;
    button.button = static_cast<uint8_t>(number + 1);
    button.state = down;
    button.clicks = 1;
    button.x = x_;
    button.y = y_;
  }
  if (pads > 0) hold_pad(input);
  held_ = input;
}

// A controller of SDL's own that has no hardware: SDL makes the events of it (SDL 2.0.14).
void Devices::hold_pad(const Input& input) {
  if (pad_ == nullptr) {
    if ((REAL(SDL_WasInit)(kJoystickSystem) & kJoystickSystem) == 0) return;
    if (REAL(SDL_JoystickAttachVirtual) == nullptr)
      give_up("the game's SDL is older than 2.0.14: no controllers");
    const int number = REAL(SDL_JoystickAttachVirtual)(kGameController, kAxes, kPadButtons, 0);
    pad_ = number < 0 ? nullptr : REAL(SDL_JoystickOpen)(number);
    if (pad_ == nullptr) give_up("SDL makes no virtual game controller");
  }
  for (int axis = 0; axis < kAxes; ++axis) REAL(SDL_JoystickSetVirtualAxis)(pad_, axis, input.pad_axes[axis]);
  for (int button = 0; button < kPadButtons; ++button)
    REAL(SDL_JoystickSetVirtualButton)(pad_, button, input.pad_buttons >> button & 1);
}

}  // namespace frameperfect::hook::sdl

using frameperfect::hook::host;
using frameperfect::hook::sdl::devices;

extern "C" {

FRAMEPERFECT_EXPORT const uint8_t* SDL_GetKeyboardState(int* count) {
  if (host == nullptr) return REAL(SDL_GetKeyboardState)(count);
  if (count != nullptr) *count = 512;
  return devices.keys();
}

FRAMEPERFECT_EXPORT int SDL_GetModState() {
  return host == nullptr ? REAL(SDL_GetModState)() : devices.modifiers();
}

FRAMEPERFECT_EXPORT uint32_t SDL_GetMouseState(int* x, int* y) {
  return host == nullptr ? REAL(SDL_GetMouseState)(x, y) : devices.mouse(x, y);
}

FRAMEPERFECT_EXPORT uint32_t SDL_GetGlobalMouseState(int* x, int* y) {
  return host == nullptr ? REAL(SDL_GetGlobalMouseState)(x, y) : devices.mouse(x, y);
}

FRAMEPERFECT_EXPORT uint32_t SDL_GetRelativeMouseState(int* dx, int* dy) {
  return host == nullptr ? REAL(SDL_GetRelativeMouseState)(dx, dy) : devices.push(dx, dy);
}

}  // extern "C"
