// A few threads that do numbered jobs together.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace frameperfect::libretro {

// Owned by one thread, the caller's, which helps while it waits: a crew of one has no other and does all jobs
// in `wait`. Who is free takes the next job, so that uneven jobs balance; nobody spins.
class Crew {
 public:
  // `size` threads at work, the caller's among them.
  explicit Crew(size_t size);
  // Waits for the jobs that have begun; those that have not are dropped.
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Begin job(0) to job(count - 1) and return at once. Jobs must not throw. Not before the last `wait` is
  // over.
  void start(size_t count, std::function<void(size_t)> job);
  void wait();

 private:
  void work();
  void take(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;  // guards all that follows but the threads
  std::condition_variable begun_, done_;
  std::function<void(size_t)> job_;
  size_t next_ = 0, count_ = 0, running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace frameperfect::libretro
