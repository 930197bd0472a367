// Watching another process: a pidfd (pidfd_open(2), Linux 5.3) becomes readable when the process ends, even
// while it is a zombie, and never means another process that got the same number.
#pragma once
#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "channel/shared_memory.hpp"

namespace frameperfect::channel {

// Owns the pidfd. `alive` may be called from any thread.
class Process {
 public:
  Process() = default;
  explicit Process(pid_t pid) : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {
    if (fd_ < 0 && errno != ESRCH) fail("pidfd_open");
    gone_ = fd_ < 0;
  }
  Process(Process&& other) noexcept : fd_(std::exchange(other.fd_, -1)), gone_(other.gone_) {}
  Process& operator=(Process&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(gone_, other.gone_);
    return *this;
  }
  ~Process() {
    if (fd_ >= 0) ::close(fd_);
  }

  // True also while no process is watched.
  bool alive() const {
    if (fd_ < 0) return !gone_;
    pollfd watched{fd_, POLLIN, 0};
    return poll(&watched, 1, 0) <= 0;  // an interrupted look says nothing yet
  }

  void wait() const {
    pollfd watched{fd_, POLLIN, 0};
    while (fd_ >= 0 && poll(&watched, 1, -1) < 0 && errno == EINTR) {
    }
  }

 private:
  int fd_ = -1;
  bool gone_ = false;
};

// End this process as soon as `parent` has ended, whatever it is doing then. A thread of its own, because
// PR_SET_PDEATHSIG fires when the parent's *thread* that started us ends, which may be long before.
inline void end_with_parent(pid_t parent) {
  Process watched(parent);
  if (getppid() != parent) _exit(1);  // it ended before we looked
  std::thread([watched = std::move(watched)] {
    watched.wait();
    _exit(1);
  }).detach();
}

}  // namespace frameperfect::channel
