#include "hook/bystander.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <new>

namespace frameperfect::hook {

namespace {

constexpr uint64_t kPresent = 1ull << 63, kSwapped = 1ull << 62, kFile = 1ull << 61, kOurs = 1ull << 56;

std::atomic<bool>* forks = nullptr;  // in shared memory: no state takes it back

void note_fork() { forks->store(true, std::memory_order_relaxed); }

// Only system calls, which nothing intercepts: this process has none of the game's other threads, whose locks
// may be held.
[[noreturn]] void stand_by(pid_t parent) {
  syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (syscall(SYS_getppid) != parent) syscall(SYS_exit_group, 0);
  syscall(SYS_setsid);  // a Ctrl-C is not for it
  uint64_t all = ~uint64_t{0};
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, nullptr, sizeof(all));
  if (syscall(SYS_close_range, 0, UINT_MAX, 0) != 0)  // Linux 5.9
    for (int fd = 0; fd < 4096; ++fd) syscall(SYS_close, fd);
  for (;;) syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

uint64_t entry_of(int pagemap, const volatile void* page) {
  uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<uintptr_t>(page) / 4096 * sizeof(entry));
  return pread(pagemap, &entry, sizeof(entry), at) == sizeof(entry) ? entry : kSwapped;
}

}  // namespace

pid_t start_bystander() {
  const auto here = static_cast<pid_t>(syscall(SYS_getpid));
  // No signal at its end, so that the game never waits for it.
  const long made = syscall(SYS_clone, 0, nullptr, nullptr, nullptr, 0);
  if (made == 0) stand_by(here);
  return static_cast<pid_t>(made);
}

bool bystander_tells(int pagemap) {
  // A page of 2 MiB would be written as a whole.
  if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) return false;
  void* made = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return false;
  auto* page = static_cast<volatile uint8_t*>(made);
  *page = 1;
  const pid_t bystander = start_bystander();
  const bool before = written_since(entry_of(pagemap, page), false);
  *page = 2;
  const bool after = written_since(entry_of(pagemap, page), false);
  if (bystander > 0) {
    syscall(SYS_kill, bystander, SIGKILL);
    waitpid(bystander, nullptr, __WALL);
  }
  munmap(made, 4096);
  if (bystander <= 0 || before || !after) return false;
  if (forks == nullptr) {
    void* flag = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (flag == MAP_FAILED || pthread_atfork(nullptr, note_fork, nullptr) != 0) return false;
    forks = new (flag) std::atomic<bool>{false};
  }
  return true;
}

bool written_since(uint64_t entry, bool empty) {
  if ((entry & kSwapped) != 0) return true;
  if ((entry & kPresent) == 0) return !empty;  // given back to the kernel, if it held something
  return (entry & kFile) == 0 && (entry & kOurs) != 0;
}

bool forked() { return forks->exchange(false, std::memory_order_relaxed); }

}  // namespace frameperfect::hook
