#!/bin/bash
# Builds and runs the native tests: plain, under AddressSanitizer and UndefinedBehaviorSanitizer, and under
# ThreadSanitizer. Usage: native/tests/run.sh [plain] [address,undefined] [thread]
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
[ $# -gt 0 ] || set -- plain address,undefined thread

# ThreadSanitizer's shadow memory has no place for a randomised address space on newer kernels.
run=()
if setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi

for sanitizer in "$@"; do
  folder="build/native-tests-${sanitizer//,/-}"
  [ "$sanitizer" = plain ] && option="" || option="$sanitizer"
  cmake -S native/tests -B "$folder" -DFRAMEPERFECT_SANITIZE="$option" -DCMAKE_BUILD_TYPE=None >/dev/null
  cmake --build "$folder" --parallel 2 | grep -E "error|warning|FAILED" || [ "${PIPESTATUS[0]}" -eq 0 ]
  echo "native tests: $sanitizer"
  "${run[@]}" "$folder/native_tests" "$folder/fake_libretro.so"
done
