// A shared library loaded from a private in-memory copy of its file.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace frameperfect::libretro {

// A function of the C library that the copy calls, and what it gets instead.
struct Substitute {
  const char* name;
  void* function;
};

// Owns one loaded copy; every Library has globals of its own, however many are loaded from one file. Loading
// and unloading may happen on any thread.
class Library {
 public:
  // `variables` are looked for by name, those local to a function or a file too (compilers call them
  // "name.0"). Throws CoreError: no such file, not a library, a symbol or a library that it needs is missing.
  Library(const std::string& path, const std::vector<Substitute>& substitutes,
          const std::vector<std::string>& variables = {});
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  // Throws CoreError.
  template <typename Function>
  void bind(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(symbol(name));
  }
  // The variables asked for, in the copy; none where the file was stripped of its symbol table.
  const std::vector<std::span<uint8_t>>& variables() const { return variables_; }
  // Where the copy lies; equal to dladdr's base for an address in it.
  const void* base() const { return base_; }

 private:
  void* symbol(const char* name) const;

  std::string path_;
  std::vector<std::span<uint8_t>> variables_;
  void* handle_ = nullptr;
  void* base_ = nullptr;
};

}  // namespace frameperfect::libretro
