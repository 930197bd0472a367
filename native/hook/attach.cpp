#include "hook/attach.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/network.hpp"
#include "hook/real.hpp"
#include "hook/rebind.hpp"

namespace frameperfect::hook {

namespace {

struct Guest {
  Host host;
  int players;
  cpu_set_t processors;  // that the game had
};

std::atomic<Guest*> arriving = nullptr;  // set on the thread that the host lent us, taken by the game's own
std::atomic<bool> busy = false;
Guest* guest = nullptr;

// Another process' descriptor as one of ours.
int borrow(int process, int descriptor) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/fd/%d", process, descriptor);
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("the host's memory can't be opened");
  return fd;
}

void let_in(const char* told) {
  unsigned version = 0;
  int process = 0, channel = -1, views = -1, players = 0;
  const int read = std::sscanf(told, "%u:%d:%d:%d:%d", &version, &process, &channel, &views, &players);
  if (read < 1 || version != kHookVersion)
    throw std::runtime_error("the game has a hook of version " + std::to_string(kHookVersion) +
                             " in it and frameperfect asks for " + std::to_string(version) +
                             "; run `make build`, and restart the game");
  if (read != 5 || players < 1 || players > kMaxPlayers)
    throw std::runtime_error("what the host asks for is damaged");
  Host met{channel::Channel::attach(borrow(process, channel)),
           channel::SharedMemory::attach(borrow(process, views)), States::make(), true};
  if (!met.views.mapping() || met.views.mapping()->size() < kViewsSize)
    throw std::runtime_error("the views are too small");
  met.channel.watch(process);
  if (host != nullptr || busy.exchange(true)) throw std::runtime_error("another frameperfect plays it");
  try {
    rebind_program();
    arriving = new (shared_pages(sizeof(Guest))) Guest{std::move(met), players, {}};
  } catch (...) {
    busy = false;
    throw;
  }
  wake_game();  // an empty server waits long
}

}  // namespace

void arrive() {
  if (arriving.load(std::memory_order_relaxed) == nullptr) return;
  guest = arriving.exchange(nullptr);
  host = &guest->host;
  network.players = guest->players;
  network.open = true;
  sched_getaffinity(0, sizeof(guest->processors), &guest->processors);
  take_clock();
  watch_host();
}

void depart() {
  unwatch_host();
  host = nullptr;
  sched_setaffinity(0, sizeof(guest->processors), &guest->processors);
  guest->~Guest();
  munmap(guest, sizeof(Guest));
  guest = nullptr;
  busy = false;
}

}  // namespace frameperfect::hook

// See protocol.hpp.
extern "C" FRAMEPERFECT_EXPORT const char* FRAMEPERFECT_ATTACH(const char* told) {
  static char why[256];
  try {
    frameperfect::hook::let_in(told);
    return nullptr;
  } catch (const std::exception& wrong) {
    std::snprintf(why, sizeof(why), "%s", wrong.what());
    return why;
  }
}
