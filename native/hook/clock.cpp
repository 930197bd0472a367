#include "hook/clock.hpp"

#include <sys/time.h>

#include <chrono>

#include "hook/real.hpp"

namespace frameperfect::hook {

int64_t virtual_ns = 1'000'000'000;
int64_t epoch_ns = 1'700'000'000'000'000'000;
bool clock_is_ours = false;

namespace {

int64_t ahead_ns = 0;         // of the machine's clock, while that one is not ours but was
int64_t ahead_of_day_ns = 0;  // the same for the time of day

int64_t real_day_ns() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

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

bool is_time_of_day(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

}  // namespace

void take_clock() {
  virtual_ns = real_ns() + ahead_ns;
  epoch_ns = real_day_ns() + ahead_of_day_ns - virtual_ns;
  clock_is_ours = true;
}

void give_clock_back() {
  clock_is_ours = false;
  ahead_ns = virtual_ns - real_ns();
  ahead_of_day_ns = epoch_ns + virtual_ns - real_day_ns();
}

}  // namespace frameperfect::hook

using frameperfect::hook::ahead_ns;
using frameperfect::hook::ahead_of_day_ns;
using frameperfect::hook::as_timespec;
using frameperfect::hook::clock_is_ours;
using frameperfect::hook::epoch_ns;
using frameperfect::hook::is_time_of_day;
using frameperfect::hook::slept;
using frameperfect::hook::virtual_ns;

namespace std::chrono {
inline namespace _V2 {
FRAMEPERFECT_EXPORT steady_clock::time_point steady_clock::now() noexcept {
  return time_point(duration(clock_is_ours ? virtual_ns : frameperfect::hook::real_ns() + ahead_ns));
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
  if (clock_is_ours && !frameperfect::hook::counts_processor_time(clock)) {
    *out = as_timespec(virtual_ns + (is_time_of_day(clock) ? epoch_ns : 0));
    return 0;
  }
  const long status = syscall(SYS_clock_gettime, clock, out);
  const int64_t ahead = is_time_of_day(clock) ? ahead_of_day_ns : ahead_ns;
  if (status == 0 && ahead != 0 && !frameperfect::hook::counts_processor_time(clock))
    *out = as_timespec(out->tv_sec * 1'000'000'000LL + out->tv_nsec + ahead);
  return static_cast<int>(status);
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
