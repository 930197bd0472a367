// The clock that the game sees: it stands still while a frame is computed and goes on by what the game asks
// to sleep between frames, however long the host takes.
#pragma once
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

namespace frameperfect::hook {

extern int64_t virtual_ns;  // since an invented start of the machine
extern int64_t epoch_ns;    // what the time of day is at virtual_ns = 0
extern bool clock_is_ours;  // set once the hook has its host

// Take the clock of a game that already runs, and give it back: to the game no time is lost or gained by
// either.
void take_clock();
void give_clock_back();

// The kernel's clock, around all that is interposed.
inline int64_t real_ns() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The thread that runs the game; others sleep in real time.
inline bool on_main_thread() {
  static thread_local const bool main = syscall(SYS_gettid) == getpid();
  return main;
}

}  // namespace frameperfect::hook
