#include "hook/win32/randomness.hpp"

#include <cstdint>
#include <cstring>

#include "hook/sequence.hpp"
#include "hook/win32/detour.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {

Sequence sequence;

BOOLEAN WINAPI our_random(void* out, ULONG size) {
  sequence.fill(out, size);
  return TRUE;
}
BOOL WINAPI our_process_random(BYTE* out, SIZE_T size) {
  sequence.fill(out, size);
  return TRUE;
}
LONG WINAPI our_bcrypt(void*, BYTE* out, ULONG size, ULONG) {
  sequence.fill(out, size);
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
