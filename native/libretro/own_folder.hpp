// A folder for what one machine's core writes by itself, away from every other machine's.
//
// It goes with the object. A process that is killed leaves its folders behind; since a lock on each
// (flock(2)) went with the process, the next one to make a folder finds them free and sweeps them away.
#pragma once
#include <string>

namespace frameperfect::libretro {

class OwnFolder {
 public:
  // An empty one among the temporary files; "." where none can be made. Any thread.
  OwnFolder();
  ~OwnFolder();
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_ = ".";
  int lock_ = -1;  // the folder, open and locked
};

}  // namespace frameperfect::libretro
