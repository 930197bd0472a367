#include "libretro/expand.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "libretro/view.hpp"

namespace frameperfect::libretro {
namespace {

// Jobs that a thread takes at once: neighbours are children of one state, which then is in its cache.
constexpr size_t kBlock = 8;

}  // namespace

Expander::Expander(Cores cores, std::vector<ButtonMap> buttons, MemoryReader reader,
                   std::shared_ptr<search::StateStore> store)
    : cores_(std::move(cores)),
      buttons_(std::move(buttons)),
      reader_(std::move(reader)),
      store_(std::move(store)),
      failures_(cores_.size()),
      crew_(cores_.size()) {}

void Expander::watch(const video::Shape& shape) { eyes_.assign(cores_.size(), video::Preprocessor(shape)); }

void Expander::run(const ExpandJobs& jobs) {
  store_->reserve({jobs.children, jobs.count});
  next_ = 0;
  crew_.start(cores_.size(), [this, &jobs](size_t i) {
    try {
      work(i, jobs);
    } catch (...) {
      failures_[i] = std::current_exception();
      next_ = jobs.count;  // the others stop as well
    }
  });
  crew_.wait();
  std::exception_ptr first;
  for (auto& failure : failures_) {
    if (auto mine = std::exchange(failure, nullptr); mine && !first) first = mine;
  }
  if (!first) return;
  for (size_t i = 0; i < jobs.count; i++) store_->release(jobs.children[i]);
  std::rethrow_exception(first);
}

void Expander::work(size_t mine, const ExpandJobs& jobs) {
  Core& core = *cores_[mine];
  const bool watching = jobs.pictures && !eyes_.empty();
  std::vector<uint8_t> buffer;
  std::array<PortState, Core::kMaxPorts> pads{};
  for (size_t begin = next_.fetch_add(kBlock); begin < jobs.count; begin = next_.fetch_add(kBlock)) {
    const size_t end = std::min(begin + kBlock, jobs.count);
    for (size_t i = begin; i < end; i++) {
      // Neighbours often come from one state.
      if (i == begin || jobs.states[i] != jobs.states[i - 1]) store_->read(jobs.states[i], buffer);
      core.resume(buffer);
      for (size_t port = 0; port < ports(); port++) {
        pads[port].buttons = buttons_[port].retropad(jobs.inputs[i * ports() + port]);
      }
      for (uint32_t left = jobs.frames[i]; left > 0; left--) {
        core.run({pads.data(), ports()}, watching && left == 1);
      }
      reader_.read(core, jobs.rows + i * row_bytes());
      if (watching) eyes_[mine].fill(view(core.picture()), jobs.pictures + i * picture_bytes());
      keep(core, jobs.children[i]);
    }
  }
}

void Expander::keep(Core& core, uint32_t id) {
  thread_local std::vector<uint8_t> snapshot;
  core.snapshot(snapshot);
  store_->fill(id, snapshot);
}

uint32_t Expander::capture(uint8_t* row) {
  uint32_t id = 0;
  store_->reserve({&id, 1});
  keep(*cores_[0], id);
  reader_.read(*cores_[0], row);
  return id;
}

void Expander::show(uint32_t state) {
  std::vector<uint8_t> buffer;
  cores_[0]->resume(store_->read(state, buffer));
}

}  // namespace frameperfect::libretro
