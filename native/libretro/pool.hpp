// N cores stepped together, their observations written into batch arrays. What each member does at a step:
// frame skip with sticky inputs, video of the frames that count, preprocessing, memory.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libretro/core.hpp"
#include "libretro/crew.hpp"
#include "libretro/memory_reader.hpp"
#include "video/preprocessor.hpp"

namespace frameperfect::libretro {

struct PoolPlan {
  int frame_skip = 1;
  double sticky = 0;
  std::optional<video::Shape> video;
  bool max_pool = true;
  std::vector<ButtonMap> buttons;  // by port
  size_t threads = 1;
};

// The batch arrays, owned by the caller and alive as long as the pool; C order.
struct PoolArrays {
  uint8_t* pixels = nullptr;   // (N, stack, height, width, channels), or none
  uint8_t* rows = nullptr;     // (N, bytes of the spans)
  uint32_t* inputs = nullptr;  // (N, frame_skip, ports)
};

// Why a member did not do its job.
struct Failure {
  size_t index;
  bool state_refused;  // it is as it was; else it crashed
  std::string message;
};

// SplitMix64 (Steele, Lea and Flood 2014): one number is its whole state.
class StickyGenerator {
 public:
  uint64_t state = 0;
  // Uniform in [0, 1).
  double draw() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
  }
};

// Owned by one thread. Between `send` and `recv` nothing else may be called, nor a member's core be entered
// otherwise. Failures are returned after all other members have done their jobs.
class Pool {
 public:
  using Cores = std::vector<std::shared_ptr<Core>>;
  Pool(Cores cores, PoolPlan plan, MemoryReader reader, PoolArrays arrays);

  size_t size() const { return members_.size(); }
  size_t ports() const { return plan_.buttons.size(); }

  // (N, ports) masks in the controllers' own bit order and, unless null, N flags; both are copied.
  void send(const uint32_t* masks, const bool* active);
  std::vector<Failure> recv();

  // Start episodes: restore the core's state (as Core::save wrote it; an empty one means that the core is
  // where it must be), forget the previous inputs, seed the generator, fill the stack and the row.
  struct Start {
    size_t index;
    std::span<const uint8_t> state;
    uint64_t seed;
  };
  std::vector<Failure> begin(std::vector<Start> starts);

  // The part of a member that is not its core's.
  struct MemberState {
    uint64_t sticky;
    std::vector<uint32_t> previous;  // by port
  };
  MemberState member(size_t index) const;
  void set_member(size_t index, const MemberState& state);
  void gather(size_t index);  // its row anew

  // From now on draw this member's last frame of each step even if no video was asked for.
  void watch(size_t index) { members_[index]->watched = true; }
  void replace(size_t index, std::shared_ptr<Core> core);

 private:
  struct Member {
    std::shared_ptr<Core> core;
    std::optional<video::Preprocessor> preprocessor;
    std::array<uint32_t, Core::kMaxPorts> previous{};
    StickyGenerator sticky;
    bool watched = false;
    std::optional<Failure> failure;
  };

  template <typename Job>
  void attempt(size_t index, Job job);
  void step_member(size_t index);
  void begin_member(const Start& start);
  std::vector<Failure> finish();
  uint8_t* pixels(size_t index);

  const PoolPlan plan_;
  const MemoryReader reader_;
  const PoolArrays arrays_;
  std::vector<std::unique_ptr<Member>> members_;  // each on its own: threads write to neighbours
  std::vector<uint32_t> masks_;
  std::vector<size_t> stepping_;
  bool sent_ = false;
  Crew crew_;  // last, so that its threads end first
};

}  // namespace frameperfect::libretro
