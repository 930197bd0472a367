// The channel between two threads (so that ThreadSanitizer sees both ends) and between two processes.
#include "tests/channel_tests.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "channel/channel.hpp"
#include "lockstep/history.hpp"
#include "lockstep/link.hpp"
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

// In another process, whose number is returned.
pid_t serve_elsewhere(const Channel& host) {
  const pid_t child = fork();
  if (child == 0) {
    serve(Channel::attach(dup(host.fd())), nullptr);
    _exit(0);
  }
  return child;
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
  const pid_t child = serve_elsewhere(host);
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

void a_link_brings_its_game_to_the_callers_processor_and_lets_it_go() {
  Channel host = Channel::create();
  const pid_t child = serve_elsewhere(host);
  cpu_set_t ours, theirs;
  CHECK(sched_getaffinity(0, sizeof(ours), &ours) == 0);
  frameperfect::lockstep::Link link(host);
  link.watch(child);
  const auto ask = [&](uint32_t code) {
    link.post(code, message(8, 1));
    CHECK(link.reply_is_due());
    CHECK(link.wait(-1) == Wait::kReady && link.ready());
    CHECK(equal(link.take(), message(8, 2)) && !link.reply_is_due());
  };
  const auto affinity = [&] {
    CHECK(sched_getaffinity(child, sizeof(theirs), &theirs) == 0);
    return theirs;
  };
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &ours)) continue;
    const frameperfect::lockstep::Beside here(processor);
    for (int i = 0; i < 300; ++i) ask(1);
    const cpu_set_t now = affinity();
    CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(processor, &now));
  }
  link.set_beside(false);
  for (int i = 0; i < 300; ++i) ask(1);
  const cpu_set_t free = affinity();
  CHECK(CPU_EQUAL(&free, &ours));
  cpu_set_t after;
  CHECK(sched_getaffinity(0, sizeof(after), &after) == 0 && CPU_EQUAL(&after, &ours));
  ask(0);
  CHECK(link.wait(-1) == Wait::kPeerDied);
  link.post(1, {});  // to nobody: the wait says so again
  CHECK(link.wait(-1) == Wait::kPeerDied);
  waitpid(child, nullptr, 0);
}

void a_past_is_what_was_added_to_it() {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const size_t size = random() % 5;
    frameperfect::lockstep::History past(size), again(size);
    std::vector<std::pair<std::string, uint64_t>> runs;
    for (int i = random() % 20; i > 0; --i) {
      std::string inputs(size, 'a');
      if (size > 0) inputs[random() % size] = static_cast<char>(random() % 2);
      const auto frames = static_cast<uint32_t>(random() % 3 == 0 ? random() : random() % 3);
      past.add(inputs, frames);
      if (frames == 0) continue;
      if (runs.empty() || runs.back().first != inputs || runs.back().second + frames > 0xffffffffu)
        runs.emplace_back(inputs, 0);
      runs.back().second += frames;
      again.unpack(past.pack());
      CHECK(again.pack() == past.pack());
    }
    std::string packed;
    for (const auto& [inputs, frames] : runs) {
      const auto held = static_cast<uint32_t>(frames);
      packed.append(reinterpret_cast<const char*>(&held), sizeof(held));
      packed += inputs;
    }
    CHECK(past.pack() == packed);
  }
}
