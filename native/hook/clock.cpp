#include "hook/clock.hpp"

#include <sys/time.h>

#include <chrono>

#include "hook/real.hpp"

namespace frameperfect::hook {

int64_t virtual_ns = 1'000'000'000;
bool clock_is_ours = false;

namespace {

// Sleeping on the game's own thread only moves the clock.
bool slept(int64_t ns) {
  if (!clock_is_ours || !on_main_thread()) return false;
  virtual_ns += ns;
  return true;
}

timespec as_timespec(int64_t ns) { return {ns / 1'000'000'000, ns % 1'000'000'000}; }

bool counts_processor_time(clockid_t clock) {
  return clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

}  // namespace
}  // namespace frameperfect::hook

using frameperfect::hook::as_timespec;
using frameperfect::hook::clock_is_ours;
using frameperfect::hook::kEpochSeconds;
using frameperfect::hook::slept;
using frameperfect::hook::virtual_ns;

namespace std::chrono {
inline namespace _V2 {
FRAMEPERFECT_EXPORT steady_clock::time_point steady_clock::now() noexcept {
  return time_point(duration(clock_is_ours ? virtual_ns : frameperfect::hook::real_ns()));
}
FRAMEPERFECT_EXPORT system_clock::time_point system_clock::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return time_point(duration_cast<duration>(nanoseconds(now.tv_sec * 1'000'000'000LL + now.tv_nsec)));
}
}  // namespace _V2
}  // namespace std::chrono

extern "C" {

FRAMEPERFECT_EXPORT int clock_gettime(clockid_t clock, timespec* out) noexcept {
  if (!clock_is_ours || frameperfect::hook::counts_processor_time(clock))
    return static_cast<int>(syscall(SYS_clock_gettime, clock, out));
  *out = as_timespec(virtual_ns);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) out->tv_sec += kEpochSeconds;
  return 0;
}

FRAMEPERFECT_EXPORT int gettimeofday(timeval* out, void*) noexcept {
  timespec now{};
  const int status = clock_gettime(CLOCK_REALTIME, &now);
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return status;
}

FRAMEPERFECT_EXPORT time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

FRAMEPERFECT_EXPORT int nanosleep(const timespec* asked, timespec* left) {
  if (slept(asked->tv_sec * 1'000'000'000LL + asked->tv_nsec)) return 0;
  return REAL(nanosleep)(asked, left);
}

FRAMEPERFECT_EXPORT int usleep(useconds_t us) { return slept(us * 1000LL) ? 0 : REAL(usleep)(us); }

FRAMEPERFECT_EXPORT unsigned int sleep(unsigned int seconds) {
  return slept(seconds * 1'000'000'000LL) ? 0 : REAL(sleep)(seconds);
}

}  // extern "C"
