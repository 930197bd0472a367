// The channel between two threads (so that ThreadSanitizer sees both ends) and between two processes.
#include "tests/channel_tests.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

#include "channel/channel.hpp"
#include "tests/check.hpp"

using namespace frameperfect::channel;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes message(size_t size, uint8_t first) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

bool equal(const Message& got, const Bytes& bytes) {
  return std::equal(got.bytes.begin(), got.bytes.end(), bytes.begin(), bytes.end());
}

// Answers each message with its bytes counted up by one, until code 0.
void serve(Channel worker, uint8_t* beside) {
  for (;;) {
    CHECK(worker.wait(-1) == Wait::kReady);
    const Message request = worker.take();
    Bytes reply(request.bytes.begin(), request.bytes.end());
    for (uint8_t& byte : reply) byte++;
    if (beside) ++*beside;
    worker.post(request.code, reply);
    if (request.code == 0) return;
  }
}

}  // namespace

// What lies in other memory is ordered by the messages, too: `beside` has no lock of its own.
void two_threads_take_turns() {
  auto block = Channel::new_block();
  Channel host(block, Channel::Role::kHost);
  uint8_t beside = 0;
  std::thread thread(serve, Channel(block, Channel::Role::kWorker), &beside);
  for (uint32_t i = 1; i <= 2000; i++) {
    const uint32_t code = i == 2000 ? 0 : i;
    host.post(code, message(i % 3000, static_cast<uint8_t>(i)));
    CHECK(host.wait(-1) == Wait::kReady);
    const Message reply = host.take();
    CHECK(reply.code == code && equal(reply, message(i % 3000, static_cast<uint8_t>(i + 1))));
    CHECK(beside == static_cast<uint8_t>(i));
  }
  thread.join();
}

void a_process_answers_until_it_dies() {
  Channel host = Channel::create();
  const pid_t child = fork();
  if (child == 0) {
    serve(Channel::attach(dup(host.fd())), nullptr);
    _exit(0);
  }
  host.watch(child);
  for (size_t size : {size_t{0}, size_t{1}, size_t{100'000}, size_t{3'000'000}, size_t{5}}) {
    host.post(1, message(size, 7));
    CHECK(host.wait(-1) == Wait::kReady);
    CHECK(equal(host.take(), message(size, 8)));
  }
  CHECK(host.wait(0.01) == Wait::kTimeout);
  host.post(0, {});
  CHECK(host.wait(-1) == Wait::kReady);
  host.take();
  CHECK(host.wait(-1) == Wait::kPeerDied);  // noticed while it is a zombie
  waitpid(child, nullptr, 0);
  CHECK(!host.peer_alive());
}
