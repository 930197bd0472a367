// Requests and replies between two processes over shared memory, woken by a futex.
//
// One process is the host and asks; the other is the worker and answers; one request is under way at a time.
// A control block holds a counter for each direction, which is also the word the other side sleeps on
// (futex(2), shared between processes); messages lie behind it in the same block, which grows as needed.
// Counters are written after the message and read before it, sequentially consistent, so everything that one
// side wrote before its message, here or in other shared memory, is seen by the other side after it.
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "channel/process.hpp"
#include "channel/shared_memory.hpp"

namespace frameperfect::channel {

inline constexpr char kMagic[8] = {'F', 'P', 'C', 'H', 'A', 'N', 'N', 'L'};
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kControlSize = 4096;  // messages start on the next page

using Word = std::atomic<uint32_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(uint32_t), "a futex word");

// One direction: how many messages were posted, who sleeps, and the header of the newest.
struct alignas(64) Direction {
  Word posted{0};
  Word sleeping{0};
  uint32_t code = 0;
  uint64_t length = 0;
};

struct Control {
  char magic[8];
  uint32_t version;
  uint32_t host;                      // the host's process id
  std::atomic<uint64_t> capacity{0};  // bytes behind the control block
  Direction requests, replies;
};
static_assert(sizeof(Control) <= kControlSize);

enum class Wait { kReady, kTimeout, kPeerDied, kInterrupted };

struct Message {
  uint32_t code;                   // the host's operation, or the worker's status
  std::span<const uint8_t> bytes;  // valid until this side's next call
};

// Owned by one thread at a time.
class Channel {
 public:
  enum class Role { kHost, kWorker };

  // The block of a new channel, with room for short messages.
  static std::shared_ptr<SharedMemory> new_block() {
    auto memory = std::make_shared<SharedMemory>(kControlSize + kFirstCapacity);
    auto* control = new (memory->mapping()->bytes()) Control;
    std::memcpy(control->magic, kMagic, sizeof(kMagic));
    control->version = kVersion;
    control->host = static_cast<uint32_t>(getpid());
    control->capacity.store(kFirstCapacity);
    return memory;
  }

  // The host's end of a new channel. `fd()` is for the worker to inherit.
  static Channel create() { return Channel(new_block(), Role::kHost); }

  // The worker's end; takes over `fd`. Throws std::runtime_error if it is no channel of this version.
  static Channel attach(int fd) {
    return Channel(std::make_shared<SharedMemory>(SharedMemory::attach(fd)), Role::kWorker);
  }

  // Either end over memory that this process has mapped already.
  Channel(std::shared_ptr<SharedMemory> memory, Role role)
      : memory_(std::move(memory)), base_(memory_->mapping()), role_(role) {
    if (!base_ || base_->size() < kControlSize || std::memcmp(control().magic, kMagic, sizeof(kMagic)) != 0)
      throw std::runtime_error("this descriptor is no frameperfect channel");
    if (control().version != kVersion)
      throw std::runtime_error(
          "the other process speaks another version of the channel; install one frameperfect");
    seen_ = outgoing().posted.load();  // one answer a request: what this side has answered, it has seen
  }

  int fd() const { return memory_->fd(); }
  pid_t host() const { return static_cast<pid_t>(control().host); }

  // From now on a wait ends when this process has ended.
  void watch(pid_t peer) { peer_ = Process(peer); }
  bool peer_alive() const { return peer_.alive(); }

  // Closes the descriptors; only destruction may follow.
  void close() {
    memory_->close();
    peer_ = Process();
  }

  // Post a message. The host does so only when the last request is answered, the worker only to answer.
  void post(uint32_t code, std::span<const uint8_t> bytes) {
    uint8_t* out = messages(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out);
    Direction& way = outgoing();
    way.code = code;
    way.length = bytes.size();
    way.posted.fetch_add(1);
    if (way.sleeping.load() != 0) futex(way.posted, FUTEX_WAKE, INT_MAX, nullptr);
  }

  // Whether the other side's next message is here already.
  bool ready() const { return incoming().posted.load() != seen_; }

  // Wait for the other side's next message. A negative timeout waits until it comes or its sender dies.
  Wait wait(double timeout_seconds) {
    using Clock = std::chrono::steady_clock;
    if (ready()) return Wait::kReady;
    Direction& way = incoming();
    const auto deadline = Clock::now() + std::chrono::duration<double>(std::max(timeout_seconds, 0.0));
    way.sleeping.store(1);
    Wait result = Wait::kReady;
    while (way.posted.load() == seen_) {
      double slice = kLivenessSeconds;
      if (timeout_seconds >= 0)
        slice = std::min(slice, std::chrono::duration<double>(deadline - Clock::now()).count());
      if (slice <= 0) {
        result = sender_died() ? Wait::kPeerDied : Wait::kTimeout;
        break;
      }
      timespec ts{0, static_cast<long>(slice * 1e9)};
      if (futex(way.posted, FUTEX_WAIT, seen_, &ts) == 0 || errno == EAGAIN) continue;
      if (errno == EINTR) {
        result = Wait::kInterrupted;
        break;
      }
      if (errno != ETIMEDOUT) fail("futex");
      if (sender_died()) {
        result = Wait::kPeerDied;
        break;
      }
    }
    way.sleeping.store(0);
    return result;
  }

  // The message that `wait` announced.
  Message take() {
    Direction& way = incoming();
    ++seen_;
    const uint64_t length = way.length;
    if (length > control().capacity.load())
      throw std::runtime_error("the other process wrote a broken message");
    return {way.code, {messages(length), static_cast<size_t>(length)}};
  }

 private:
  static constexpr size_t kFirstCapacity = 60 << 10;
  static constexpr double kLivenessSeconds = 0.1;

  Control& control() const { return *reinterpret_cast<Control*>(base_->bytes()); }
  Direction& incoming() const { return role_ == Role::kHost ? control().replies : control().requests; }
  Direction& outgoing() const { return role_ == Role::kHost ? control().requests : control().replies; }

  // A message posted just before the end counts.
  bool sender_died() const { return !peer_.alive() && incoming().posted.load() == seen_; }

  // The message area with room for `length`; grows it for both sides.
  uint8_t* messages(size_t length) {
    memory_->reserve(kControlSize + length);
    if (length > control().capacity.load()) control().capacity.store(length);
    return memory_->mapping()->bytes() + kControlSize;
  }

  static long futex(Word& word, int operation, uint32_t value, const timespec* timeout) {
    return syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), operation, value, timeout, nullptr, 0);
  }

  std::shared_ptr<SharedMemory> memory_;
  std::shared_ptr<Mapping> base_;  // the control block stays where it was first mapped
  Role role_;
  uint32_t seen_ = 0;
  Process peer_;
};

}  // namespace frameperfect::channel
