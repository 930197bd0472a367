// States of the whole process: every private writable page of it, at one moment.
//
// The first save copies all such memory: the base. From then on only pages that were ever written since count
// (the hot ones); a slot holds those, and going back copies them from the slot, or from the base where the
// slot is older than their first write. Which pages were written the kernel tells (userfaultfd write
// protection that resolves itself, and PAGEMAP_SCAN: Linux 6.7), or a process forked with the base
// (bystander.hpp); elsewhere every page that was ever touched is compared with the base.
//
// All bookkeeping, and whatever else must not go back in time (the channel to the host), lies in shared
// mappings, which no state covers. Memory that the program maps later is in no state: `save` and `restore`
// refuse then. Other threads must be asleep, which both wait for.
#pragma once
#include <csetjmp>
#include <cstddef>
#include <cstdint>

namespace frameperfect::hook {

enum class Tracking : uint32_t { kCompare = 0, kWriteProtect = 1, kFork = 2 };

inline constexpr int kMaxSlots = 256;

// Memory that states leave alone: zeroed, committed as it is written, never freed.
void* shared_pages(size_t size);

class States {
 public:
  // Lives in shared_pages.
  static States* make();

  // The best of what the kernel can, or what FRAMEPERFECT_HOOK_TRACKING asks for where that is less. Where it
  // fails the first save, states compare.
  Tracking tracking() const { return tracking_; }

  // True when it returns from saving, false when it returns because somebody went back to this slot. Throws
  // std::runtime_error.
  bool save(uint32_t slot);

  // Does not return: execution goes on where `save(slot)` was called. Throws where the slot is empty or the
  // process has changed its shape.
  void restore(uint32_t slot);

  uint64_t slot_bytes() const { return hot_ * kPage; }
  uint64_t tracked_bytes() const { return tracked_; }
  uint64_t save_ns() const { return save_ns_; }
  uint64_t restore_ns() const { return restore_ns_; }

 private:
  static constexpr size_t kPage = 4096;
  static constexpr size_t kMaxSegments = 1024;
  static constexpr size_t kMaxHot = 1 << 16;  // 256 MiB a slot
  static constexpr size_t kLook = 512;        // pages that are asked about at once
  static constexpr uint16_t kNoWord = 0xffff;
  static constexpr size_t kMaxRanges = 8 * kMaxSegments;
  static constexpr size_t kGap = 64;  // empty pages that part two ranges

  struct Segment {
    uint8_t* start;
    size_t size;
    bool file;      // backed by one: a page not yet touched is not zero
    uint8_t* base;  // the copy
    size_t first;   // its first page among all
  };
  // Pages of a segment that held something at the base, a few empty ones among them; or that were empty.
  struct Range {
    const Segment* segment;
    size_t first, count;
    bool full;
  };
  struct Page {
    uint8_t* here;
    const uint8_t* base;
  };
  struct Slot {
    uint8_t* bytes;
    size_t pages;
    bool used;
  };

  void take_base();
  void find_word(size_t page, const uint8_t* base);
  void find_segments(Segment* out, size_t& count) const;
  size_t find_touched(const Segment& segment, size_t first, uint8_t* touched) const;
  void find_ranges();
  bool protect();
  void check_shape() const;
  void update_hot();
  void scan(const Range& range);
  void compare(const Segment& segment);
  void ask_pagemap(const Segment& segment);
  bool read_pagemap(const Segment& segment, size_t first, size_t count, uint64_t* entries) const;
  void mark(const Segment& segment, size_t page);
  [[noreturn]] void go_back();
  static void go_back_entry();
  [[noreturn]] void leave_for_other_stack();

  Tracking tracking_;
  bool based_;
  int pagemap_, userfault_;
  int tasks_;           // threads at the base
  uintptr_t heap_end_;  // at the base
  size_t segments_;
  Segment segment_[kMaxSegments];
  size_t ranges_;
  Range range_[kMaxRanges];
  uint64_t tracked_;
  uint8_t* touched_;  // pages that held something at the base
  uint16_t* word_;    // of each page, one of its words that was not zero at the base; kNoWord: none
  uint8_t* is_hot_;
  size_t hot_;
  Page page_[kMaxHot];
  Slot slot_[kMaxSlots];
  uint32_t target_;       // of the restore under way
  uint8_t* other_stack_;  // on which it runs
  uint64_t save_ns_, restore_ns_, restore_began_;
};

}  // namespace frameperfect::hook
