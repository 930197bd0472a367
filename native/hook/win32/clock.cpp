#include "hook/win32/clock.hpp"

#include "hook/win32/detour.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

int64_t virtual_ns = 1'000'000'000;
bool clock_is_ours = false;
unsigned long game_thread = 0;
void (*after_sleep)() = nullptr;

namespace {

constexpr int64_t kGlance = 100;  // nanoseconds that a look takes
constexpr int64_t kTick = 100;    // of the system's time of day
constexpr const char* kKernel[] = {"kernelbase", "kernel32", nullptr};
constexpr const char* kNt[] = {"ntdll", nullptr};
constexpr const char* kMultimedia[] = {"winmm", nullptr};

int64_t ahead_ns = 0;    // of the machine's clock, while that one is not ours but was
uint64_t day_ticks = 0;  // the time of day at virtual_ns = 0
int64_t frequency = 0;

decltype(&QueryPerformanceCounter) real_counter = nullptr;
decltype(&SleepEx) real_sleep = nullptr;
decltype(&Sleep) real_plain_sleep = nullptr;
decltype(&GetSystemTimeAsFileTime) real_day = nullptr;

// count * by / per, without more than 64 bits.
int64_t scaled(int64_t count, int64_t by, int64_t per) { return count / per * by + count % per * by / per; }

int64_t counter_ns() {
  LARGE_INTEGER count;
  if (real_counter != nullptr)
    real_counter(&count);
  else
    QueryPerformanceCounter(&count);
  return scaled(count.QuadPart, 1'000'000'000, frequency);
}

// What the game is told.
int64_t now_ns() {
  if (!clock_is_ours) return counter_ns() + ahead_ns;
  if (on_game_thread()) virtual_ns += kGlance;
  return virtual_ns;
}

uint64_t ticks_of(const FILETIME& time) {
  return static_cast<uint64_t>(time.dwHighDateTime) << 32 | time.dwLowDateTime;
}

uint64_t real_day_ticks() {
  FILETIME time;
  (real_day != nullptr ? real_day : GetSystemTimeAsFileTime)(&time);
  return ticks_of(time);
}

FILETIME day() {
  const uint64_t ticks =
      day_ticks != 0 ? day_ticks + static_cast<uint64_t>(now_ns() / kTick) : real_day_ticks();
  return {static_cast<DWORD>(ticks), static_cast<DWORD>(ticks >> 32)};
}

BOOL WINAPI our_counter(LARGE_INTEGER* out) {
  out->QuadPart = scaled(now_ns(), frequency, 1'000'000'000);
  return TRUE;
}
DWORD WINAPI our_milliseconds() { return static_cast<DWORD>(now_ns() / 1'000'000); }
ULONGLONG WINAPI our_milliseconds64() { return static_cast<ULONGLONG>(now_ns() / 1'000'000); }
void WINAPI our_file_time(FILETIME* out) { *out = day(); }
void WINAPI our_system_time(SYSTEMTIME* out) {
  const FILETIME time = day();
  FileTimeToSystemTime(&time, out);
}
void WINAPI our_local_time(SYSTEMTIME* out) { our_system_time(out); }  // in a zone without an offset

bool slept(DWORD milliseconds) {
  if (!clock_is_ours || milliseconds == INFINITE || !on_game_thread()) return false;
  virtual_ns += milliseconds * 1'000'000LL;
  return true;
}

DWORD WINAPI our_sleep_ex(DWORD milliseconds, BOOL alertable) {
  if (!slept(milliseconds)) return real_sleep(milliseconds, alertable);
  if (after_sleep != nullptr)
    after_sleep();
  else
    real_sleep(0, alertable);  // another thread may have to do something first
  return 0;
}
void WINAPI our_sleep(DWORD milliseconds) { our_sleep_ex(milliseconds, FALSE); }

template <typename Function>
void* as_pointer(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

bool on_game_thread() { return game_thread == 0 || GetCurrentThreadId() == game_thread; }

int64_t real_ns() { return counter_ns(); }

const char* take_time_functions() {
  LARGE_INTEGER rate;
  QueryPerformanceFrequency(&rate);
  frequency = rate.QuadPart;
  LoadLibraryA("winmm");
  const struct {
    const char* const* libraries;
    const char* name;
    void* ours;
    void** behind;
  } all[] = {
      {kKernel, "SleepEx", as_pointer(our_sleep_ex), reinterpret_cast<void**>(&real_sleep)},
      {kKernel, "Sleep", as_pointer(our_sleep), reinterpret_cast<void**>(&real_plain_sleep)},
      {kNt, "RtlQueryPerformanceCounter", as_pointer(our_counter), reinterpret_cast<void**>(&real_counter)},
      {kKernel, "QueryPerformanceCounter", as_pointer(our_counter), reinterpret_cast<void**>(&real_counter)},
      {kKernel, "GetTickCount", as_pointer(our_milliseconds), nullptr},
      {kKernel, "GetTickCount64", as_pointer(our_milliseconds64), nullptr},
      {kMultimedia, "timeGetTime", as_pointer(our_milliseconds), nullptr},
      {kKernel, "GetSystemTimeAsFileTime", as_pointer(our_file_time), reinterpret_cast<void**>(&real_day)},
      {kKernel, "GetSystemTimePreciseAsFileTime", as_pointer(our_file_time), nullptr},
      {kKernel, "GetSystemTime", as_pointer(our_system_time), nullptr},
      {kKernel, "GetLocalTime", as_pointer(our_local_time), nullptr},
  };
  for (const auto& one : all)
    if (!lead(one.libraries, one.name, one.ours, one.behind)) return one.name;
  return nullptr;
}

void take_clock(bool invented) {
  if (invented) {
    day_ticks = 133'444'736'000'000'000ULL;  // 14 November 2023, 22:13:20
  } else {
    virtual_ns = counter_ns() + ahead_ns;
    day_ticks = real_day_ticks() - static_cast<uint64_t>(virtual_ns / kTick);
  }
  clock_is_ours = true;
}

void give_clock_back() {
  clock_is_ours = false;
  ahead_ns = virtual_ns - counter_ns();
}

}  // namespace frameperfect::hook
