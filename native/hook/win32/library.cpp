// The library in the game's process: what the launcher calls once it is loaded there.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "hook/protocol.hpp"
#include "hook/win32/clock.hpp"
#include "hook/win32/detour.hpp"
#include "hook/win32/frames.hpp"
#include "hook/win32/randomness.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {

constexpr int kWord = 32;  // hex digits that only our host knows

void refuse(Link& link, const std::string& why) {
  link.wait();  // its first request
  link.answer(kError, {reinterpret_cast<const uint8_t*>(why.data()), why.size()});
  link.close();
}

// `told`: "version:port:word:boundary:frame:thread"; boundary as a number, a frame's nanoseconds, and the
// game's first thread where it was started for us, else 0.
bool attach(const char* told) {
  unsigned version = 0, port = 0, thread = 0;
  int boundary = 0;
  long long frame_ns = 0;
  char word[kWord + 1];
  if (std::sscanf(told, "%u:%u:%32[0-9a-f]:%d:%lld:%u", &version, &port, word, &boundary, &frame_ns,
                  &thread) < 3)
    return false;
  Link link;
  if (!link.open(static_cast<uint16_t>(port), {reinterpret_cast<const uint8_t*>(word), std::strlen(word)}))
    return false;
  if (version != kHookVersion) {
    refuse(link, "the hook is version " + std::to_string(kHookVersion) + " and frameperfect asks for " +
                     std::to_string(version) + "; run `make build`, and restart the game");
    return true;
  }
  if (has_host()) {
    refuse(link, "another frameperfect plays it");
    return true;
  }
  const bool ours = thread != 0;
  game_thread = thread;
  const char* failed = ours ? take_random_functions() : nullptr;
  if (failed == nullptr)
    failed = begin_frames(std::move(link), {static_cast<Boundary>(boundary), frame_ns, ours});
  if (failed != nullptr) {
    refuse(link, std::string("the game's calls of ") + failed + " can't be led to the hook: " + why_not_led);
    return true;
  }
  return true;
}

}  // namespace
}  // namespace frameperfect::hook

// A thread's function: 1 where the host was reached, which then says more.
extern "C" __declspec(dllexport) DWORD WINAPI frameperfect_attach(void* told) {
  return frameperfect::hook::attach(static_cast<const char*>(told)) ? 1 : 0;
}

BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, void*) {
  if (reason == DLL_PROCESS_ATTACH) DisableThreadLibraryCalls(library);
  return TRUE;
}
