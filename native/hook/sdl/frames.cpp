// Where a frame of an SDL game ends: the game begins to ask for its events, or shows what it has drawn.
// Between two frames the host has its say.
//
// What the game asks to sleep within a frame moves its clock; one that does not sleep, because it waits for
// the display, gets a frame's time at the end of each.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/real.hpp"
#include "hook/requests.hpp"
#include "hook/sdl/input.hpp"
#include "hook/sdl/picture.hpp"
#include "hook/sdl/protocol.hpp"

namespace frameperfect::hook {

using namespace sdl;

namespace {

struct Settings {
  Boundary boundary = Boundary::kPoll;
  int64_t frame_ns = 16'666'667;
  int pads = 0;
};

// The game's side of the conversation: a part of every state.
Settings settings;
uint32_t frames_left = 0;
uint64_t frames = 0;
bool draw = true;
bool polling = false;  // the game has asked for an event and was not yet told that there are no more
int64_t began_ns = 0;  // of this frame, in the game's time
sdl::Input input{};
bool ended = false;
pid_t game = 0;

SdlStatus& sdl_status() { return *reinterpret_cast<SdlStatus*>(host->records()); }

void publish() {
  host->status().frames = frames;
  SdlStatus& status = sdl_status();
  status.ended = ended;
  status.drawn = picture.read_at == frames;
  if (status.drawn != 0) {
    status.width = static_cast<uint32_t>(picture.width);
    status.height = static_cast<uint32_t>(picture.height);
    std::memcpy(host->views.mapping()->bytes() + kPictureAt, picture.pixels.data(), picture.pixels.size());
  }
  if (!ended) watches.copy(host->watched());
}

void begin_step(std::span<const uint8_t> bytes) {
  frames_left = take<uint32_t>(bytes);
  draw = take<uint32_t>(bytes) != 0;
  input = take<sdl::Input>(bytes);
  if (frames_left == 0) throw std::runtime_error("a step has one frame or more");
}

void handle(const channel::Message& message) {
  if (message.code == static_cast<uint32_t>(Op::kStep)) return begin_step(message.bytes);
  if (!answer_shared(message, publish)) throw std::runtime_error("the hook does not know this request");
}

void end_frame() {
  ++frames;
  if (frames_left > 0 && --frames_left == 0) {
    publish();
    host->answer();
  }
  serve();
  if (virtual_ns == began_ns) virtual_ns += settings.frame_ns;
  began_ns = virtual_ns;
  picture.wanted = draw && frames_left == 1;
  devices.hold(input, settings.pads);
}

// The game has come to its own end, out of which nobody can go back: its threads are gone. What is left of
// the step passes, and so do all later ones.
void at_end() {
  if (host == nullptr || getpid() != game || frames == 0) return;  // one that never began has not ended
  ended = true;
  for (;;) {
    if (frames_left > 0) {
      frames += frames_left;
      frames_left = 0;
      publish();
      host->answer();
    }
    const auto message = host->wait();
    try {
      if (message->code == static_cast<uint32_t>(Op::kSave) ||
          message->code == static_cast<uint32_t>(Op::kRestore))
        throw std::runtime_error("the game has ended");
      handle(*message);
    } catch (const std::exception& wrong) {
      host->refuse(wrong.what());
    }
  }
}

__attribute__((constructor)) void read_settings() {
  const char* given = std::getenv(sdl::kVariable);
  if (given == nullptr) return;
  unsigned boundary = 0;
  long long frame_ns = 0;
  int pads = 0;
  if (std::sscanf(given, "%u:%lld:%d", &boundary, &frame_ns, &pads) != 3 || boundary > 1 || frame_ns <= 0)
    give_up("FRAMEPERFECT_SDL is damaged");
  settings = {static_cast<Boundary>(boundary), frame_ns, pads};
  unsetenv(sdl::kVariable);
  game = getpid();
  std::atexit(at_end);
}

bool plays() { return host != nullptr && game == getpid() && !ended && on_main_thread(); }

}  // namespace

void serve() {
  while (frames_left == 0) {
    const auto message = host->wait();
    try {
      handle(*message);
    } catch (const std::exception& wrong) {
      host->refuse(wrong.what());
    }
  }
}

uint64_t sdl::current_frame() { return frames + 1; }

void sdl::shown() {
  if (settings.boundary == Boundary::kSwap && plays()) end_frame();
}

}  // namespace frameperfect::hook

using namespace frameperfect::hook;

extern "C" {

FRAMEPERFECT_EXPORT int SDL_PollEvent(sdl::Event* event) {
  if (!plays()) return REAL(SDL_PollEvent)(event);
  if (!polling && settings.boundary == Boundary::kPoll) end_frame();
  polling = true;
  if (event == nullptr) return sdl::devices.waiting() || REAL(SDL_PollEvent)(nullptr) != 0;
  if (sdl::devices.next(*event)) return 1;
  while (REAL(SDL_PollEvent)(event) != 0)
    if (!sdl::Devices::is_players(*event)) return 1;
  polling = false;
  return 0;
}

}  // extern "C"
