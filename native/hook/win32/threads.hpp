// The process' other threads, stopped while code that they may be in is changed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

// All threads but the calling one stand still while it lives. Meanwhile nothing may allocate or take a lock:
// one of them may hold it. For one thread at a time.
class OthersStopped {
 public:
  OthersStopped();
  ~OthersStopped();
  OthersStopped(const OthersStopped&) = delete;
  OthersStopped& operator=(const OthersStopped&) = delete;

  // Whether one of them is to go on within these bytes, behind the first: it has done a part of them.
  bool within(const uint8_t* begin, size_t size) const;

 private:
  std::vector<HANDLE> threads_;
};

}  // namespace frameperfect::hook
