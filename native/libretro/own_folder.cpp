#include "libretro/own_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>

namespace frameperfect::libretro {
namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "frameperfect-core-";

// The folder, locked for as long as it stays open; below 0 where somebody has it, or it is gone.
int locked(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return -1;
  struct stat found{};
  // It may have been swept away between its making and this.
  if (::flock(folder, LOCK_EX | LOCK_NB) == 0 && ::fstat(folder, &found) == 0 && found.st_nlink > 0 &&
      found.st_uid == ::geteuid())
    return folder;
  ::close(folder);
  return -1;
}

void sweep(const fs::path& among) {
  std::error_code failed, ignored;
  for (fs::directory_iterator one(among, failed), end; !failed && one != end; one.increment(failed)) {
    if (!one->path().filename().string().starts_with(kPrefix)) continue;
    const int left = locked(one->path().string());
    if (left < 0) continue;
    fs::remove_all(one->path(), ignored);
    ::close(left);
  }
}

}  // namespace

OwnFolder::OwnFolder() {
  std::error_code failed;
  const fs::path among = fs::temp_directory_path(failed);
  if (failed) return;
  static std::once_flag swept;
  std::call_once(swept, sweep, among);
  std::string name;
  do {
    name = (among / kPrefix).string() + "XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return;
    lock_ = locked(name);
  } while (lock_ < 0 && !fs::exists(name, failed));  // somebody swept it away before it was locked
  path_ = name;
}

OwnFolder::~OwnFolder() {
  if (path_ == ".") return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace frameperfect::libretro
