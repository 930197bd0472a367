// New states from old ones: load, advance, read memory, save; on as many threads as there are cores.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libretro/core.hpp"
#include "libretro/crew.hpp"
#include "libretro/memory_reader.hpp"
#include "search/state_store.hpp"
#include "video/preprocessor.hpp"

namespace frameperfect::libretro {

// Jobs side by side; C order. All that is pointed at belongs to the caller.
struct ExpandJobs {
  size_t count = 0;
  const uint32_t* states = nullptr;  // (count,) ids in the store
  const uint32_t* inputs = nullptr;  // (count, ports) masks in the controllers' own bit order
  const uint32_t* frames = nullptr;  // (count,) how long they are held
  uint32_t* children = nullptr;      // (count,) ids of the new states, each held once
  uint8_t* rows = nullptr;           // (count, bytes of the spans): memory after the last frame
  uint8_t* pictures = nullptr;       // (count, picture_bytes): the last frame, where pictures are wanted
};

// Owned by one thread. What comes out depends on the jobs alone, not on the number of cores.
class Expander {
 public:
  using Cores = std::vector<std::shared_ptr<Core>>;
  Expander(Cores cores, std::vector<ButtonMap> buttons, MemoryReader reader,
           std::shared_ptr<search::StateStore> store);

  size_t ports() const { return buttons_.size(); }
  size_t row_bytes() const { return reader_.row_bytes(); }
  size_t picture_bytes() const { return eyes_.empty() ? 0 : eyes_.front().frame_bytes(); }

  // From now on every job gives its last frame as a picture of this shape, whose stack is 1.
  void watch(const video::Shape& shape);

  // Throws StateError, search::StoreFull or what a core threw; the children are then released again.
  void run(const ExpandJobs& jobs);

  // The moment at which the first core stands, as a state; its row goes to `row`.
  uint32_t capture(uint8_t* row);
  // Bring the first core to a state.
  void show(uint32_t state);

 private:
  void work(size_t core, const ExpandJobs& jobs);
  void keep(Core& core, uint32_t id);

  const Cores cores_;
  const std::vector<ButtonMap> buttons_;
  const MemoryReader reader_;
  const std::shared_ptr<search::StateStore> store_;
  std::vector<video::Preprocessor> eyes_;  // by core; none where no pictures are wanted
  std::atomic<size_t> next_{0};
  std::vector<std::exception_ptr> failures_;  // by core
  Crew crew_;                                 // last, so that its threads end first
};

}  // namespace frameperfect::libretro
