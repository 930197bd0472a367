// Starts a game with the library in it, or puts it into one that runs:
//   frameperfect_launch LIBRARY TOLD -- GAME [ARGUMENT...]
//   frameperfect_launch LIBRARY TOLD PROCESS        (its number, or its program's name where one runs)
// TOLD is what the library is told, its last number (the game's first thread) left out. A game that was
// started ends with this program and this program with it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hook/win32/windows.hpp"

namespace {

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "frameperfect: %s (Windows error %lu)\n", what.c_str(), GetLastError());
  std::exit(2);
}

// As a program takes its command line apart:
// https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments
std::string quoted(const char* argument) {
  std::string out = "\"";
  size_t backslashes = 0;
  for (const char* c = argument; *c != 0; ++c) {
    if (*c == '\\') {
      ++backslashes;
    } else {
      if (*c == '"') out.append(backslashes + 1, '\\');
      backslashes = 0;
    }
    out += *c;
  }
  return out.append(backslashes, '\\') + '"';
}

// Text in the other process.
void* placed(HANDLE process, const std::string& text) {
  void* at = VirtualAllocEx(process, nullptr, text.size() + 1, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (at == nullptr || !WriteProcessMemory(process, at, text.c_str(), text.size() + 1, nullptr))
    fail("the game's memory can't be written");
  return at;
}

DWORD called(HANDLE process, void* function, void* argument) {
  const HANDLE thread = CreateRemoteThread(
      process, nullptr, 0, reinterpret_cast<LPTHREAD_START_ROUTINE>(function), argument, 0, nullptr);
  if (thread == nullptr) fail("the game lets no thread of ours in");
  WaitForSingleObject(thread, INFINITE);
  DWORD result = 0;
  GetExitCodeThread(thread, &result);
  CloseHandle(thread);
  return result;
}

// Where the other process has loaded a library; null where it has not.
char* loaded_at(DWORD pid, const std::string& library) {
  const HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPMODULE | TH32CS_SNAPMODULE32, pid);
  if (list == INVALID_HANDLE_VALUE) return nullptr;
  MODULEENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  char* found = nullptr;
  const std::string name = library.substr(library.find_last_of("\\/") + 1);
  for (BOOL more = Module32First(list, &entry); more && found == nullptr; more = Module32Next(list, &entry))
    if (_stricmp(entry.szModule, name.c_str()) == 0) found = reinterpret_cast<char*>(entry.modBaseAddr);
  CloseHandle(list);
  return found;
}

void enter(HANDLE process, DWORD pid, const std::string& library, const std::string& told) {
  BOOL narrow = FALSE, own = FALSE;
  IsWow64Process(process, &narrow);
  IsWow64Process(GetCurrentProcess(), &own);
  if (narrow != own) fail("the game is a program of another width; its own launcher is needed");
  auto* load = reinterpret_cast<void*>(GetProcAddress(GetModuleHandleA("kernel32"), "LoadLibraryA"));
  called(process, load, placed(process, library));
  char* there = loaded_at(pid, library);
  if (there == nullptr) fail("the game did not load " + library);
  // The function lies as far from the library's begin there as here.
  const HMODULE here = LoadLibraryExA(library.c_str(), nullptr, DONT_RESOLVE_DLL_REFERENCES);
  if (here == nullptr) fail(library + " can't be read");
  const auto distance =
      reinterpret_cast<char*>(GetProcAddress(here, "frameperfect_attach")) - reinterpret_cast<char*>(here);
  if (called(process, there + distance, placed(process, told)) != 1) fail("the hook did not reach its host");
}

// By its number, or by its program's name.
DWORD find_process(const char* given) {
  if (const DWORD pid = static_cast<DWORD>(std::strtoul(given, nullptr, 10))) return pid;
  const HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
  PROCESSENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  DWORD found = 0;
  for (BOOL more = Process32First(list, &entry); more; more = Process32Next(list, &entry)) {
    if (_stricmp(entry.szExeFile, given) != 0) continue;
    if (found != 0) fail(std::string("several processes are ") + given + "; give the number of one");
    found = entry.th32ProcessID;
  }
  CloseHandle(list);
  if (found == 0) fail(std::string("no process is ") + given);
  return found;
}

int start(const std::string& library, const std::string& told, int count, char** words) {
  std::string line;
  for (int i = 0; i < count; ++i) line += (i > 0 ? " " : "") + quoted(words[i]);
  std::string folder = words[0];
  folder.resize(folder.find_last_of("\\/") == std::string::npos ? 0 : folder.find_last_of("\\/"));
  STARTUPINFOA setup{};
  setup.cb = sizeof(setup);
  PROCESS_INFORMATION game{};
  if (!CreateProcessA(words[0], line.data(), nullptr, nullptr, TRUE, CREATE_SUSPENDED, nullptr,
                      folder.empty() ? nullptr : folder.c_str(), &setup, &game))
    fail(std::string(words[0]) + " can't be started");
  // It ends when this program's last handle of the job is closed, however that comes.
  const HANDLE job = CreateJobObjectA(nullptr, nullptr);
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof(limits));
  if (!AssignProcessToJobObject(job, game.hProcess)) {
    TerminateProcess(game.hProcess, 2);
    fail("the game can't be bound to this program");
  }
  enter(game.hProcess, game.dwProcessId, library, told + ":" + std::to_string(game.dwThreadId));
  ResumeThread(game.hThread);
  WaitForSingleObject(game.hProcess, INFINITE);
  DWORD code = 0;
  GetExitCodeProcess(game.hProcess, &code);
  return static_cast<int>(code);
}

}  // namespace

int main(int count, char** words) {
  if (count == 4) {
    const DWORD pid = find_process(words[3]);
    const HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, pid);
    if (process == nullptr)
      fail(std::string("there is no process ") + words[3] + ", or it may not be entered");
    enter(process, pid, words[1], std::string(words[2]) + ":0");
    return 0;
  }
  if (count < 5 || std::strcmp(words[3], "--") != 0)
    fail("use: LIBRARY TOLD -- GAME..., or LIBRARY TOLD PID");
  return start(words[1], words[2], count - 4, words + 4);
}
