#include "hook/host.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "hook/clock.hpp"
#include "hook/network.hpp"

namespace frameperfect::hook {

Host* host = nullptr;

static constexpr double kLookUp = 0.05;  // seconds between looks at Status.let_go while the host asks nothing

void give_up(const char* why) {
  std::fprintf(stderr, "frameperfect: %s\n", why);
  std::fflush(stderr);
  _exit(3);
}

std::optional<channel::Message> Host::wait() {
  for (;;) {
    switch (channel.wait(guest ? kLookUp : -1)) {
      case channel::Wait::kReady:
        return channel.take();
      case channel::Wait::kPeerDied:
        if (!guest) _exit(0);
        status().let_go = kLeave;
        [[fallthrough]];
      default:
        if (guest && status().let_go != kStay) return std::nullopt;
    }
  }
}

void Host::answer(std::span<const uint8_t> bytes) { channel.post(kOk, bytes); }

void Host::refuse(const char* why) {
  channel.post(kError, {reinterpret_cast<const uint8_t*>(why), std::strlen(why)});
}

// Also a game that never comes to the end of its frame goes with its host, or is let go: a timer looks twice
// a second. (The kernel's own signal at a parent's death comes when the parent's *thread* ends.)
static timer_t watch_timer;

static int watch_signal() {
  struct sigaction action{};
  action.sa_handler = [](int) {
    if (host == nullptr || host->channel.peer_alive()) return;
    if (!host->guest) _exit(0);
    host->status().let_go = kLeave;
  };
  action.sa_flags = SA_RESTART;
  const int number = SIGRTMAX - 1;
  sigaction(number, &action, nullptr);
  return number;
}

void watch_host() {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = watch_signal();
  event._sigev_un._tid = getpid();
  const itimerspec every{{0, 500'000'000}, {0, 500'000'000}};
  if (timer_create(CLOCK_MONOTONIC, &event, &watch_timer) != 0 ||
      timer_settime(watch_timer, 0, &every, nullptr) != 0)
    give_up("no timer to watch the host by");
}

void wake_game() { syscall(SYS_tgkill, getpid(), getpid(), watch_signal()); }

void unwatch_host() { timer_delete(watch_timer); }

namespace {

// Room for the heap to stay where it is once states are taken.
void settle_heap() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
}

__attribute__((constructor)) void begin() {
  const char* given = std::getenv(kVariable);
  if (given == nullptr) return;
  unsigned version = 0;
  int channel_fd = -1, views_fd = -1, players = 0, open = 0;
  const int read = std::sscanf(given, "%u:%d:%d:%d:%d", &version, &channel_fd, &views_fd, &players, &open);
  if (read < 1 || version != kHookVersion) {
    char why[120];
    std::snprintf(why, sizeof(why), "the hook is version %u and frameperfect asks for %u; run `make build`",
                  kHookVersion, version);
    give_up(why);
  }
  if (read != 5 || players < 1 || players > kMaxPlayers) give_up("FRAMEPERFECT_HOOK is damaged");
  settle_heap();
  unsetenv("LD_PRELOAD");  // what the game starts is not hooked
  unsetenv(kVariable);
  try {
    host = new (shared_pages(sizeof(Host))) Host{
        channel::Channel::attach(channel_fd), channel::SharedMemory::attach(views_fd), States::make(), false};
    host->channel.watch(host->channel.host());
    if (!host->views.mapping() || host->views.mapping()->size() < kViewsSize)
      give_up("the views are too small");
  } catch (const std::exception& wrong) {
    give_up(wrong.what());
  }
  watch_host();
  network.players = players;
  network.open = open != 0;
  clock_is_ours = true;
}

}  // namespace
}  // namespace frameperfect::hook
