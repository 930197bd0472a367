#include "hook/win32/frames.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "hook/protocol.hpp"
#include "hook/scan.hpp"
#include "hook/take.hpp"
#include "hook/win32/clock.hpp"
#include "hook/win32/detour.hpp"
#include "hook/win32/keys.hpp"
#include "hook/win32/memory.hpp"
#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {

using Bytes = std::span<const uint8_t>;

constexpr int64_t kLook = 250'000'000;  // between looks whether the host is there, while it plays on

Link host;
Terms terms;
volatile bool serving = false;
bool begun = false;  // the first boundary has come
uint32_t frames_left = 0;
uint64_t frames = 0;
int64_t due_ns = 0;  // when the frame ends in the game's time, if the game does not take longer
int64_t next_look = 0;
std::vector<Watch> watches;
std::vector<uint8_t> shown;  // what a step answers: frames played, and what is watched

template <typename T>
void answer_with(const T& value) {
  host.answer(kOk, {reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
}

void answer_with_addresses(const std::vector<uint64_t>& found) {
  host.answer(kOk, {reinterpret_cast<const uint8_t*>(found.data()), found.size() * sizeof(uint64_t)});
}

void answer_with_view() {
  shown.resize(sizeof(frames));
  std::memcpy(shown.data(), &frames, sizeof(frames));
  for (const Watch& watch : watches) {
    const size_t at = shown.size();
    shown.resize(at + watch.length);
    const auto hops = std::min<uint32_t>(watch.hops, kMaxHops);
    const auto place = scan::follow(watch.address, {watch.add, hops}, sizeof(void*), read_memory);
    if (!place || !read_memory(*place, &shown[at], watch.length)) std::memset(&shown[at], 0, watch.length);
  }
  host.answer(kOk, shown);
}

void set_watches(Bytes bytes) {
  std::vector<Watch> wanted(bytes.size() / sizeof(Watch));
  std::memcpy(wanted.data(), bytes.data(), wanted.size() * sizeof(Watch));
  size_t all = 0;
  for (const Watch& watch : wanted) all += watch.length;
  if (wanted.size() > kMaxWatches || all > kMaxWatched) throw std::runtime_error("too much memory to watch");
  watches = wanted;
}

void read(Bytes bytes) {
  const auto address = take<uint64_t>(bytes);
  const auto length = take<uint32_t>(bytes);
  if (length > kMaxWatched) throw std::runtime_error("too much memory to read at once");
  std::vector<uint8_t> out(length);
  if (!read_memory(address, out.data(), length)) throw std::runtime_error("the game has no such memory");
  host.answer(kOk, out);
}

std::vector<uint64_t> objects_of(std::string_view name) {
  auto regions = image_sections();
  const auto objects = scan::objects_of(regions, name, sizeof(void*), image_base());
  if (!objects.empty()) return objects;
  for (const scan::Region& allocated : allocated_memory()) regions.push_back(allocated);
  return scan::objects_of(regions, name, sizeof(void*), image_base());
}

void handle(const Request& request) {
  Bytes bytes = request.bytes;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  switch (static_cast<Op>(request.code)) {
    case Op::kHello:
      return answer_with(Hello{kHookVersion, sizeof(void*), image_base()});
    case Op::kStep: {
      const auto wanted = take<uint32_t>(bytes);
      if (wanted == 0 || bytes.size() != kKeyBytes) throw std::runtime_error("the step is damaged");
      hold_keys(bytes.data());
      frames_left = wanted;
      return;  // answered when it is played
    }
    case Op::kRead:
      return read(bytes);
    case Op::kFind:
      return answer_with_addresses(objects_of(text));
    case Op::kMatch:
      return answer_with_addresses(scan::Pattern(text).find(image_sections(), kMostMatches));
    case Op::kStack:
      return answer_with_addresses({first_stack()});
    case Op::kWatch:
      set_watches(bytes);
      return answer_with_view();
    default:
      throw std::runtime_error("the hook does not know this request");
  }
}

// The host has gone, or said goodbye.
void leave() {
  if (terms.ours) TerminateProcess(GetCurrentProcess(), 0);
  serving = false;
  frames_left = 0;
  watches.clear();
  release_keys();
  give_clock_back();
  host.close();
}

void serve() {
  while (frames_left == 0) {
    const auto request = host.wait();
    if (!request || static_cast<Op>(request->code) == Op::kQuit) return leave();
    try {
      handle(*request);
    } catch (const std::exception& wrong) {
      const std::string_view why = wrong.what();
      host.answer(kError, {reinterpret_cast<const uint8_t*>(why.data()), why.size()});
    }
  }
}

void boundary() {
  if (!serving || !on_game_thread()) return;
  if (!begun) {
    begun = true;
    game_thread = GetCurrentThreadId();
    if (!terms.ours) take_clock(false);
    due_ns = virtual_ns;
  }
  if (frames_left > 0) {
    ++frames;
    if (--frames_left == 0) answer_with_view();
  }
  if (frames_left > 0 && real_ns() > next_look) {
    next_look = real_ns() + kLook;
    if (host.lost()) return leave();
  }
  serve();
  if (!serving) return;
  due_ns = std::max(due_ns + terms.frame_ns, virtual_ns);
  virtual_ns = due_ns;
}

BOOL(WINAPI* real_swap)(HDC) = nullptr;

BOOL WINAPI our_swap(HDC target) {
  const BOOL done = real_swap(target);
  if (terms.boundary == Boundary::kSwap) boundary();
  return done;
}

const char* take_functions() {
  static bool taken = false;
  if (taken) return nullptr;
  taken = true;
  guard_reads();
  if (const char* failed = take_time_functions()) return failed;
  if (const char* failed = take_key_functions()) return failed;
  if (terms.boundary == Boundary::kSwap) {
    const char* const gdi[] = {"gdi32", nullptr};
    LoadLibraryA("gdi32");
    if (!lead(gdi, "SwapBuffers", reinterpret_cast<void*>(our_swap), reinterpret_cast<void**>(&real_swap)))
      return "SwapBuffers";
  }
  return nullptr;
}

}  // namespace

bool has_host() { return serving; }

const char* begin_frames(Link&& link, const Terms& wanted) {
  terms = wanted;
  if (const char* failed = take_functions()) return failed;
  host = std::move(link);
  begun = false;
  frames = 0;
  if (terms.ours) take_clock(true);
  after_messages = terms.boundary == Boundary::kMessages ? boundary : nullptr;
  after_sleep = terms.boundary == Boundary::kSleep ? boundary : nullptr;
  serving = true;
  return nullptr;
}

}  // namespace frameperfect::hook
