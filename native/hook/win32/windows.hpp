// Windows' own headers, which must come in this order.
#pragma once
// clang-format off
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <tlhelp32.h>
// clang-format on
