// The network that the game sees: virtual players on invented addresses, and nothing else unless the host
// opened the loopback interface.
#pragma once
#include <sys/types.h>

#include "hook/huffman.hpp"
#include "hook/person.hpp"
#include "hook/player.hpp"

namespace frameperfect::hook {

struct Network {
  bool open = false;  // real packets from this machine (127.0.0.1, ::1) pass as well
  int players = 0;
  Player player[kMaxPlayers];
  Person person;

  bool has_packet() const;
};

extern Network network;  // ready before any constructor of the library runs

// The code of the game's packets, read from the program itself. Throws where there is none.
const Huffman& packet_code();

}  // namespace frameperfect::hook
