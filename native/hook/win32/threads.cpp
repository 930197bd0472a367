#include "hook/win32/threads.hpp"

namespace frameperfect::hook {

namespace {

uintptr_t place_of(const CONTEXT& context) {
#ifdef _WIN64
  return context.Rip;
#else
  return context.Eip;
#endif
}

}  // namespace

OthersStopped::OthersStopped() {
  const HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);  // of all processes
  if (list == INVALID_HANDLE_VALUE) return;
  THREADENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  for (BOOL more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry)) {
    if (entry.th32OwnerProcessID != GetCurrentProcessId() || entry.th32ThreadID == GetCurrentThreadId())
      continue;
    if (const HANDLE thread =
            OpenThread(THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT, FALSE, entry.th32ThreadID))
      threads_.push_back(thread);
  }
  CloseHandle(list);
  for (const HANDLE thread : threads_) SuspendThread(thread);
}

OthersStopped::~OthersStopped() {
  for (const HANDLE thread : threads_) ResumeThread(thread);
  for (const HANDLE thread : threads_) CloseHandle(thread);
}

bool OthersStopped::within(const uint8_t* begin, size_t size) const {
  const auto first = reinterpret_cast<uintptr_t>(begin);
  for (const HANDLE thread : threads_) {
    CONTEXT context{};
    context.ContextFlags = CONTEXT_CONTROL;
    if (!GetThreadContext(thread, &context)) continue;  // it has ended
    if (place_of(context) > first && place_of(context) < first + size) return true;
  }
  return false;
}

}  // namespace frameperfect::hook
