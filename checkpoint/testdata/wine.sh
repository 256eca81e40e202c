#!/usr/bin/env bash
# Runs the tests of the crash-safe packages as Windows programs under Wine, lock,
# rename and kill included. Needs wine64; with a Wine that has no
# bcryptprimitives.dll (8.0), which every Go program loads, also
# gcc-mingw-w64-x86-64 to build one. From anywhere: bash checkpoint/testdata/wine.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
[ -x "$wine" ] || { echo "wine64 is not installed: skipped"; exit 0; }
work=$(mktemp -d)
trap 'sleep 5; rm -rf "$work"' EXIT # Wine's server lives on for some seconds
export WINEPREFIX=$work/prefix WINEDEBUG=-all BOREA_CRASH_STATES=${BOREA_CRASH_STATES:-20000}
"$wine" wineboot --init >/dev/null 2>&1 || true

system=$WINEPREFIX/drive_c/windows/system32
if [ ! -e "$system/bcryptprimitives.dll" ]; then
	cat >"$work/prng.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return SystemFunction036(p, (ULONG)n); }
C
	x86_64-w64-mingw32-gcc -shared -o "$system/bcryptprimitives.dll" "$work/prng.c" -ladvapi32
	export WINEDLLOVERRIDES='bcryptprimitives=n'
fi

for pkg in internal/crashfs internal/atomicfile checkpoint/internal/sealed checkpoint checkpoint/stage; do
	GOOS=windows go test -c -o "$work/test.exe" "./$pkg"
	(cd "$pkg" && "$wine" "$work/test.exe" -test.timeout=10m) || { echo "$pkg fails"; exit 1; }
	echo "$pkg passes"
done
