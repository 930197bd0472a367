// What we use of SDL 2's binary interface, which has been the same since 2.0.0
// (https://wiki.libsdl.org/SDL2): by hand, so that no headers of it are needed to build.
#pragma once
#include <cstdint>

namespace frameperfect::hook::sdl {

enum EventType : uint32_t {
  kKeyDown = 0x300,
  kKeyUp = 0x301,
  kTextInput = 0x303,
  kMouseMotion = 0x400,
  kMouseButtonDown = 0x401,
  kMouseButtonUp = 0x402,
  kMouseWheel = 0x403,
  kFingerDown = 0x700,
};

struct KeyEvent {
  uint32_t type, timestamp, window;
  uint8_t state, repeat, unused[2];
  int32_t scancode, key;
  uint16_t modifiers;
  uint32_t unused2;
};

struct MotionEvent {
  uint32_t type, timestamp, window, which, buttons;
  int32_t x, y, dx, dy;
};

struct ButtonEvent {
  uint32_t type, timestamp, window, which;
  uint8_t button, state, clicks, unused;
  int32_t x, y;
};

union Event {
  uint32_t type;
  KeyEvent key;
  MotionEvent motion;
  ButtonEvent button;
  uint8_t bytes[56];
};
static_assert(sizeof(Event) == 56);

inline constexpr uint32_t kRgb24 = 0x17101803;  // SDL_PIXELFORMAT_RGB24

struct Surface {
  uint32_t flags;
  struct Format {
    uint32_t format;
  }* format;
  int w, h, pitch;
  void* pixels;
};

struct Renderer;
struct Texture;
struct Window;
struct Joystick;
struct Rect {
  int x, y, w, h;
};

}  // namespace frameperfect::hook::sdl

// What the game's SDL has; it is asked for these when the game has loaded it.
extern "C" {
int SDL_PollEvent(frameperfect::hook::sdl::Event*);
uint32_t SDL_WasInit(uint32_t);
uint32_t SDL_GetTicks();
int32_t SDL_GetKeyFromScancode(int);
const uint8_t* SDL_GetKeyboardState(int*);
int SDL_GetModState();
uint32_t SDL_GetMouseState(int*, int*);
uint32_t SDL_GetGlobalMouseState(int*, int*);
uint32_t SDL_GetRelativeMouseState(int*, int*);
int SDL_JoystickAttachVirtual(int, int, int, int);
frameperfect::hook::sdl::Joystick* SDL_JoystickOpen(int);
int SDL_JoystickSetVirtualAxis(frameperfect::hook::sdl::Joystick*, int, int16_t);
int SDL_JoystickSetVirtualButton(frameperfect::hook::sdl::Joystick*, int, uint8_t);
frameperfect::hook::sdl::Texture* SDL_GetRenderTarget(frameperfect::hook::sdl::Renderer*);
int SDL_GetRendererOutputSize(frameperfect::hook::sdl::Renderer*, int*, int*);
int SDL_RenderReadPixels(frameperfect::hook::sdl::Renderer*, const frameperfect::hook::sdl::Rect*, uint32_t,
                         void*, int);
int SDL_SetRenderTarget(frameperfect::hook::sdl::Renderer*, frameperfect::hook::sdl::Texture*);
int SDL_ConvertPixels(int, int, uint32_t, const void*, int, uint32_t, void*, int);
frameperfect::hook::sdl::Surface* SDL_GetWindowSurface(frameperfect::hook::sdl::Window*);
void SDL_GL_GetDrawableSize(frameperfect::hook::sdl::Window*, int*, int*);
void* SDL_GL_GetProcAddress(const char*);
}
