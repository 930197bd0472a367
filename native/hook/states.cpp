#include "hook/states.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "hook/bystander.hpp"
#include "hook/clock.hpp"

namespace frameperfect::hook {

namespace {

// Linux 6.7's, by hand for older headers (include/uapi/linux/fs.h, userfaultfd.h).
struct PageRegion {
  uint64_t start, end, categories;
};
struct PagemapScan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);
constexpr uint64_t kPageIsWritten = 1 << 1, kPageIsPresent = 1 << 3, kPageIsSwapped = 1 << 4;
constexpr uint64_t kWpUnpopulated = 1 << 13, kWpAsync = 1 << 15;  // UFFD_FEATURE_*

constexpr size_t kStackSize = 256 << 10;
constexpr size_t kSpareHeap = 48 << 20;

States* the_states = nullptr;  // for the entry of another stack; the same at every moment of the process
jmp_buf here;                  // in the memory that states cover: each slot brings its own

// Calls `each(name)` for the threads of this process but this one, without allocating memory.
template <typename Each>
int for_other_tasks(Each&& each) {
  struct Entry {
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[1];
  };
  const int folder = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const long self = syscall(SYS_gettid);
  alignas(8) char buffer[4096];
  int count = 0;
  long read;
  while ((read = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0) {
    for (long at = 0; at < read;) {
      const char* entry = buffer + at;
      unsigned short length;
      std::memcpy(&length, entry + offsetof(Entry, length), sizeof(length));
      const char* name = entry + offsetof(Entry, name);
      if (name[0] != '.' && std::atol(name) != self) {
        ++count;
        each(name);
      }
      at += length;
    }
  }
  ::close(folder);
  return count;
}

uint64_t word_at(const uint8_t* page, size_t index) {
  uint64_t word;
  std::memcpy(&word, page + index * sizeof(word), sizeof(word));
  return word;
}

bool others_asleep(int* count) {
  bool asleep = true;
  *count = for_other_tasks([&](const char* task) {
    char path[64], stat[128];
    std::snprintf(path, sizeof(path), "/proc/self/task/%s/stat", task);
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = ::read(fd, stat, sizeof(stat) - 1);
    ::close(fd);
    stat[size > 0 ? size : 0] = 0;
    const char* after = std::strrchr(stat, ')');  // the name may hold anything
    asleep = asleep && after != nullptr && after[1] == ' ' && after[2] == 'S';
  });
  return asleep;
}

constexpr int64_t kPatience = 30'000'000'000;  // a thread that sleeps soon may wait for a processor first

// Threads besides this one, once all sleep.
int quiet_tasks() {
  int count = 0;
  const int64_t began = real_ns();
  while (!others_asleep(&count)) {
    if (real_ns() - began > kPatience)
      throw std::runtime_error("another thread of the game is busy, so its state can't be told now");
    const timespec moment{0, 200'000};
    syscall(SYS_nanosleep, &moment, nullptr);
  }
  return count;
}

}  // namespace

void* shared_pages(size_t size) {
  void* pages =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::runtime_error("no memory for states of the game");
  return pages;
}

States* States::make() {
  auto* states = static_cast<States*>(shared_pages(sizeof(States)));
  states->pagemap_ = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  states->other_stack_ = static_cast<uint8_t*>(shared_pages(kStackSize));
  states->userfault_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kWpUnpopulated | kWpAsync;
  PagemapScan nothing{};
  nothing.size = sizeof(nothing);
  nothing.category_mask = nothing.return_mask = kPageIsWritten;
  const bool can = states->userfault_ >= 0 && ioctl(states->userfault_, UFFDIO_API, &api) == 0 &&
                   ioctl(states->pagemap_, kPagemapScan, &nothing) == 0;
  const char* told = std::getenv("FRAMEPERFECT_HOOK_TRACKING");
  const std::string asked = told == nullptr ? "" : told;
  if (can && asked.empty())
    states->tracking_ = Tracking::kWriteProtect;
  else if (asked != "compare" && bystander_tells(states->pagemap_))
    states->tracking_ = Tracking::kFork;
  the_states = states;
  return states;
}

// -- the base --------------------------------------------------------------------------------------------

void States::find_segments(Segment* out, size_t& count) const {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  if (maps == nullptr) throw std::runtime_error("/proc/self/maps can't be read, so there are no states");
  static char line[4096];
  count = 0;
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long start, end, inode;
    char access[5];
    if (std::sscanf(line, "%lx-%lx %4s %*x %*s %lu", &start, &end, access, &inode) != 4) continue;
    if (access[0] != 'r' || access[1] != 'w' || access[3] != 'p') continue;
    if (count == kMaxSegments) {
      std::fclose(maps);
      throw std::runtime_error("the game has more mappings than a state can hold");
    }
    out[count++] = {reinterpret_cast<uint8_t*>(start), end - start, inode != 0, nullptr, 0};
  }
  std::fclose(maps);
}

void States::take_base() {
  // Room for what the game allocates from now on, so that its heap ends where it ends.
  void* volatile spare = std::malloc(kSpareHeap);
  std::free(spare);
  // Once without use: what reading the list allocates is then there.
  size_t count;
  find_segments(segment_, count);
  find_segments(segment_, segments_);
  tracked_ = 0;
  for (size_t i = 0; i < segments_; ++i) {
    segment_[i].first = tracked_ / kPage;
    tracked_ += segment_[i].size;
  }
  is_hot_ = static_cast<uint8_t*>(shared_pages(tracked_ / kPage + 1));
  for (size_t i = 0; i < segments_; ++i)
    segment_[i].base = static_cast<uint8_t*>(shared_pages(segment_[i].size));
  tasks_ = quiet_tasks();
  heap_end_ = reinterpret_cast<uintptr_t>(sbrk(0));
  touched_ = static_cast<uint8_t*>(shared_pages(tracked_ / kPage + 1));
  for (size_t i = 0; i < segments_; ++i)
    for (size_t page = 0; page < segment_[i].size / kPage; page += kLook)
      find_touched(segment_[i], page, touched_ + segment_[i].first + page);
  find_ranges();
  if (tracking_ == Tracking::kWriteProtect && !protect()) tracking_ = Tracking::kCompare;
  if (tracking_ == Tracking::kFork && start_bystander() < 0) tracking_ = Tracking::kCompare;
  word_ = static_cast<uint16_t*>(shared_pages((tracked_ / kPage + 1) * sizeof(uint16_t)));
  for (size_t i = 0; i < segments_; ++i) {
    const Segment& segment = segment_[i];
    for (size_t page = 0; page < segment.size / kPage; ++page) {
      if (touched_[segment.first + page] == 0) continue;
      std::memcpy(segment.base + page * kPage, segment.start + page * kPage, kPage);
      find_word(segment.first + page, segment.base + page * kPage);
    }
  }
  based_ = true;
}

// Looked for at another place in every page: words at the same place of all would share a corner of the
// cache.
void States::find_word(size_t page, const uint8_t* base) {
  constexpr size_t kWords = kPage / sizeof(uint64_t);
  word_[page] = kNoWord;
  for (size_t i = 0; i < kWords && word_[page] == kNoWord; ++i) {
    const size_t word = (i + 8 * page) % kWords;
    if (word_at(base, word) != 0) word_[page] = static_cast<uint16_t>(word);
  }
}

void States::find_ranges() {
  ranges_ = 0;
  for (size_t i = 0; i < segments_; ++i) {
    const size_t pages = segment_[i].size / kPage;
    const uint8_t* touched = touched_ + segment_[i].first;
    const auto add = [&](size_t first, size_t end, bool full) {
      if (first < end) range_[ranges_++] = {&segment_[i], first, end - first, full};
    };
    for (size_t at = 0; at < pages;) {
      size_t begin = at;
      while (begin < pages && touched[begin] == 0) ++begin;
      // The last ones that there is room for are taken for full: that is slower, and no less exact.
      const bool last = ranges_ + 2 * (kMaxSegments - i) >= kMaxRanges;
      if (last) begin = at;
      size_t end = last ? pages : begin, gap = 0;
      for (size_t page = end; page < pages && gap < kGap; ++page) {
        gap = touched[page] == 0 ? gap + 1 : 0;
        if (gap == 0) end = page + 1;
      }
      add(at, begin, false);
      add(begin, end, true);
      at = end;
    }
  }
}

// Full ranges alone: in an empty one whatever is there was written.
bool States::protect() {
  for (size_t i = 0; i < segments_; ++i) {
    const Segment& segment = segment_[i];
    uffdio_register watch{};
    watch.range = {reinterpret_cast<uint64_t>(segment.start), segment.size};
    watch.mode = UFFDIO_REGISTER_MODE_WP;
    if (ioctl(userfault_, UFFDIO_REGISTER, &watch) != 0) return false;
  }
  for (size_t i = 0; i < ranges_; ++i) {
    const Range& range = range_[i];
    if (!range.full) continue;
    uffdio_writeprotect guard{};
    guard.range = {reinterpret_cast<uint64_t>(range.segment->start + range.first * kPage),
                   range.count * kPage};
    guard.mode = UFFDIO_WRITEPROTECT_MODE_WP;
    if (ioctl(userfault_, UFFDIO_WRITEPROTECT, &guard) != 0) return false;
  }
  return true;
}

// Anonymous memory that was never touched is zero, and so is a base nobody wrote to: most of a spare heap and
// of the threads' stacks. To be asked before pages are protected, which leaves a mark on untouched ones.
// Of at most kLook pages from `first` on; returns of how many.
size_t States::find_touched(const Segment& segment, size_t first, uint8_t* touched) const {
  constexpr uint64_t kPresent = 1ull << 63, kSwapped = 1ull << 62;
  const size_t count = std::min(segment.size / kPage - first, kLook);
  const auto* here = reinterpret_cast<const uint8_t*>(&count);  // our own stack grows on meanwhile
  const bool whole = segment.file || (segment.start <= here && here < segment.start + segment.size);
  uint64_t entries[kLook];
  const bool known = !whole && read_pagemap(segment, first, count, entries);
  for (size_t i = 0; i < count; ++i) touched[i] = !known || (entries[i] & (kPresent | kSwapped)) != 0;
  return count;
}

bool States::read_pagemap(const Segment& segment, size_t first, size_t count, uint64_t* entries) const {
  const size_t size = count * sizeof(uint64_t);
  const size_t at = (reinterpret_cast<uintptr_t>(segment.start) / kPage + first) * sizeof(uint64_t);
  return pread(pagemap_, entries, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
}

void States::check_shape() const {
  if (quiet_tasks() != tasks_)
    throw std::runtime_error("the game started or ended a thread since its first state");
  if (reinterpret_cast<uintptr_t>(sbrk(0)) != heap_end_)
    throw std::runtime_error("the game's heap has grown since its first state");
}

// -- pages that were written -----------------------------------------------------------------------------

void States::mark(const Segment& segment, size_t page) {
  if (is_hot_[segment.first + page] != 0) return;
  if (hot_ == kMaxHot) throw std::runtime_error("the game has written more memory than a state can hold");
  is_hot_[segment.first + page] = 1;
  page_[hot_++] = {segment.start + page * kPage, segment.base + page * kPage};
}

void States::scan(const Range& range) {
  const Segment& segment = *range.segment;
  PageRegion regions[256];
  uint64_t at = reinterpret_cast<uint64_t>(segment.start + range.first * kPage);
  const uint64_t end = at + range.count * kPage;
  while (at < end) {
    PagemapScan ask{};
    ask.size = sizeof(ask);
    ask.start = at;
    ask.end = end;
    ask.vec = reinterpret_cast<uint64_t>(regions);
    ask.vec_len = 256;
    ask.category_mask = ask.return_mask = kPageIsWritten;
    if (!range.full) ask.category_anyof_mask = kPageIsPresent | kPageIsSwapped;
    const int found = ioctl(pagemap_, kPagemapScan, &ask);
    if (found < 0) throw std::runtime_error("the kernel did not say which pages were written");
    for (int i = 0; i < found; ++i)
      for (uint64_t page = regions[i].start; page < regions[i].end; page += kPage)
        mark(segment, (page - reinterpret_cast<uint64_t>(segment.start)) / kPage);
    at = ask.walk_end;
  }
}

void States::compare(const Segment& segment) {
  uint8_t touched[kLook];
  for (size_t first = 0; first < segment.size / kPage; first += kLook) {
    const size_t count = find_touched(segment, first, touched);
    for (size_t page = first; page < first + count; ++page) {
      if (touched[page - first] == 0 && touched_[segment.first + page] == 0) continue;
      if (is_hot_[segment.first + page] == 0 &&
          std::memcmp(segment.start + page * kPage, segment.base + page * kPage, kPage) != 0)
        mark(segment, page);
    }
  }
}

void States::ask_pagemap(const Segment& segment) {
  uint64_t entries[kLook];
  for (size_t first = 0; first < segment.size / kPage; first += kLook) {
    const size_t count = std::min(segment.size / kPage - first, kLook);
    if (!read_pagemap(segment, first, count, entries))
      throw std::runtime_error("the kernel did not say which pages were written");
    for (size_t i = 0; i < count; ++i) {
      const size_t page = first + i;
      const bool empty = touched_[segment.first + page] == 0;
      const uint16_t word = empty ? kNoWord : word_[segment.first + page];
      // Given back and read since: zeroes that are nobody's. Where the base is zero too, that changed
      // nothing.
      const bool given_back = word != kNoWord && word_at(segment.start + page * kPage, word) == 0;
      if (written_since(entries[i], empty) || given_back) mark(segment, page);
    }
  }
}

void States::update_hot() {
  if (tracking_ == Tracking::kWriteProtect) {
    for (size_t i = 0; i < ranges_; ++i) scan(range_[i]);
    return;
  }
  const bool compares = tracking_ == Tracking::kCompare || forked();
  for (size_t i = 0; i < segments_; ++i) {
    if (compares) compare(segment_[i]);
    if (tracking_ == Tracking::kFork) ask_pagemap(segment_[i]);
  }
}

// -- slots -----------------------------------------------------------------------------------------------

// Not inlined: its frame must still be there when somebody comes back.
__attribute__((noinline)) bool States::save(uint32_t number) {
  const int64_t began = real_ns();
  if (number >= kMaxSlots) throw std::runtime_error("no such slot for a state");
  if (based_)
    check_shape();
  else
    take_base();
  Slot& slot = slot_[number];
  if (slot.bytes == nullptr) slot.bytes = static_cast<uint8_t*>(shared_pages(kMaxHot * kPage));
  if (_setjmp(here) != 0) {
    restore_ns_ = static_cast<uint64_t>(real_ns()) - restore_began_;
    return false;
  }
  update_hot();
  for (size_t i = 0; i < hot_; ++i) std::memcpy(slot.bytes + i * kPage, page_[i].here, kPage);
  slot.pages = hot_;
  slot.used = true;
  save_ns_ = static_cast<uint64_t>(real_ns() - began);
  return true;
}

void States::restore(uint32_t number) {
  restore_began_ = static_cast<uint64_t>(real_ns());
  if (number >= kMaxSlots || !slot_[number].used) throw std::runtime_error("there is no state in this slot");
  check_shape();
  target_ = number;
  leave_for_other_stack();
}

void States::leave_for_other_stack() {
  auto* context = reinterpret_cast<ucontext_t*>(other_stack_);
  getcontext(context);
  context->uc_stack.ss_sp = other_stack_ + sizeof(ucontext_t);
  context->uc_stack.ss_size = kStackSize - sizeof(ucontext_t);
  context->uc_link = nullptr;
  makecontext(context, &States::go_back_entry, 0);
  setcontext(context);
  std::abort();  // setcontext returns only where the context is broken
}

void States::go_back_entry() { the_states->go_back(); }

// On the other stack: nothing that this function needs lies in the memory it overwrites.
void States::go_back() {
  update_hot();
  const Slot& slot = slot_[target_];
  for (size_t i = 0; i < slot.pages; ++i) std::memcpy(page_[i].here, slot.bytes + i * kPage, kPage);
  for (size_t i = slot.pages; i < hot_; ++i) std::memcpy(page_[i].here, page_[i].base, kPage);
  longjmp(here, 1);
}

}  // namespace frameperfect::hook
