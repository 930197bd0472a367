#include "hook/requests.hpp"

#include <unistd.h>

#include <string_view>
#include <vector>

#include "hook/memory.hpp"
#include "hook/module.hpp"
#include "hook/scan.hpp"

namespace frameperfect::hook {

constinit WatchList watches;

namespace {

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

}  // namespace

bool answer_shared(const channel::Message& message, void (*publish)()) {
  std::span<const uint8_t> bytes = message.bytes;
  const States& states = *host->states;
  switch (static_cast<Op>(message.code)) {
    case Op::kHello:
      answer_with(Hello{kHookVersion, static_cast<uint32_t>(states.tracking()), Module::program().base});
      return true;
    case Op::kMeasure:
      answer_with(
          Measure{states.slot_bytes(), states.save_ns(), states.restore_ns(), states.tracked_bytes()});
      return true;
    case Op::kRead:
      answer_read(bytes);
      return true;
    case Op::kFind:
      answer_with_addresses(Module::program().objects_of(text_of(bytes)));
      return true;
    case Op::kMatch:
      answer_with_addresses(scan::Pattern(text_of(bytes)).find(Module::program().segments, kMostMatches));
      return true;
    case Op::kSave:
      // It returns a second time when the host goes back to it; that request is then to be answered.
      if (!host->states->save(take<uint32_t>(bytes))) publish();
      break;
    case Op::kRestore:
      host->states->restore(take<uint32_t>(bytes));
      break;
    case Op::kWatch:
      watch(bytes);
      publish();
      break;
    case Op::kQuit:
      _exit(0);
    default:
      return false;
  }
  host->answer();
  return true;
}

}  // namespace frameperfect::hook
