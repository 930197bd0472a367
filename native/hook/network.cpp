#include "hook/network.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

#include "hook/clock.hpp"
#include "hook/host.hpp"
#include "hook/module.hpp"
#include "hook/real.hpp"

namespace frameperfect::hook {

constinit Network network;

bool Network::has_packet() const {
  for (int i = 0; i < players; ++i)
    if (player[i].has_next()) return true;
  return person.has_next();
}

const Huffman& packet_code() {
  static const Huffman code = [] {
    // How the table begins: frequencies of the bytes 0 to 3.
    const uint32_t begins[] = {1u << 30, 4545, 2657, 431};
    const auto* bytes = reinterpret_cast<const uint8_t*>(begins);
    const uint8_t* table = Module::program().find({bytes, sizeof(begins)}, alignof(uint32_t));
    if (table == nullptr) throw std::runtime_error("this program holds no Teeworlds packet code");
    return Huffman(std::span<const uint32_t, 256>(reinterpret_cast<const uint32_t*>(table), 256));
  }();
  return code;
}

namespace {

constexpr uint32_t kFirstAddress =
    0x7f010001;  // 127.1.0.1: one a player, so that no limit per address counts
constexpr uint16_t kPort = 5000;

// The player of an address, or -1.
int player_at(const sockaddr* address) {
  if (!clock_is_ours || address == nullptr || address->sa_family != AF_INET) return -1;
  const uint32_t number = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
  return number - kFirstAddress < kMaxPlayers ? static_cast<int>(number - kFirstAddress) : -1;
}

sockaddr_in address_of(int player) {
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_port = htons(static_cast<uint16_t>(kPort + player));
  from.sin_addr.s_addr = htonl(kFirstAddress + static_cast<uint32_t>(player));
  return from;
}

void hand_over(const wire::Packet& packet, const sockaddr_in& from, mmsghdr& message) {
  msghdr& header = message.msg_hdr;
  const size_t size = std::min<size_t>(packet.size, header.msg_iov->iov_len);
  std::memcpy(header.msg_iov->iov_base, packet.bytes.data(), size);
  message.msg_len = static_cast<unsigned>(size);
  std::memcpy(header.msg_name, &from, sizeof(from));
  header.msg_namelen = sizeof(from);
}

bool is_internet(const sockaddr* address) {
  return address != nullptr && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

}  // namespace
}  // namespace frameperfect::hook

using namespace frameperfect::hook;

extern "C" {

// A server is reachable from this machine alone, and without a port from nowhere.
FRAMEPERFECT_EXPORT int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  if (!clock_is_ours || !is_internet(address)) return REAL(bind)(fd, address, size);
  if (!network.open) return 0;
  sockaddr_storage own{};
  std::memcpy(&own, address, size);
  if (own.ss_family == AF_INET)
    reinterpret_cast<sockaddr_in&>(own).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else
    reinterpret_cast<sockaddr_in6&>(own).sin6_addr = in6addr_loopback;
  const int status = REAL(bind)(fd, reinterpret_cast<const sockaddr*>(&own), size);
  if (status != 0 && errno == EADDRINUSE) {
    const uint16_t port = reinterpret_cast<const sockaddr_in&>(own).sin_port;  // both kinds have it there
    give_up(("port " + std::to_string(ntohs(port)) + " is in use; give another one").c_str());
  }
  return status;
}

FRAMEPERFECT_EXPORT ssize_t sendto(int fd, const void* bytes, size_t size, int flags, const sockaddr* address,
                                   socklen_t length) {
  const int player = player_at(address);
  if (player >= 0) {
    network.player[player].hear({static_cast<const uint8_t*>(bytes), size}, packet_code(), virtual_ns);
    return static_cast<ssize_t>(size);
  }
  if (clock_is_ours && is_internet(address) && !network.open) return static_cast<ssize_t>(size);
  return REAL(sendto)(fd, bytes, size, flags, address, length);
}

FRAMEPERFECT_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  if (!clock_is_ours) return REAL(recvmmsg)(fd, messages, count, flags, timeout);
  unsigned taken = 0;
  for (int i = 0; i < network.players; ++i) {
    while (taken < count) {
      const wire::Packet* packet = network.player[i].next();
      if (packet == nullptr) break;
      hand_over(*packet, address_of(i), messages[taken++]);
    }
  }
  if (taken < count)
    if (const wire::Packet* packet = network.person.next())
      hand_over(*packet, network.person.address(), messages[taken++]);
  if (taken > 0) return static_cast<int>(taken);
  if (network.open) {
    const int heard = REAL(recvmmsg)(fd, messages, count, flags, timeout);
    for (int i = 0; i < heard && network.person.invited(); ++i) {
      const msghdr& header = messages[i].msg_hdr;
      const std::span<uint8_t> room(static_cast<uint8_t*>(header.msg_iov->iov_base), header.msg_iov->iov_len);
      messages[i].msg_len = static_cast<unsigned>(network.person.filter(
          room, messages[i].msg_len, static_cast<const sockaddr*>(header.msg_name), packet_code()));
    }
    return heard;
  }
  errno = EAGAIN;
  return -1;
}

}  // extern "C"
