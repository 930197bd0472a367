#include "hook/sdl/picture.hpp"

#include <algorithm>

#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/real.hpp"
#include "hook/sdl/protocol.hpp"

namespace frameperfect::hook::sdl {

Picture picture;

bool Picture::make_room(int w, int h) {
  if (w <= 0 || h <= 0 || static_cast<uint64_t>(w) * h * 3 > kMaxPicture) return false;
  width = w;
  height = h;
  pixels.resize(static_cast<size_t>(w) * h * 3);
  read_at = current_frame();
  return true;
}

namespace {

bool looking() { return host != nullptr && picture.wanted && on_main_thread(); }

// What a frame that nobody looks at need not draw: what goes to the window. Textures the game may read again.
bool in_vain(Renderer* renderer) {
  return host != nullptr && !picture.wanted && on_main_thread() &&
         REAL(SDL_GetRenderTarget)(renderer) == nullptr;
}

void read(Renderer* renderer) {
  int w = 0, h = 0;
  if (REAL(SDL_GetRendererOutputSize)(renderer, &w, &h) != 0 || !picture.make_room(w, h)) return;
  Texture* target = REAL(SDL_GetRenderTarget)(renderer);
  if (target != nullptr) REAL(SDL_SetRenderTarget)(renderer, nullptr);
  const Rect whole{0, 0, w, h};
  REAL(SDL_RenderReadPixels)(renderer, &whole, kRgb24, picture.pixels.data(), 3 * w);
  if (target != nullptr) REAL(SDL_SetRenderTarget)(renderer, target);
}

void read(const Surface* surface) {
  if (surface == nullptr || !picture.make_room(surface->w, surface->h)) return;
  REAL(SDL_ConvertPixels)(surface->w, surface->h, surface->format->format, surface->pixels, surface->pitch,
                          kRgb24, picture.pixels.data(), 3 * surface->w);
}

// OpenGL's picture begins with the lowest row.
void read_gl(Window* window) {
  using GetInteger = void(unsigned, int*);
  using PixelStore = void(unsigned, int);
  using ReadPixels = void(int, int, int, int, unsigned, unsigned, void*);
  constexpr unsigned kPackAlignment = 0x0d05, kRgb = 0x1907, kBytes = 0x1401;
  static const auto gl = [](const char* name) { return REAL(SDL_GL_GetProcAddress)(name); };
  static const auto get = reinterpret_cast<GetInteger*>(gl("glGetIntegerv"));
  static const auto store = reinterpret_cast<PixelStore*>(gl("glPixelStorei"));
  static const auto pixels = reinterpret_cast<ReadPixels*>(gl("glReadPixels"));
  int w = 0, h = 0, alignment = 4;
  REAL(SDL_GL_GetDrawableSize)(window, &w, &h);
  if (get == nullptr || store == nullptr || pixels == nullptr || !picture.make_room(w, h)) return;
  get(kPackAlignment, &alignment);
  store(kPackAlignment, 1);
  pixels(0, 0, w, h, kRgb, kBytes, picture.pixels.data());
  store(kPackAlignment, alignment);
  for (int row = 0; row < h / 2; ++row)
    std::swap_ranges(&picture.pixels[3 * w * row], &picture.pixels[3 * w * row] + 3 * w,
                     &picture.pixels[3 * w * (h - 1 - row)]);
}

}  // namespace
}  // namespace frameperfect::hook::sdl

using namespace frameperfect::hook::sdl;

extern "C" {

void SDL_RenderPresent(Renderer*);
void SDL_GL_SwapWindow(Window*);
int SDL_UpdateWindowSurface(Window*);
int SDL_UpdateWindowSurfaceRects(Window*, const Rect*, int);

FRAMEPERFECT_EXPORT void SDL_RenderPresent(Renderer* renderer) {
  if (looking()) read(renderer);
  if (!in_vain(renderer)) REAL(SDL_RenderPresent)(renderer);
  shown();
}

FRAMEPERFECT_EXPORT void SDL_GL_SwapWindow(Window* window) {
  if (looking()) read_gl(window);
  REAL(SDL_GL_SwapWindow)(window);
  shown();
}

FRAMEPERFECT_EXPORT int SDL_UpdateWindowSurface(Window* window) {
  if (looking()) read(REAL(SDL_GetWindowSurface)(window));
  const int status = REAL(SDL_UpdateWindowSurface)(window);
  shown();
  return status;
}

FRAMEPERFECT_EXPORT int SDL_UpdateWindowSurfaceRects(Window* window, const Rect* rects, int count) {
  if (looking()) read(REAL(SDL_GetWindowSurface)(window));
  const int status = REAL(SDL_UpdateWindowSurfaceRects)(window, rects, count);
  shown();
  return status;
}

// -- drawing -----------------------------------------------------------------------------------------------

#define DRAWS(name, parameters, arguments) \
  int name parameters;                     \
  FRAMEPERFECT_EXPORT int name parameters { return in_vain(renderer) ? 0 : REAL(name) arguments; }

DRAWS(SDL_RenderClear, (Renderer * renderer), (renderer))
DRAWS(SDL_RenderCopy, (Renderer * renderer, Texture* texture, const Rect* from, const Rect* to),
      (renderer, texture, from, to))
DRAWS(SDL_RenderCopyF, (Renderer * renderer, Texture* texture, const Rect* from, const void* to),
      (renderer, texture, from, to))
DRAWS(SDL_RenderCopyEx,
      (Renderer * renderer, Texture* texture, const Rect* from, const Rect* to, double angle,
       const void* centre, int flip),
      (renderer, texture, from, to, angle, centre, flip))
DRAWS(SDL_RenderCopyExF,
      (Renderer * renderer, Texture* texture, const Rect* from, const void* to, double angle,
       const void* centre, int flip),
      (renderer, texture, from, to, angle, centre, flip))
DRAWS(SDL_RenderFillRect, (Renderer * renderer, const Rect* rect), (renderer, rect))
DRAWS(SDL_RenderFillRectF, (Renderer * renderer, const void* rect), (renderer, rect))
DRAWS(SDL_RenderFillRects, (Renderer * renderer, const Rect* rects, int count), (renderer, rects, count))
DRAWS(SDL_RenderDrawRect, (Renderer * renderer, const Rect* rect), (renderer, rect))
DRAWS(SDL_RenderDrawLine, (Renderer * renderer, int x1, int y1, int x2, int y2), (renderer, x1, y1, x2, y2))
DRAWS(SDL_RenderDrawLines, (Renderer * renderer, const void* points, int count), (renderer, points, count))
DRAWS(SDL_RenderDrawPoint, (Renderer * renderer, int x, int y), (renderer, x, y))
DRAWS(SDL_RenderGeometry,
      (Renderer * renderer, Texture* texture, const void* vertices, int count, const int* indices,
       int index_count),
      (renderer, texture, vertices, count, indices, index_count))

}  // extern "C"
