// The frame boundary: `select`, with which the server waits for packets until its next tick is due.
//
// Each such wait is answered at once: "there are packets", while players have some, or "the time is over",
// which moves the clock by it, so that the server plays one tick. Between two ticks the host has its say.
#include <sys/select.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include "hook/attach.hpp"
#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/memory.hpp"
#include "hook/module.hpp"
#include "hook/network.hpp"
#include "hook/real.hpp"
#include "hook/senses.hpp"
#include "hook/watch.hpp"

namespace frameperfect::hook {

namespace {

// The game's side of the conversation: a part of every state.
uint32_t frames_left = 0;
bool spoken = false;   // the players have sent what they had for the coming tick
bool ticking = false;  // the last wait ended because the time was over
bool leaving = false;  // the players have said goodbye, and the game goes on by itself once it has heard that
uint64_t frames = 0;
Input input[kMaxPlayers];
constinit Senses senses;
constinit WatchList watches;

void publish() {
  Status& status = host->status();
  status.frames = frames;
  status.ready = status.closed = 0;
  for (int i = 0; i < network.players; ++i) {
    status.ready |= static_cast<uint32_t>(network.player[i].playing()) << i;
    status.closed |= static_cast<uint32_t>(network.player[i].stage() == Player::Stage::kClosed) << i;
  }
  senses.show(host->records());
  watches.copy(host->watched());
}

template <typename T>
T take(std::span<const uint8_t>& bytes) {
  if (bytes.size() < sizeof(T)) throw std::runtime_error("the request is cut short");
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return value;
}

template <typename T>
void answer_with(const T& value) {
  host->answer({reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
}

void begin_step(std::span<const uint8_t> bytes) {
  frames_left = take<uint32_t>(bytes);
  for (int i = 0; i < network.players; ++i) input[i] = take<Input>(bytes);
  if (frames_left == 0) throw std::runtime_error("a step has one frame or more");
  spoken = false;
}

void answer_read(std::span<const uint8_t> bytes) {
  const auto address = take<uint64_t>(bytes);
  const auto length = take<uint32_t>(bytes);
  std::vector<uint8_t> out(length);
  if (!read_memory(address, out.data(), length)) throw std::runtime_error("the game has no such memory");
  host->answer(out);
}

std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void answer_with_addresses(const std::vector<uint64_t>& found) {
  host->answer({reinterpret_cast<const uint8_t*>(found.data()), found.size() * sizeof(uint64_t)});
}

void watch(std::span<const uint8_t> bytes) {
  std::vector<Watch> wanted(bytes.size() / sizeof(Watch));
  std::memcpy(wanted.data(), bytes.data(), wanted.size() * sizeof(Watch));
  watches.set(wanted);
}

// Answers one request. What `kStep` asks for is answered when it is done.
void handle(const channel::Message& message) {
  std::span<const uint8_t> bytes = message.bytes;
  switch (static_cast<Op>(message.code)) {
    case Op::kHello:
      return answer_with(
          Hello{kHookVersion, static_cast<uint32_t>(host->states->tracking()), Module::program().base});
    case Op::kStep:
      return begin_step(bytes);
    case Op::kJoin:
      packet_code();
      for (int i = 0; i < network.players; ++i) network.player[i].connect(i, virtual_ns);
      break;
    case Op::kPlaces:
      senses.set(take<Places>(bytes), network.players);
      senses.follow();
      publish();
      break;
    case Op::kSave:
      // It returns a second time when the host goes back to it; that request is then to be answered.
      if (!host->states->save(take<uint32_t>(bytes))) publish();
      break;
    case Op::kRestore:
      host->states->restore(take<uint32_t>(bytes));
      break;
    case Op::kMeasure: {
      const States& states = *host->states;
      return answer_with(
          Measure{states.slot_bytes(), states.save_ns(), states.restore_ns(), states.tracked_bytes()});
    }
    case Op::kRead:
      return answer_read(bytes);
    case Op::kFind:
      return answer_with_addresses(Module::program().objects_of(text_of(bytes)));
    case Op::kMatch:
      return answer_with_addresses(
          scan::Pattern(text_of(bytes)).find(Module::program().segments, kMostMatches));
    case Op::kWatch:
      watch(bytes);
      publish();
      break;
    case Op::kQuit:
      _exit(0);
    case Op::kRespawn:
      for (int i = 0; i < network.players; ++i) network.player[i].respawn(virtual_ns);
      break;
    default:
      throw std::runtime_error("the hook does not know this request");
  }
  host->answer();
}

}  // namespace

void serve() {
  while (frames_left == 0 && host->status().let_go == kStay) {
    const auto message = host->wait();
    if (!message) return;
    try {
      handle(*message);
    } catch (const std::exception& wrong) {
      host->refuse(wrong.what());
    }
  }
}

// The tick that the last wait began is played.
static void end_tick() {
  ticking = false;
  ++frames;
  senses.follow();
  if (frames_left == 0 || --frames_left > 0) return;  // none left: what the server did before its first wait
  publish();
  host->answer();
}

// Leave a game that ran before us as it was: first our players say goodbye, and when the server has heard
// that it goes on in its own time. True: it has packets to read.
static bool leave() {
  if (!leaving) {
    leaving = true;
    for (int i = 0; i < network.players; ++i) network.player[i].leave(virtual_ns);
    if (network.has_packet()) return true;
  }
  leaving = spoken = false;
  frames_left = 0;
  senses = Senses();
  watches = WatchList();
  network.players = 0;
  give_clock_back();
  host->status().let_go = kLeft;
  depart();
  return false;
}

// The game waits for packets on `socket`, `ns` at most. True: some are there. False: the time is over.
static bool wait_for_packets(fd_set* sockets, int count, int64_t ns) {
  if (ticking) end_tick();
  if (network.has_packet()) return true;
  serve();
  if (host->status().let_go != kStay) return leave();
  if (!spoken) {
    spoken = true;
    for (int i = 0; i < network.players; ++i) network.player[i].speak(input[i], virtual_ns);
    if (network.has_packet()) return true;
    if (network.open) {
      timeval now{0, 0};
      fd_set ready = *sockets;
      if (REAL(select)(count, &ready, nullptr, nullptr, &now) > 0) {
        *sockets = ready;
        return true;
      }
    }
  }
  virtual_ns += ns;
  spoken = false;
  ticking = true;
  return false;
}

}  // namespace frameperfect::hook

using namespace frameperfect::hook;

extern "C" FRAMEPERFECT_EXPORT int select(int count, fd_set* read, fd_set* write, fd_set* except,
                                          timeval* timeout) {
  if (on_main_thread()) arrive();
  const bool frame = host != nullptr && read != nullptr && write == nullptr && except == nullptr &&
                     timeout != nullptr && on_main_thread();
  if (!frame) return REAL(select)(count, read, write, except, timeout);
  if (wait_for_packets(read, count, timeout->tv_sec * 1'000'000'000LL + timeout->tv_usec * 1000LL)) return 1;
  if (host == nullptr) return REAL(select)(count, read, write, except, timeout);
  FD_ZERO(read);
  return 0;
}
