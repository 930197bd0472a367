// Which pages this process has written since a moment, without the kernel's write protection.
//
// A bystander is a process forked at that moment: it shares every page with this one, writes none and sleeps.
// A page that this process then writes becomes its own, and /proc/PID/pagemap says of each page whether any
// other process maps it (bit 56, "exclusively mapped"; Linux 4.2, Documentation/admin-guide/mm/pagemap.rst).
// What can't be told counts as written, but for one thing: a page that is given back to the kernel and then
// only read shows as shared, with nobody's zeroes. A fork of the game's own, whose child shares the game's
// pages as well, hides what was written before it: `forked` says that there was one.
#pragma once
#include <sys/types.h>

#include <cstdint>

namespace frameperfect::hook {

// Whether this kernel tells, tried out on a page; `pagemap` is this process' own.
bool bystander_tells(int pagemap);

// Forks one, which ends with the calling thread; below 0 where that fails.
pid_t start_bystander();

// Whether a page of this pagemap entry was written since; `empty` says that it held nothing then.
bool written_since(uint64_t entry, bool empty);

// The game has forked since this was called last.
bool forked();

}  // namespace frameperfect::hook
