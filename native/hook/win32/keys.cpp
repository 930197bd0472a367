#include "hook/win32/keys.hpp"

#include <cstring>
#include <deque>

#include "hook/win32/clock.hpp"
#include "hook/win32/detour.hpp"

namespace frameperfect::hook {

void (*after_messages)() = nullptr;

namespace {

constexpr const char* kUser[] = {"user32", nullptr};
constexpr int kKeys = 256;

uint8_t held[kKeyBytes];
uint8_t fresh[kKeyBytes];  // pressed since the game last asked
bool ours = false;

struct KeyMessage {
  UINT kind;
  WPARAM key;
  LPARAM details;
};
std::deque<KeyMessage> waiting;
bool frame_begun = false;  // in the midst of taking messages

decltype(&GetAsyncKeyState) real_async = nullptr;
decltype(&GetKeyState) real_state = nullptr;
decltype(&GetKeyboardState) real_all = nullptr;
decltype(&PeekMessageA) real_peek_a = nullptr;
decltype(&PeekMessageW) real_peek_w = nullptr;

bool is_set(const uint8_t* bits, int key) { return (bits[key / 8] >> key % 8 & 1) != 0; }

// Shift, control and alt are told by two numbers: of either side, and of one.
bool is_held(int key) {
  constexpr int kShift = VK_SHIFT, kSides = VK_LSHIFT;
  if (key >= kShift && key <= VK_MENU) {
    const int left = kSides + 2 * (key - kShift);
    return is_set(held, key) || is_set(held, left) || is_set(held, left + 1);
  }
  return is_set(held, key);
}

SHORT WINAPI our_async(int key) {
  if (!ours) return real_async(key);
  key &= 0xff;
  const bool new_one = is_set(fresh, key);
  fresh[key / 8] &= static_cast<uint8_t>(~(1 << key % 8));
  return static_cast<SHORT>((is_held(key) ? 0x8000 : 0) | (new_one ? 1 : 0));
}
SHORT WINAPI our_state(int key) {
  if (!ours) return real_state(key);
  return static_cast<SHORT>(is_held(key & 0xff) ? 0x8000 : 0);
}
BOOL WINAPI our_all(BYTE* out) {
  if (!ours) return real_all(out);
  for (int key = 0; key < kKeys; ++key) out[key] = is_held(key) ? 0x80 : 0;
  return TRUE;
}

BOOL CALLBACK take_first(HWND window, LPARAM out) {
  *reinterpret_cast<HWND*>(out) = window;
  return FALSE;
}

// The window that hears of keys: the one in front, else the first one of this thread.
HWND listener() {
  if (const HWND focus = GetFocus()) return focus;
  HWND found = nullptr;
  EnumThreadWindows(GetCurrentThreadId(), take_first, reinterpret_cast<LPARAM>(&found));
  // Windows without a place on the screen are in no list of threads.
  for (HWND one = nullptr; found == nullptr && (one = FindWindowExA(HWND_MESSAGE, one, nullptr, nullptr));)
    if (GetWindowThreadProcessId(one, nullptr) == GetCurrentThreadId()) found = one;
  return found;
}

bool take_key_message(MSG* out, HWND window, UINT first, UINT last, UINT remove) {
  if (waiting.empty() || window == reinterpret_cast<HWND>(-1)) return false;
  const KeyMessage message = waiting.front();
  const bool wanted = (first == 0 && last == 0) || (first <= message.kind && message.kind <= last);
  if (!wanted) return false;
  *out = MSG{};
  out->hwnd = window != nullptr ? window : listener();
  out->message = message.kind;
  out->wParam = message.key;
  out->lParam = message.details;
  out->time = static_cast<DWORD>(virtual_ns / 1'000'000);
  if ((remove & PM_REMOVE) != 0) waiting.pop_front();
  return true;
}

bool is_keyboard(UINT message) {
  return message >= WM_KEYFIRST && message <= WM_KEYLAST && message != WM_CHAR;
}

template <typename Peek>
BOOL peek(Peek real, MSG* out, HWND window, UINT first, UINT last, UINT remove) {
  if (!on_game_thread()) return real(out, window, first, last, remove);
  for (;;) {
    if (ours && take_key_message(out, window, first, last, remove)) return TRUE;
    while (real(out, window, first, last, remove)) {
      if (!ours || !is_keyboard(out->message)) return TRUE;
      if ((remove & PM_REMOVE) == 0) real(out, window, out->message, out->message, PM_REMOVE);
    }
    const bool is_end = after_messages != nullptr && window == nullptr && first == 0 && last == 0;
    if (!is_end || frame_begun) break;
    after_messages();
    if (!ours || waiting.empty()) return FALSE;
    frame_begun = true;  // with messages: when they are taken, it goes on
  }
  frame_begun = false;
  return FALSE;
}

BOOL WINAPI our_peek_a(MSG* out, HWND window, UINT first, UINT last, UINT remove) {
  return peek(real_peek_a, out, window, first, last, remove);
}
BOOL WINAPI our_peek_w(MSG* out, HWND window, UINT first, UINT last, UINT remove) {
  return peek(real_peek_w, out, window, first, last, remove);
}

}  // namespace

const char* take_key_functions() {
  LoadLibraryA("user32");
  const struct {
    const char* name;
    void* ours;
    void** behind;
  } all[] = {
      {"GetAsyncKeyState", reinterpret_cast<void*>(our_async), reinterpret_cast<void**>(&real_async)},
      {"GetKeyState", reinterpret_cast<void*>(our_state), reinterpret_cast<void**>(&real_state)},
      {"GetKeyboardState", reinterpret_cast<void*>(our_all), reinterpret_cast<void**>(&real_all)},
      {"PeekMessageA", reinterpret_cast<void*>(our_peek_a), reinterpret_cast<void**>(&real_peek_a)},
      {"PeekMessageW", reinterpret_cast<void*>(our_peek_w), reinterpret_cast<void**>(&real_peek_w)},
  };
  for (const auto& one : all)
    if (!lead(kUser, one.name, one.ours, one.behind)) return one.name;
  return nullptr;
}

void hold_keys(const uint8_t* bits) {
  ours = true;
  for (int key = 0; key < kKeys; ++key) {
    const bool before = is_set(held, key), now = is_set(bits, key);
    if (now == before) continue;
    if (now) fresh[key / 8] |= static_cast<uint8_t>(1 << key % 8);
    const auto scan = static_cast<LPARAM>(MapVirtualKeyA(static_cast<UINT>(key), MAPVK_VK_TO_VSC));
    // One repetition; for a release, that it was down before.
    const auto details = static_cast<LPARAM>(now ? 1 : 0xc0000001u) | scan << 16;
    waiting.push_back({static_cast<UINT>(now ? WM_KEYDOWN : WM_KEYUP), static_cast<WPARAM>(key), details});
  }
  std::memcpy(held, bits, sizeof(held));
}

void release_keys() {
  ours = false;
  waiting.clear();
  std::memset(held, 0, sizeof(held));
  std::memset(fresh, 0, sizeof(fresh));
}

}  // namespace frameperfect::hook
