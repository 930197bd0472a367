#include "hook/win32/link.hpp"

#include <cstring>

#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

namespace {
constexpr uint32_t kLongestRequest = 1 << 20;
}

bool Link::open(uint16_t port, std::span<const uint8_t> word) {
  WSADATA about;
  if (WSAStartup(MAKEWORD(2, 2), &about) != 0) return false;
  socket_ = ::socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  sockaddr_in host{};
  host.sin_family = AF_INET;
  host.sin_port = htons(port);
  host.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ == INVALID_SOCKET || connect(socket_, reinterpret_cast<sockaddr*>(&host), sizeof(host)) != 0)
    return false;
  const BOOL at_once = TRUE;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<const char*>(&at_once), sizeof(at_once));
  return send(socket_, reinterpret_cast<const char*>(word.data()), static_cast<int>(word.size()), 0) ==
         static_cast<int>(word.size());
}

bool Link::take(void* out, size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const int taken = recv(socket_, at, static_cast<int>(size), 0);
    if (taken <= 0) return false;
    at += taken;
    size -= static_cast<size_t>(taken);
  }
  return true;
}

std::optional<Request> Link::wait() {
  uint32_t head[2];
  if (!take(head, sizeof(head)) || head[1] > kLongestRequest) return std::nullopt;
  Request request{head[0], std::vector<uint8_t>(head[1])};
  if (!take(request.bytes.data(), head[1])) return std::nullopt;
  return request;
}

void Link::answer(uint32_t code, std::span<const uint8_t> bytes) {
  const uint32_t head[2] = {code, static_cast<uint32_t>(bytes.size())};
  message_.resize(sizeof(head) + bytes.size());
  std::memcpy(message_.data(), head, sizeof(head));
  if (!bytes.empty()) std::memcpy(message_.data() + sizeof(head), bytes.data(), bytes.size());
  for (size_t at = 0; at < message_.size();) {
    const int sent = send(socket_, reinterpret_cast<const char*>(&message_[at]),
                          static_cast<int>(message_.size() - at), 0);
    if (sent <= 0) return;  // the next wait says that the host has gone
    at += static_cast<size_t>(sent);
  }
}

bool Link::lost() const {
  fd_set ready;
  FD_ZERO(&ready);
  FD_SET(socket_, &ready);
  timeval now{0, 0};
  if (select(0, &ready, nullptr, nullptr, &now) <= 0) return false;
  char byte;
  return recv(socket_, &byte, 1, MSG_PEEK) <= 0;
}

void Link::close() {
  closesocket(socket_);
  socket_ = ~uintptr_t{0};
}

}  // namespace frameperfect::hook
