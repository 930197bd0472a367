#include "libretro/pool.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "libretro/view.hpp"

namespace frameperfect::libretro {

Pool::Pool(Cores cores, PoolPlan plan, MemoryReader reader, PoolArrays arrays)
    : plan_(std::move(plan)),
      reader_(std::move(reader)),
      arrays_(arrays),
      masks_(cores.size() * plan_.buttons.size()),
      crew_(std::min(plan_.threads, cores.size())) {
  for (auto& core : cores) {
    auto member = std::make_unique<Member>();
    member->core = std::move(core);
    if (plan_.video) member->preprocessor.emplace(*plan_.video);
    members_.push_back(std::move(member));
  }
  stepping_.reserve(size());
}

void Pool::send(const uint32_t* masks, const bool* active) {
  if (sent_) throw std::logic_error("a step is under way: call recv() before the next send()");
  std::copy_n(masks, masks_.size(), masks_.begin());
  stepping_.clear();
  for (size_t i = 0; i < size(); i++) {
    if (!active || active[i]) stepping_.push_back(i);
  }
  sent_ = true;
  crew_.start(stepping_.size(), [this](size_t i) {
    attempt(stepping_[i], [this, index = stepping_[i]] { step_member(index); });
  });
}

std::vector<Failure> Pool::recv() {
  if (!sent_) throw std::logic_error("no step is under way: call send() before recv()");
  auto failures = finish();
  sent_ = false;
  return failures;
}

std::vector<Failure> Pool::begin(std::vector<Start> starts) {
  if (sent_) throw std::logic_error("a step is under way: call recv() first");
  crew_.start(starts.size(), [this, &starts](size_t i) {
    attempt(starts[i].index, [this, &start = starts[i]] { begin_member(start); });
  });
  return finish();
}

template <typename Job>
void Pool::attempt(size_t index, Job job) {
  auto& failure = members_[index]->failure;
  try {
    job();
  } catch (const StateError& refused) {
    failure = {index, true, refused.what()};
  } catch (const std::exception& error) {
    failure = {index, false, error.what()};
  }
}

std::vector<Failure> Pool::finish() {
  crew_.wait();
  std::vector<Failure> failures;
  for (auto& member : members_) {
    if (member->failure) failures.push_back(*std::exchange(member->failure, std::nullopt));
  }
  return failures;
}

uint8_t* Pool::pixels(size_t index) {
  return arrays_.pixels + index * members_[index]->preprocessor->stack_bytes();
}

void Pool::step_member(size_t index) {
  Member& member = *members_[index];
  Core& core = *member.core;
  const uint32_t* const wanted = masks_.data() + index * ports();
  uint32_t* inputs = arrays_.inputs + index * plan_.frame_skip * ports();
  const bool two = plan_.video && plan_.max_pool;
  std::array<PortState, Core::kMaxPorts> pads{};
  const auto press = [&] {
    for (size_t port = 0; port < ports(); port++) {
      pads[port].buttons = plan_.buttons[port].retropad(member.previous[port]);
    }
  };
  press();
  for (int left = plan_.frame_skip - 1; left >= 0; left--, inputs += ports()) {
    const bool sticks = plan_.sticky > 0 && member.sticky.draw() < plan_.sticky;
    if (!sticks && !std::equal(wanted, wanted + ports(), member.previous.begin())) {
      std::copy_n(wanted, ports(), member.previous.begin());
      press();
    }
    std::copy_n(member.previous.begin(), ports(), inputs);
    const bool seen = plan_.video ? left == 0 || (two && left == 1) : left == 0 && member.watched;
    core.run({pads.data(), ports()}, seen);
    if (two && left == 1) member.preprocessor->keep(view(core.picture()));
  }
  if (plan_.video) member.preprocessor->push(view(core.picture()), pixels(index));
  gather(index);
}

void Pool::begin_member(const Start& start) {
  Member& member = *members_[start.index];
  if (!start.state.empty()) member.core->restore(start.state);
  member.previous.fill(0);
  member.sticky.state = start.seed;
  std::fill_n(arrays_.inputs + start.index * plan_.frame_skip * ports(), plan_.frame_skip * ports(), 0);
  if (plan_.video) member.preprocessor->fill(view(member.core->picture()), pixels(start.index));
  gather(start.index);
}

Pool::MemberState Pool::member(size_t index) const {
  const Member& member = *members_[index];
  return {member.sticky.state, {member.previous.begin(), member.previous.begin() + ports()}};
}

void Pool::set_member(size_t index, const MemberState& state) {
  Member& member = *members_[index];
  member.sticky.state = state.sticky;
  std::copy_n(state.previous.begin(), std::min(state.previous.size(), ports()), member.previous.begin());
}

void Pool::gather(size_t index) {
  reader_.read(*members_[index]->core, arrays_.rows + index * reader_.row_bytes());
}

void Pool::replace(size_t index, std::shared_ptr<Core> core) { members_[index]->core = std::move(core); }

}  // namespace frameperfect::libretro
