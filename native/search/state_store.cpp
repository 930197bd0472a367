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

// A piece is the number of bases, each with its length; the number of states, each with the number of its
// base (from 1; 0: none), its whole length, the length of its difference, and that. Base 1 is the one in
// force.
std::vector<uint8_t> StateStore::pack(std::span<const Id> ids) const {
  std::vector<const Base*> bases{base_.get()};
  for (const Id id : ids) {
    const Base* const base = slots_[id].base.get();
    if (base && std::find(bases.rbegin(), bases.rend(), base) == bases.rend()) bases.push_back(base);
  }
  std::vector<uint8_t> out;
  const auto write = [&out](const void* bytes, size_t size) {
    const auto* const from = static_cast<const uint8_t*>(bytes);
    out.insert(out.end(), from, from + size);
  };
  const auto number = [&write](size_t value) {
    const auto word = static_cast<uint32_t>(value);
    write(&word, sizeof word);
  };
  number(bases.size());
  for (const Base* const base : bases) {
    number(base ? base->bytes.size() : 0);
    if (base) write(base->bytes.data(), base->bytes.size());
  }
  number(ids.size());
  for (const Id id : ids) {
    const Slot& one = slots_[id];
    const auto base = std::find(bases.begin(), bases.end(), one.base.get());
    number(one.base ? static_cast<size_t>(base - bases.begin()) + 1 : 0);
    number(one.whole);
    number(one.size);
    write(one.bytes.get(), one.size);
  }
  return out;
}

std::vector<StateStore::Id> StateStore::unpack(std::span<const uint8_t> packed) {
  const auto take = [&packed](size_t size) {
    if (size > packed.size()) throw std::invalid_argument("the packed states are cut short");
    const auto part = packed.first(size);
    packed = packed.subspan(size);
    return part;
  };
  const auto number = [&take] {
    uint32_t word;
    std::memcpy(&word, take(sizeof word).data(), sizeof word);
    return word;
  };
  std::vector<std::shared_ptr<const Base>> bases(number());
  if (bases.empty()) throw std::invalid_argument("the packed states have no bases");
  for (auto& base : bases) {
    const auto bytes = take(number());
    if (!bytes.empty()) base = std::make_shared<const Base>(bytes, bytes_);
  }
  std::vector<Id> ids(number());
  reserve(ids);
  for (const Id id : ids) {
    Slot& one = slots_[id];
    const uint32_t base = number();
    if (base > bases.size()) throw std::invalid_argument("a packed state without its base");
    one.base = base ? bases[base - 1] : nullptr;
    one.whole = number();
    one.size = number();
    const auto bytes = take(one.size);
    one.bytes = std::make_unique_for_overwrite<uint8_t[]>(one.size);
    std::memcpy(one.bytes.get(), bytes.data(), bytes.size());
    bytes_ += one.size;
  }
  base_ = bases[0];
  return ids;
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
  const auto state = read(id, buffer);
  base_ = state.empty() ? nullptr : std::make_shared<const Base>(state, bytes_);
}

}  // namespace frameperfect::search
