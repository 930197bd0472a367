#include "search/state_store.hpp"

#include <algorithm>
#include <cstring>

namespace frameperfect::search {
namespace {

// A difference is runs of (bytes skipped, bytes changed) as uint32 each, then the changed bytes; what lies
// behind the last run is the base's, or zero where the base is shorter. Words are compared; a run goes on
// over an equal word, which costs less than a new run's header.
constexpr size_t kWord = 8;

uint64_t word_at(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

uint8_t* put(uint8_t* out, size_t skipped, std::span<const uint8_t> changed) {
  const uint32_t head[2] = {static_cast<uint32_t>(skipped), static_cast<uint32_t>(changed.size())};
  std::memcpy(out, head, sizeof head);
  std::memcpy(out + sizeof head, changed.data(), changed.size());
  return out + sizeof head + changed.size();
}

size_t most_bytes(size_t size) { return size + 8 * (size / (2 * kWord) + 2); }

// Writes the difference to `out`, which has `most_bytes`; returns how many it has.
size_t difference(std::span<const uint8_t> base, std::span<const uint8_t> state, uint8_t* out) {
  uint8_t* const begin = out;
  const size_t common = std::min(base.size(), state.size()) / kWord * kWord;
  size_t written = 0, at = 0;  // all before `written` is told
  while (at < common) {
    while (at < common && word_at(base.data() + at) == word_at(state.data() + at)) at += kWord;
    if (at == common) break;
    const size_t first = at;
    size_t last = at += kWord;
    while (at < common && at - last <= kWord) {
      const bool differs = word_at(base.data() + at) != word_at(state.data() + at);
      at += kWord;
      if (differs) last = at;
    }
    out = put(out, first - written, state.subspan(first, last - first));
    written = at = last;
  }
  if (common < state.size()) out = put(out, common - written, state.subspan(common));
  return static_cast<size_t>(out - begin);
}

}  // namespace

void StateStore::reserve(std::span<Id> ids) {
  for (Id& id : ids) {
    if (free_.empty()) {
      id = static_cast<Id>(slots_.size());
      slots_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    slots_[id].holders = 1;
    slots_[id].base = base_;
  }
}

void StateStore::fill(Id id, std::span<const uint8_t> state) {
  thread_local std::vector<uint8_t> packed;
  Slot& mine = slots_[id];
  std::span<const uint8_t> base;
  if (mine.base) base = mine.base->bytes;
  packed.resize(std::max(packed.size(), most_bytes(state.size())));
  const size_t size = difference(base, state, packed.data());
  if (bytes_ + size > limit_) {
    throw StoreFull("the states of a search take more than the " + std::to_string(limit_ >> 20) +
                    " MiB that they may; give it more memory");
  }
  mine.bytes = std::make_unique_for_overwrite<uint8_t[]>(size);
  std::memcpy(mine.bytes.get(), packed.data(), size);
  mine.size = static_cast<uint32_t>(size);
  mine.whole = static_cast<uint32_t>(state.size());
  bytes_ += size;
}

std::span<const uint8_t> StateStore::read(Id id, std::vector<uint8_t>& buffer) const {
  const Slot& mine = slots_[id];
  buffer.resize(mine.whole);
  const size_t common = mine.base ? std::min<size_t>(mine.base->bytes.size(), mine.whole) : 0;
  if (common) std::memcpy(buffer.data(), mine.base->bytes.data(), common);
  const uint8_t* in = mine.bytes.get();
  const uint8_t* const end = in + mine.size;
  uint8_t* out = buffer.data();
  while (in < end) {
    uint32_t head[2];
    std::memcpy(head, in, sizeof head);
    out += head[0];
    std::memcpy(out, in + sizeof head, head[1]);
    out += head[1];
    in += sizeof head + head[1];
  }
  return buffer;
}

void StateStore::release(Id id) {
  Slot& mine = slots_[id];
  if (--mine.holders > 0) return;
  bytes_ -= mine.size;
  mine = {};
  free_.push_back(id);
}

void StateStore::rebase(Id id) {
  std::vector<uint8_t> buffer;
  base_ = std::make_shared<const Base>(read(id, buffer), bytes_);
}

}  // namespace frameperfect::search
