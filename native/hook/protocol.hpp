// What the host and the hook inside a game say to each other over the frame channel (channel/channel.hpp).
//
// A request is one of `Op` and its bytes; the reply is `kOk` with what the request asked for, or `kError`
// with one line of text. What changes with every frame lies in a second block of shared memory, the views: a
// `Status`, and one `PlayerRecord` a player. machines/native/hook.py is the other side of this file.
#pragma once
#include <cstdint>

namespace frameperfect::hook {

inline constexpr uint32_t kHookVersion = 6;

// What the host puts into the game's environment: "version:channel:views:players:network", numbers all.
inline constexpr char kVariable[] = "FRAMEPERFECT_HOOK";

// What is called in a game that already runs, once this library is loaded there:
//   const char* frameperfect_attach(const char* told)
// of "version:host:channel:views:players", where host is a process, and channel and views are descriptors
// there. Null, or why the hook can't serve; it begins to at the game's next frame.
#define FRAMEPERFECT_ATTACH frameperfect_attach

enum class Op : uint32_t {
  kHello = 1,     // -> Hello
  kStep = 2,      // uint32 frames, then an Input a player; the last frame's views stand when it is answered
  kJoin = 3,      // the players connect; Status.ready shows who has entered the game, some frames later
  kPlaces = 4,    // Places: where the game keeps its players
  kSave = 5,      // uint32 slot: this moment, into it
  kRestore = 6,   // uint32 slot: back to its moment
  kMeasure = 7,   // -> Measure: what states cost
  kRead = 8,      // uint64 address, uint32 length -> bytes of the game's memory
  kFind = 9,      // the name of a C++ class, as its compiler writes it -> uint64 an object of it
  kWatch = 10,    // Watch, as many as there are: bytes copied to the views after every step
  kQuit = 11,     // ends the game; no reply
  kRespawn = 12,  // the players give up their lives, to begin new ones
  kMatch = 13,    // a byte pattern -> uint64 a place of it in the program's image, at most kMostMatches
  kStack = 14,    // -> uint64 where the first thread's stack begins, its highest address
  kPace = 15,     // int64 nanoseconds that a tick takes in real time; 0: none
  kExpect = 16,  // before kJoin: uint32, not 0: the last player is a person in a real client, whatever a step
                 // says of it; 0: a person watches in one
  kBegin = 17,   // from now on what the person presses counts; uint32, not 0: and nothing else they do
};

enum Reply : uint32_t { kOk = 0, kError = 1 };

inline constexpr int kMaxPlayers = 16;
inline constexpr int kInputWords = 10;
inline constexpr int kRays = 16;
inline constexpr int kNear = 3;  // others that a record tells of

// A player's input as the game's own protocol has it: direction, target x, target y, jump, fire (here: held
// or not), hook, player flags, wanted weapon, next weapon, previous weapon.
struct Input {
  int32_t word[kInputWords];
  bool operator==(const Input&) const = default;
};

struct Hello {
  uint32_t version;
  uint32_t tracking;  // states find written pages by: 0 comparing, 1 the kernel's write protection, 2 a fork
  uint64_t base;      // where the program is loaded
};

// Where a build of the game keeps its players: one object each, side by side; offsets count from the object.
struct Places {
  uint64_t first;   // address of player 0's object
  uint64_t stride;  // from one to the next
  uint32_t alive, collision, position, hook_state, hooked, jumped, direction, race, freeze;
  uint32_t unused;
};

inline constexpr int kMaxHops = 12;
inline constexpr int kMostMatches = 16;

// Bytes of the game's memory, perhaps behind pointers: read at `address`, and each `add` is added to the
// pointer found so far before the next one is read. What can't be read gives zeros.
struct Watch {
  uint64_t address;
  uint32_t length;
  uint32_t hops;
  int64_t add[kMaxHops];
};
inline constexpr int kMaxWatches = 64;
inline constexpr uint32_t kMaxWatched = 64 << 10;  // bytes in all

struct Measure {
  uint64_t slot_bytes;  // of the pages that every slot holds now
  uint64_t save_ns;     // the last of each
  uint64_t restore_ns;
  uint64_t tracked_bytes;  // of all memory that a state covers
};

enum LetGo : uint32_t { kStay = 0, kLeave = 1, kLeft = 2 };

// The first page of the views.
struct Status {
  uint64_t frames;  // ticks since the server began to wait for us
  uint32_t ready;   // bit i: player i is in the game
  uint32_t closed;  // bit i: the server closed player i's connection
  uint32_t
      let_go;     // of a game that ran before us: kStay, written kLeave by the host and kLeft when it is done
  uint32_t here;  // the person has entered the game
  Input person;   // what the server last heard of the person who plays
};

inline constexpr uint32_t kRecordsAt = 4096, kWatchedAt = 8192;  // in the views
inline constexpr uint32_t kViewsSize = kWatchedAt + kMaxWatched;

// Another player, from a player's own record.
struct Other {
  int32_t x, y, vx, vy, to_finish;  // as in its own
  int32_t alive;                    // 0, as all else, where there are fewer
};

// One player as the machine shows it. Places are in pixels, of which a tile has 32; the game itself rounds
// them so, and velocities to 1/256 pixel a tick, at the end of every tick.
struct PlayerRecord {
  int32_t x, y, vx, vy;
  int32_t hook_x, hook_y;
  int32_t hook_state;  // -1 retracted, 0 idle, 1 to 3 retracting, 4 flying, 5 grabbed
  int32_t hooked;      // the player that the hook holds, or -1
  int32_t direction;   // -1 left, 0, 1 right: what the player steers
  int32_t race;        // 0 not started, 1 running, 2 cheated, 3 finished
  int32_t clock;       // ticks since the start line was crossed; stops at the finish
  int32_t freeze;      // ticks until the player can act again
  int32_t to_finish;   // tiles to the nearest finish along the way; -1 where none leads there
  uint8_t alive, grounded, air_jump,
      restarts;        // air_jump: it is still to be had; restarts: lives begun, mod 256
  int16_t ray[kRays];  // pixels to the nearest wall, clockwise from the right, at most kRayLength
  Other near[kNear];   // who lives, the nearest first; of equally near ones the lower number
};
static_assert(sizeof(PlayerRecord) == 160);
static_assert(kRecordsAt + kMaxPlayers * sizeof(PlayerRecord) <= kWatchedAt);

inline constexpr float kRayLength = 640.0f;

}  // namespace frameperfect::hook
