// Machine states by number, within a bound of memory.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

namespace frameperfect::search {

// The states would take more memory than they may.
struct StoreFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// States of one machine differ in few places, so each is kept as its difference from a base state: the runs
// of bytes that changed. A base is a whole state that others were kept against; it goes with the last of
// them.
//
// All but `fill` and `read` belong to one thread. `fill` and `read` may run on many
// threads at once, on different ids for `fill`, on filled ones for `read`.
class StateStore {
 public:
  using Id = uint32_t;

  explicit StateStore(size_t limit_bytes) : limit_(limit_bytes) {}
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // Ids for so many states, each empty and held once.
  void reserve(std::span<Id> ids);
  // Keep `state` under a reserved id. Throws StoreFull; the id then stays empty.
  void fill(Id id, std::span<const uint8_t> state);
  // The state, valid until the next `read` into the same buffer.
  std::span<const uint8_t> read(Id id, std::vector<uint8_t>& buffer) const;

  void hold(Id id) { slots_[id].holders++; }
  void release(Id id);
  bool holds(Id id) const { return id < slots_.size() && slots_[id].holders > 0; }

  // States filled from now on are kept against this one.
  void rebase(Id id);

  // The states as one piece, and the base that is in force: what `unpack` of an empty store takes to give
  // them back, held once each. Throws std::invalid_argument where the piece is damaged.
  std::vector<uint8_t> pack(std::span<const Id> ids) const;
  std::vector<Id> unpack(std::span<const uint8_t> packed);

  size_t count() const { return slots_.size() - free_.size(); }
  // What one state takes, its base left out.
  size_t bytes_of(Id id) const { return sizeof(Slot) + slots_[id].size; }
  size_t bytes() const { return bytes_; }  // of the states and their bases

 private:
  struct Base {
    std::vector<uint8_t> bytes;
    std::atomic<size_t>& total;
    Base(std::span<const uint8_t> state, std::atomic<size_t>& counted)
        : bytes(state.begin(), state.end()), total(counted) {
      total += bytes.size();
    }
    ~Base() { total -= bytes.size(); }
  };
  struct Slot {
    std::unique_ptr<uint8_t[]> bytes;  // the difference from `base`
    uint32_t size = 0, whole = 0;
    uint32_t holders = 0;
    std::shared_ptr<const Base> base;
  };

  const size_t limit_;
  std::atomic<size_t> bytes_{0};
  std::deque<Slot> slots_;  // stays in place as it grows
  std::vector<Id> free_;
  std::shared_ptr<const Base> base_;
};

}  // namespace frameperfect::search
