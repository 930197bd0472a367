// The frame boundary: `select`, with which the server waits for packets until its next tick is due.
//
// Each such wait is answered at once: "there are packets", while players have some, or "the time is over",
// which moves the clock by it, so that the server plays one tick. Between two ticks the host has its say.
#include <sys/select.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "hook/attach.hpp"
#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/network.hpp"
#include "hook/real.hpp"
#include "hook/requests.hpp"
#include "hook/senses.hpp"

namespace frameperfect::hook {

namespace {

constexpr int64_t kTickNs = 20'000'000;
constexpr int64_t kMostLate = 3;  // ticks to catch up at once; beyond that the race is late

// The game's side of the conversation: a part of every state.
uint32_t frames_left = 0;
bool spoken = false;   // the players have sent what they had for the coming tick
bool ticking = false;  // the last wait ended because the time was over
bool leaving = false;  // the players have said goodbye, and the game goes on by itself once it has heard that
uint64_t frames = 0;
Input input[kMaxPlayers];
int64_t pace_ns = 0;  // of a tick in real time; 0: as fast as the host asks
int64_t due_ns = 0;   // when the coming tick is due, in real time
bool asked = false;   // whether others sent something for the coming tick, where there is no pace
constinit Senses senses;

void publish() {
  Status& status = host->status();
  status.frames = frames;
  status.ready = status.closed = 0;
  for (int i = 0; i < network.players; ++i) {
    status.ready |= static_cast<uint32_t>(network.player[i].playing()) << i;
    status.closed |= static_cast<uint32_t>(network.player[i].stage() == Player::Stage::kClosed) << i;
  }
  if (network.person.here() && network.person.plays()) status.ready |= 1u << network.players;
  status.here = network.person.here();
  status.person = network.person.input();
  senses.show(host->records());
  watches.copy(host->watched());
}

void begin_step(std::span<const uint8_t> bytes) {
  frames_left = take<uint32_t>(bytes);
  for (int i = 0; i < network.players; ++i) input[i] = take<Input>(bytes);
  if (frames_left == 0) throw std::runtime_error("a step has one frame or more");
  spoken = false;
}

// One who plays takes the last player's place.
void expect_person(bool plays) {
  if (!network.open) throw std::runtime_error("this server has no place for a person");
  if (plays) --network.players;
  network.person.invite(plays);
}

// Answers one request. What `kStep` asks for is answered when it is done.
void handle(const channel::Message& message) {
  std::span<const uint8_t> bytes = message.bytes;
  switch (static_cast<Op>(message.code)) {
    case Op::kStep:
      return begin_step(bytes);
    case Op::kJoin:
      packet_code();
      for (int i = 0; i < network.players; ++i) network.player[i].connect(i, virtual_ns);
      break;
    case Op::kPlaces:
      senses.set(take<Places>(bytes), network.players + network.person.plays());
      senses.follow();
      publish();
      break;
    case Op::kRespawn:
      for (int i = 0; i < network.players; ++i) network.player[i].respawn(virtual_ns);
      break;
    case Op::kPace:
      pace_ns = take<int64_t>(bytes);
      due_ns = real_ns();
      break;
    case Op::kExpect:
      expect_person(take<uint32_t>(bytes) != 0);
      break;
    case Op::kBegin:
      network.person.begin(take<uint32_t>(bytes) != 0);
      break;
    default:
      if (!answer_shared(message, publish)) throw std::runtime_error("the hook does not know this request");
      return;
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

// What comes from real clients before the coming tick, for which the server waits `ns` of its own time. With
// a pace its clock goes on meanwhile, so that it knows when they come.
static bool others_speak(fd_set* sockets, int count, int64_t ns) {
  if (!network.open || (pace_ns == 0 && asked)) return false;
  asked = true;
  for (;;) {
    const int64_t left = pace_ns == 0 ? 0 : std::max<int64_t>(0, due_ns - real_ns());
    timeval patience{left / 1'000'000'000, left % 1'000'000'000 / 1000};
    fd_set ready = *sockets;
    const bool heard = REAL(select)(count, &ready, nullptr, nullptr, &patience) > 0;
    const int64_t still = pace_ns == 0 ? 0 : std::max<int64_t>(0, due_ns - real_ns());
    if (heard && (pace_ns == 0 || still > 0)) {
      if (pace_ns != 0) virtual_ns += std::max<int64_t>(0, ns - still * kTickNs / pace_ns);
      *sockets = ready;
      return true;
    }
    if (still == 0) return false;  // else a signal woke us
  }
}

// The game waits for packets on `socket`, `ns` at most. True: some are there. False: the time is over.
static bool wait_for_packets(fd_set* sockets, int count, int64_t ns) {
  if (ticking) end_tick();
  if (network.has_packet()) return true;
  serve();
  if (host->status().let_go != kStay) return leave();
  if (!spoken) {
    spoken = true;
    asked = false;
    if (pace_ns != 0) due_ns = std::max(due_ns, real_ns() - kMostLate * pace_ns) + pace_ns;
    for (int i = 0; i < network.players; ++i) network.player[i].speak(input[i], virtual_ns);
    // The server's first wait ended before its first tick: it counts one less than we do.
    if (network.person.plays()) network.person.wait_for(static_cast<int32_t>(frames));
    if (network.has_packet()) return true;
  }
  if (others_speak(sockets, count, ns)) return true;
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
  // An empty server waits longer than a tick, and would then play many at once.
  const int64_t ns = timeout->tv_sec * 1'000'000'000LL + timeout->tv_usec * 1000LL;
  if (wait_for_packets(read, count, std::min(ns, kTickNs))) return 1;
  if (host == nullptr) return REAL(select)(count, read, write, except, timeout);
  FD_ZERO(read);
  return 0;
}
