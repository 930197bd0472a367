#include "hook/win32/randomness.hpp"

#include <cstdint>
#include <cstring>

#include "hook/win32/detour.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {

uint64_t state = 0x46504631;

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
void fill(void* out, size_t size) {
  auto* bytes = static_cast<uint8_t*>(out);
  while (size > 0) {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    z ^= z >> 31;
    const size_t part = size < 8 ? size : 8;
    std::memcpy(bytes, &z, part);
    bytes += part;
    size -= part;
  }
}

BOOLEAN WINAPI our_random(void* out, ULONG size) {
  fill(out, size);
  return TRUE;
}
BOOL WINAPI our_process_random(BYTE* out, SIZE_T size) {
  fill(out, size);
  return TRUE;
}
LONG WINAPI our_bcrypt(void*, BYTE* out, ULONG size, ULONG) {
  fill(out, size);
  return 0;
}

}  // namespace

const char* take_random_functions() {
  const char* const advapi[] = {"cryptbase", "advapi32", nullptr};
  const char* const bcrypt[] = {"bcrypt", nullptr};
  const char* const primitives[] = {"bcryptprimitives", nullptr};
  LoadLibraryA("advapi32");
  LoadLibraryA("bcrypt");
  // RtlGenRandom, which rand_s and std::random_device use.
  if (!lead(advapi, "SystemFunction036", reinterpret_cast<void*>(our_random), nullptr)) return "RtlGenRandom";
  if (!lead(bcrypt, "BCryptGenRandom", reinterpret_cast<void*>(our_bcrypt), nullptr))
    return "BCryptGenRandom";
  if (GetModuleHandleA(primitives[0]) != nullptr &&
      !lead(primitives, "ProcessPrng", reinterpret_cast<void*>(our_process_random), nullptr))
    return "ProcessPrng";
  return nullptr;
}

}  // namespace frameperfect::hook
