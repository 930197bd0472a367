// A small game for Windows, to test the hook with: a runner with gravity and a jump on uneven ground. All
// that it has is behind two pointers; where the first of them lies differs between its builds (BUILD), as in
// real games. Usage: racer messages|sleep|swap [real seconds]: how its loop waits for the next frame; how
// long it lives at most.
#define _CRT_RAND_S
#include <windows.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

struct Entity {  // has virtual functions, so it can be found by the name of its class
  virtual ~Entity() = default;
  virtual void update(double seconds) = 0;
};

struct Runner : Entity {
  double x = 0, y = 0, vx = 0, vy = 0;
  int grounded = 1, jumps = 0, keys_down = 0, keys_up = 0, heard = 0;
  unsigned frames = 0, luck = 0;
  unsigned long long milliseconds = 0, counted = 0, file_time = 0;
  void update(double seconds) override;
};

struct Scene {
  char name[24] = "first";
  Runner* runner = nullptr;
};

struct App {
  void* unused[3] = {};
  Scene* scene = nullptr;
};

#if BUILD == 2
char moved[4321 * 16] = {1};  // what the other build does not have
#endif

App* app = nullptr;

namespace {

// Every frame the game asks for what it has; these bytes of its code are what a pattern looks for.
__attribute__((noinline)) App* the_app() {
  App* found;
#ifdef _WIN64
  asm volatile("movl $0x5eed600d, %%ecx\n\tmovq app(%%rip), %0" : "=a"(found) : : "ecx");
#else
  asm volatile("movl $0x5eed600d, %%ecx\n\tmovl _app, %0" : "=a"(found) : : "ecx");
#endif
  return found;
}

bool held(int key) { return (GetAsyncKeyState(key) & 0x8000) != 0; }

double ground_at(double x) { return 20 * ((static_cast<long>(x) / 64) % 3); }

}  // namespace

void Runner::update(double seconds) {
  const double steer = (held(VK_RIGHT) ? 1.0 : 0.0) - (held(VK_LEFT) ? 1.0 : 0.0);
  vx += (steer * 240 - vx) * 8 * seconds;
  if (grounded && (GetKeyState(VK_SPACE) & 0x8000) != 0) {
    vy = 320;
    grounded = 0;
    ++jumps;
  }
  vy -= 800 * seconds;
  x += vx * seconds;
  y += vy * seconds;
  if (y <= ground_at(x)) {
    y = ground_at(x);
    vy = 0;
    grounded = 1;
  }
}

namespace {

LRESULT CALLBACK on_message(HWND window, UINT message, WPARAM first, LPARAM second) {
  Runner& runner = *the_app()->scene->runner;
  if (message == WM_KEYDOWN) ++runner.keys_down, runner.heard = static_cast<int>(first);
  if (message == WM_KEYUP) ++runner.keys_up;
  return DefWindowProcA(window, message, first, second);
}

double counter_seconds() {
  LARGE_INTEGER count, rate;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&rate);
  return static_cast<double>(count.QuadPart) / static_cast<double>(rate.QuadPart);
}

void take_messages() {
  MSG message;
  while (PeekMessageA(&message, nullptr, 0, 0, PM_REMOVE)) {
    TranslateMessage(&message);
    DispatchMessageA(&message);
  }
}

}  // namespace

int main(int count, char** words) {
  const char* loop = count > 1 ? words[1] : "messages";
  if (std::strcmp(loop, "crash") == 0) *reinterpret_cast<volatile int*>(4) = 1;
  if (std::strcmp(loop, "leave") == 0) return std::fprintf(stderr, "nothing to play\n"), 7;
#if BUILD == 2
  moved[0] = static_cast<char>(count);
#endif
  app = new App;
  app->scene = new Scene;
  app->scene->runner = new Runner;
  Runner& runner = *app->scene->runner;
  rand_s(&runner.luck);

  WNDCLASSA kind{};
  kind.lpfnWndProc = on_message;
  kind.lpszClassName = "racer";
  RegisterClassA(&kind);
  CreateWindowExA(0, "racer", "racer", 0, 0, 0, 64, 64, HWND_MESSAGE, nullptr, nullptr, nullptr);

  std::puts("it runs");
  std::fflush(stdout);

  const double life = count > 2 ? std::atof(words[2]) : 600;
  const double begun = counter_seconds();
  for (double before = begun; before - begun < life;) {
    take_messages();
    if (std::strcmp(loop, "sleep") == 0) Sleep(16);
    if (std::strcmp(loop, "swap") == 0) SwapBuffers(nullptr);
    double now = counter_seconds();
    while (now - before < 0.004) now = counter_seconds();  // no faster than 250 frames a second
    Runner& player = *the_app()->scene->runner;
    player.update(now - before);
    ++player.frames;
    player.milliseconds = GetTickCount64();
    player.counted = static_cast<unsigned long long>((now - begun) * 1e6);
    FILETIME day;
    GetSystemTimeAsFileTime(&day);
    player.file_time = static_cast<unsigned long long>(day.dwHighDateTime) << 32 | day.dwLowDateTime;
    before = now;
  }
  return 0;
}
