#include "hook/requests.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "hook/module.hpp"

namespace frameperfect::hook {

constinit WatchList watches;

bool read_safely(uintptr_t address, void* out, size_t length) {
  iovec here{out, length}, there{reinterpret_cast<void*>(address), length};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(length);
}

namespace {

void read_memory(std::span<const uint8_t> bytes) {
  const auto address = take<uint64_t>(bytes);
  const auto length = take<uint32_t>(bytes);
  std::string out(length, '\0');
  if (!read_safely(address, out.data(), length)) throw std::runtime_error("the game has no such memory");
  host->answer({reinterpret_cast<const uint8_t*>(out.data()), out.size()});
}

void find_objects(std::span<const uint8_t> bytes) {
  const auto objects =
      Module::program().objects_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  host->answer({reinterpret_cast<const uint8_t*>(objects.data()), objects.size() * sizeof(uintptr_t)});
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
      answer_with(Measure{states.slot_bytes(), states.save_ns(), states.restore_ns(), states.tracked_bytes()});
      return true;
    case Op::kRead:
      read_memory(bytes);
      return true;
    case Op::kFind:
      find_objects(bytes);
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
