#include "hook/win32/detour.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "hook/win32/instruction.hpp"
#include "hook/win32/threads.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

const char* why_not_led = "";

namespace {

constexpr Bits kBits = sizeof(void*) == 8 ? Bits::k64 : Bits::k32;
constexpr size_t kJump = 5;      // to another place within 2 GiB
constexpr size_t kFarJump = 14;  // to anywhere
constexpr size_t kPageSize = 4096, kGrain = 64 << 10;
constexpr size_t kLook = 64;  // bytes of a function that are looked at
constexpr int kTries = 1000;  // to find no thread within a function

std::vector<uint8_t*> led;  // functions that lead to us already

uint8_t* as_bytes(uintptr_t address) { return reinterpret_cast<uint8_t*>(address); }

// A page that code near `target` can reach.
class Annex {
 public:
  static uint8_t* room(const uint8_t* target, size_t size) {
    static std::vector<Annex> all;
    for (Annex& one : all)
      if (one.reaches(target) && one.used_ + size <= kPageSize) return one.take(size);
    Annex made;
    if (!made.allocate(reinterpret_cast<uintptr_t>(target))) return nullptr;
    all.push_back(made);
    return all.back().take(size);
  }

 private:
  bool reaches(const uint8_t* target) const {
    const auto distance = reinterpret_cast<intptr_t>(target) - reinterpret_cast<intptr_t>(page_);
    return kBits == Bits::k32 || (distance > -kReach && distance < kReach);
  }
  uint8_t* take(size_t size) {
    uint8_t* at = page_ + used_;
    used_ += (size + 15) & ~size_t{15};
    return at;
  }
  bool allocate(uintptr_t target) {
    const uintptr_t middle = target & ~(kGrain - 1);
    for (uintptr_t away = kGrain; away < static_cast<uintptr_t>(kReach); away += kGrain) {
      for (const uintptr_t place : {middle - away, middle + away}) {
        MEMORY_BASIC_INFORMATION info;
        if (VirtualQuery(as_bytes(place), &info, sizeof(info)) == 0 || info.State != MEM_FREE) continue;
        void* page =
            VirtualAlloc(as_bytes(place), kPageSize, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE);
        if (page == nullptr) continue;
        page_ = static_cast<uint8_t*>(page);
        return true;
      }
    }
    return false;
  }

  static constexpr intptr_t kReach = 0x7ff0'0000;
  uint8_t* page_ = nullptr;
  size_t used_ = 0;
};

void write_jump(uint8_t* at, const void* target) {
  at[0] = 0xe9;
  const auto distance =
      static_cast<int32_t>(reinterpret_cast<intptr_t>(target) - reinterpret_cast<intptr_t>(at + kJump));
  std::memcpy(at + 1, &distance, 4);
}

void write_far_jump(uint8_t* at, const void* target) {
  if constexpr (kBits == Bits::k32) {
    write_jump(at, target);
  } else {
    const uint8_t through[] = {0xff, 0x25, 0, 0, 0, 0};  // jmp [rip]
    std::memcpy(at, through, sizeof(through));
    std::memcpy(at + sizeof(through), &target, sizeof(target));
  }
}

bool is_led(const uint8_t* function) { return std::find(led.begin(), led.end(), function) != led.end(); }

// Behind what only leads on: "lea rsp, [rsp+0]", by which Wine's functions begin, and jumps through a word.
uint8_t* body_of(uint8_t* function) {
  const uint8_t nothing[] = {0x48, 0x8d, 0xa4, 0x24, 0, 0, 0, 0};
  for (int hops = 0; hops < 8 && !is_led(function); ++hops) {
    const uint8_t* at = function;
    if (kBits == Bits::k64 && std::memcmp(at, nothing, sizeof(nothing)) == 0) at += sizeof(nothing);
    if (kBits == Bits::k32 && at[0] == 0x8b && at[1] == 0xff) at += 2;  // mov edi, edi
    if (kBits == Bits::k64 && at[0] == 0x48 && at[1] == 0xff) ++at;     // a prefix without meaning here
    if (at[0] == 0xff && at[1] == 0x25) {
      int32_t kept;
      std::memcpy(&kept, at + 2, 4);
      const uint8_t* word = kBits == Bits::k64 ? at + 6 + kept : as_bytes(static_cast<uint32_t>(kept));
      std::memcpy(&function, word, sizeof(function));
    } else if (at[0] == 0xe9) {
      int32_t distance;
      std::memcpy(&distance, at + 1, 4);
      function = const_cast<uint8_t*>(at) + kJump + distance;
    } else {
      return function;
    }
  }
  return function;
}

// A game that runs may call the function at any time: one thread that had done its first instruction would go
// on in the middle of the jump.
bool lead_while_none_is_within(uint8_t* function, size_t taken, const uint8_t* relay) {
  for (int tries = 0; tries < kTries; ++tries) {
    {
      const OthersStopped stopped;
      if (!stopped.within(function, taken)) {
        write_jump(function, relay);
        return true;
      }
    }
    SwitchToThread();
  }
  return false;
}

bool lead_one(uint8_t* function, void* ours, void** behind) {
  if (is_led(function)) return true;
  uint8_t* annex = Annex::room(function, 3 * kFarJump + kLook);
  if (annex == nullptr) return why_not_led = "no memory near it is free", false;
  uint8_t* relay = annex;  // from here to ours, however far
  uint8_t* old = annex + kFarJump;
  size_t taken;
  const auto moved = move_code({function, kLook}, reinterpret_cast<uintptr_t>(function),
                               reinterpret_cast<uintptr_t>(old), kJump, kBits, taken);
  if (!moved) return why_not_led = "its first instructions can't be moved", false;
  write_far_jump(relay, ours);
  std::memcpy(old, moved->data(), moved->size());
  write_far_jump(old + moved->size(), function + taken);

  DWORD access;
  if (VirtualProtect(function, 8, PAGE_EXECUTE_READWRITE, &access) == 0)
    return why_not_led = "its code can't be written", false;
  if (behind != nullptr && *behind == nullptr) *behind = old;  // now: another thread may call ours next
  const bool done = lead_while_none_is_within(function, taken, relay);
  VirtualProtect(function, 8, access, &access);
  if (!done) return why_not_led = "some thread is always within it", false;
  FlushInstructionCache(GetCurrentProcess(), function, 8);
  led.push_back(function);
  return true;
}

}  // namespace

bool lead(const char* const* libraries, const char* name, void* ours, void** behind) {
  bool found = false;
  for (; *libraries != nullptr; ++libraries) {
    const HMODULE library = GetModuleHandleA(*libraries);
    if (library == nullptr) continue;
    if (auto* function = reinterpret_cast<uint8_t*>(GetProcAddress(library, name))) {
      if (!lead_one(body_of(function), ours, behind)) return false;
      found = true;
    }
  }
  return found;
}

}  // namespace frameperfect::hook
