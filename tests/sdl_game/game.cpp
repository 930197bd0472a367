// A game on SDL 2 that does what games do: a square that keys, mouse and controller move, chance, a clock, a
// picture by whichever way argv[1] names ("renderer", "surface", "gl", "busy"). One that "forks" or "returns"
// (with a renderer) writes all over some memory, and starts processes or gives memory back to the system. SDL
// is declared by hand: no headers are needed to build it.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

extern "C" {
int SDL_Init(uint32_t);
void* SDL_CreateWindow(const char*, int, int, int, int, uint32_t);
void* SDL_CreateRenderer(void*, int, uint32_t);
int SDL_PollEvent(void*);
const uint8_t* SDL_GetKeyboardState(int*);
uint32_t SDL_GetMouseState(int*, int*);
uint32_t SDL_GetTicks();
void SDL_Delay(uint32_t);
int SDL_SetRenderDrawColor(void*, uint8_t, uint8_t, uint8_t, uint8_t);
int SDL_RenderClear(void*);
int SDL_RenderFillRect(void*, const int*);
void SDL_RenderPresent(void*);
struct Surface {
  uint32_t flags;
  void* format;
  int w, h, pitch;
  void* pixels;
};
Surface* SDL_GetWindowSurface(void*);
int SDL_UpdateWindowSurface(void*);
void* SDL_GL_CreateContext(void*);
void* SDL_GL_GetProcAddress(const char*);
void SDL_GL_SwapWindow(void*);
void* SDL_GameControllerOpen(int);
}

// What the machine looks at; `state` is behind a pointer, as in larger games.
struct State {
  int32_t x, y, keys_pressed, mouse_x, mouse_y, clicks, pad_buttons, pad_x;
  uint32_t ticks, chance, frames, drawn;
};
State* volatile state_of_game = nullptr;

// A word in each of many pages; `seen` is of those that were read last.
struct Field {
  static constexpr size_t kPage = 512, kPages = 256;
  uint64_t* words = static_cast<uint64_t*>(
      mmap(nullptr, kPages * kPage * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

  Field() {
    for (size_t page = 0; page < kPages; page += 2) words[page * kPage + page] = page + 1;
  }

  uint32_t step(uint32_t frame, bool forks) {
    for (int i = 0; i < 4; ++i) words[(std::rand() % kPages) * kPage + std::rand() % kPage] = frame;
    if (forks && frame % 40 == 20 && fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    }
    if (!forks && frame % 40 == 30)
      madvise(words + (std::rand() % 200) * kPage, 50 * kPage * 8, MADV_DONTNEED);
    uint64_t seen = 0;
    for (size_t i = 0; i < kPages * kPage; ++i) seen = seen * 31 + words[i];
    return static_cast<uint32_t>(seen ^ seen >> 32);
  }
};

static constexpr int kWidth = 160, kHeight = 120;

int main(int count, char** words) {
  const char* way = count > 1 ? words[1] : "renderer";
  const int frames = count > 2 ? std::atoi(words[2]) : 1 << 30;
  const bool forks = std::strcmp(way, "forks") == 0, returns = std::strcmp(way, "returns") == 0;
  const bool gl = std::strcmp(way, "gl") == 0, surface = std::strcmp(way, "surface") == 0;
  if (SDL_Init(0x20 | 0x2000) != 0) return 2;
  void* window = SDL_CreateWindow("square", 0, 0, kWidth, kHeight, gl ? 2 : 0);
  if (window == nullptr) return 2;
  void* renderer = gl || surface ? nullptr : SDL_CreateRenderer(window, -1, 1);
  if (gl && SDL_GL_CreateContext(window) == nullptr) return 2;
  state_of_game = new State{};
  State& state = *state_of_game;
  Field field;
  state.x = state.y = 40;
  std::srand(static_cast<unsigned>(std::time(nullptr)));
  const uint8_t* keys = SDL_GetKeyboardState(nullptr);
  while (static_cast<int>(state.frames) < frames) {
    alignas(8) uint8_t event[56];
    while (SDL_PollEvent(event) != 0) {
      uint32_t type;
      int32_t which;
      std::memcpy(&type, event, 4);
      std::memcpy(&which, event + 8, 4);
      if (type == 0x100) return 0;
      if (type == 0x300) ++state.keys_pressed;
      if (type == 0x401) ++state.clicks;
      if (type == 0x653) SDL_GameControllerOpen(which);
      if (type == 0x651) ++state.pad_buttons;
      if (type == 0x650 && event[12] == 0) {
        int16_t value;
        std::memcpy(&value, event + 16, 2);
        state.pad_x = value;
      }
    }
    state.x += (keys[79] - keys[80]) * (keys[225] ? 3 : 1) + state.pad_x / 16384;
    state.y += keys[81] - keys[82];
    SDL_GetMouseState(&state.mouse_x, &state.mouse_y);
    state.chance = static_cast<uint32_t>(std::rand());
    state.ticks = SDL_GetTicks();
    ++state.frames;
    if (forks || returns) state.chance = field.step(state.frames, forks);
    const int square[] = {state.x, state.y, 10, 10};
    if (renderer != nullptr) {
      SDL_SetRenderDrawColor(renderer, 0, 0, 100, 255);
      SDL_RenderClear(renderer);
      SDL_SetRenderDrawColor(renderer, 250, 200, 0, 255);
      state.drawn += SDL_RenderFillRect(renderer, square) == 0;
      SDL_RenderPresent(renderer);
    } else if (surface) {
      Surface* to = SDL_GetWindowSurface(window);
      for (int row = 0; row < to->h; ++row)
        for (int column = 0; column < to->w; ++column) {
          const bool in = row >= state.y && row < state.y + 10 && column >= state.x && column < state.x + 10;
          const uint32_t colour = in ? 0xfac800 : 0x000064;
          std::memcpy(static_cast<uint8_t*>(to->pixels) + row * to->pitch + 4 * column, &colour, 4);
        }
      SDL_UpdateWindowSurface(window);
    } else {
      using Colour = void(float, float, float, float);
      using Area = void(int, int, int, int);
      using Mask = void(unsigned);
      const auto colour = reinterpret_cast<Colour*>(SDL_GL_GetProcAddress("glClearColor"));
      const auto area = reinterpret_cast<Area*>(SDL_GL_GetProcAddress("glScissor"));
      const auto enable = reinterpret_cast<Mask*>(SDL_GL_GetProcAddress("glEnable"));
      const auto disable = reinterpret_cast<Mask*>(SDL_GL_GetProcAddress("glDisable"));
      const auto clear = reinterpret_cast<Mask*>(SDL_GL_GetProcAddress("glClear"));
      disable(0x0c11);
      colour(0, 0, 100 / 255.f, 1);
      clear(0x4000);
      enable(0x0c11);
      area(state.x, kHeight - state.y - 10, 10, 10);
      colour(250 / 255.f, 200 / 255.f, 0, 1);
      clear(0x4000);
      SDL_GL_SwapWindow(window);
    }
    if (std::strcmp(way, "busy") != 0) SDL_Delay(10);
  }
  return 0;
}
