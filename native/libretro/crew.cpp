#include "libretro/crew.hpp"

#include <utility>

namespace frameperfect::libretro {

Crew::Crew(size_t size) {
  for (size_t i = 1; i < size; i++) threads_.emplace_back([this] { work(); });
}

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    count_ = next_;
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::start(size_t count, std::function<void(size_t)> job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
    next_ = 0;
    count_ = count;
  }
  // The caller does one job itself; waking more threads than there are others would be for nothing.
  for (size_t i = 0; i < threads_.size() && i < count; i++) begun_.notify_one();
}

void Crew::wait() {
  std::unique_lock lock(mutex_);
  while (next_ < count_) take(lock);
  done_.wait(lock, [this] { return running_ == 0; });
}

void Crew::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    begun_.wait(lock, [this] { return stopping_ || next_ < count_; });
    if (stopping_) return;
    take(lock);
    if (running_ == 0 && next_ == count_) done_.notify_one();
  }
}

void Crew::take(std::unique_lock<std::mutex>& lock) {
  const size_t mine = next_++;
  running_++;
  lock.unlock();
  job_(mine);
  lock.lock();
  running_--;
}

}  // namespace frameperfect::libretro
