#include "hook/win32/memory.hpp"

#include <cstring>

#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {

void* way_out[5];
volatile DWORD reader = 0;  // the thread that reads now

[[noreturn]] void leave() { __builtin_longjmp(way_out, 1); }

// A fault of the reading thread ends its read.
LONG WINAPI on_fault(EXCEPTION_POINTERS* fault) {
  const DWORD code = fault->ExceptionRecord->ExceptionCode;
  const bool reading = reader != 0 && reader == GetCurrentThreadId();
  if (!reading || (code != EXCEPTION_ACCESS_VIOLATION && code != STATUS_GUARD_PAGE_VIOLATION &&
                   code != EXCEPTION_IN_PAGE_ERROR))
    return EXCEPTION_CONTINUE_SEARCH;
#ifdef _WIN64
  fault->ContextRecord->Rip = reinterpret_cast<DWORD64>(&leave);
#else
  fault->ContextRecord->Eip = reinterpret_cast<DWORD>(&leave);
#endif
  return EXCEPTION_CONTINUE_EXECUTION;
}

bool is_readable(DWORD access) {
  return (access & (PAGE_GUARD | PAGE_NOACCESS)) == 0 && access != PAGE_EXECUTE && access != 0;
}

bool is_writable(DWORD access) {
  return (access & (PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY)) != 0;
}

}  // namespace

void guard_reads() { AddVectoredExceptionHandler(1, on_fault); }

__attribute__((noinline)) bool read_memory(uint64_t address, void* out, size_t size) {
  if (__builtin_setjmp(way_out) != 0) {
    reader = 0;
    return false;
  }
  reader = GetCurrentThreadId();
  const auto* from = reinterpret_cast<const volatile uint8_t*>(static_cast<uintptr_t>(address));
  auto* to = static_cast<uint8_t*>(out);
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    const uint64_t word = *reinterpret_cast<const volatile uint64_t*>(from + at);
    std::memcpy(to + at, &word, 8);
  }
  for (; at < size; ++at) to[at] = from[at];
  reader = 0;
  return true;
}

uint64_t image_base() { return reinterpret_cast<uintptr_t>(GetModuleHandleA(nullptr)); }

std::vector<scan::Region> image_sections() {
  const auto base = static_cast<uintptr_t>(image_base());
  const auto* head = reinterpret_cast<const IMAGE_DOS_HEADER*>(base);
  const auto* image = reinterpret_cast<const IMAGE_NT_HEADERS*>(base + static_cast<size_t>(head->e_lfanew));
  const IMAGE_SECTION_HEADER* section = IMAGE_FIRST_SECTION(image);
  std::vector<scan::Region> found;
  for (int i = 0; i < image->FileHeader.NumberOfSections; ++i, ++section) {
    if ((section->Characteristics & IMAGE_SCN_MEM_READ) == 0 || section->Misc.VirtualSize == 0) continue;
    const uintptr_t start = base + section->VirtualAddress;
    found.push_back({start,
                     {reinterpret_cast<const uint8_t*>(start), section->Misc.VirtualSize},
                     (section->Characteristics & IMAGE_SCN_MEM_WRITE) != 0});
  }
  return found;
}

std::vector<scan::Region> allocated_memory() {
  std::vector<scan::Region> found;
  MEMORY_BASIC_INFORMATION info;
  for (uintptr_t at = 0; VirtualQuery(reinterpret_cast<void*>(at), &info, sizeof(info)) != 0;) {
    const auto start = reinterpret_cast<uintptr_t>(info.BaseAddress);
    const uintptr_t end = start + info.RegionSize;
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    // Below this frame lie only the scan's own.
    const uintptr_t first = start <= here && here < end ? here & ~uintptr_t{15} : start;
    if (info.State == MEM_COMMIT && info.Type == MEM_PRIVATE && is_readable(info.Protect) &&
        is_writable(info.Protect))
      found.push_back({first, {reinterpret_cast<const uint8_t*>(first), end - first}, true});
    if (end <= at) break;
    at = end;
  }
  return found;
}

uint64_t first_stack() {
  // Of all threads of the process, the one that was made first.
  const HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  uint64_t oldest = ~uint64_t{0};
  DWORD first = 0;
  for (BOOL more = Thread32First(list, &entry); more; more = Thread32Next(list, &entry)) {
    if (entry.th32OwnerProcessID != GetCurrentProcessId()) continue;
    const HANDLE thread = OpenThread(THREAD_QUERY_INFORMATION, FALSE, entry.th32ThreadID);
    FILETIME begun, ended, kernel, user;
    if (thread != nullptr && GetThreadTimes(thread, &begun, &ended, &kernel, &user)) {
      const uint64_t when = static_cast<uint64_t>(begun.dwHighDateTime) << 32 | begun.dwLowDateTime;
      if (when < oldest) oldest = when, first = entry.th32ThreadID;
    }
    if (thread != nullptr) CloseHandle(thread);
  }
  CloseHandle(list);
  if (first == 0) return 0;

  // Its block of information begins with: a list of handlers, the stack's base.
  using Query = LONG(WINAPI*)(HANDLE, int, void*, ULONG, ULONG*);
  const auto query = reinterpret_cast<Query>(
      reinterpret_cast<void*>(GetProcAddress(GetModuleHandleA("ntdll"), "NtQueryInformationThread")));
  struct {
    LONG status;
    uintptr_t block, process, thread, affinity;
    LONG priority, base_priority;
  } basic{};
  const HANDLE thread = OpenThread(THREAD_QUERY_INFORMATION, FALSE, first);
  const bool told =
      thread != nullptr && query != nullptr && query(thread, 0, &basic, sizeof(basic), nullptr) == 0;
  if (thread != nullptr) CloseHandle(thread);
  uintptr_t base = 0;
  if (!told || !read_memory(basic.block + sizeof(void*), &base, sizeof(base))) return 0;
  return base;
}

}  // namespace frameperfect::hook
