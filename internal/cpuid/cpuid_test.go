package cpuid

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestAgreesWithLinux compares with the kernel's own reading.
func TestAgreesWithLinux(t *testing.T) {
	if X86 == (Features{}) {
		t.Skip("no x86 features here")
	}
	flags := kernelFlags(t)
	for flag, got := range map[string]bool{
		"avx2": X86.AVX2, "fma": X86.FMA, "f16c": X86.F16C, "avx512f": X86.AVX512F, "avx512bw": X86.AVX512BW,
		"avx512vl": X86.AVX512VL, "avx512dq": X86.AVX512DQ, "avx512_vnni": X86.AVX512VNNI,
		"avx512_bf16": X86.AVX512BF16, "avx_vnni": X86.AVXVNNI, "amx_tile": X86.AMXTile,
		"amx_int8": X86.AMXInt8, "amx_bf16": X86.AMXBF16,
	} {
		if got != flags[flag] {
			t.Errorf("%s: %v, the kernel says %v", flag, got, flags[flag])
		}
	}
}

func kernelFlags(t *testing.T) map[string]bool {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		t.Skipf("no cpuinfo on %s", runtime.GOOS)
	}
	defer f.Close()
	flags := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, list, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "flags" {
			for _, v := range strings.Fields(list) {
				flags[v] = true
			}
			return flags
		}
	}
	return flags
}

func TestStateThatIsNotSavedHidesTheSet(t *testing.T) {
	all := registers{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}
	for xcr0, want := range map[uint64][3]bool{ // AVX2, AVX512F, AMXInt8
		0: {}, 0x6: {true}, 0xe6: {true, true}, 0x600e6: {true, true, true},
	} {
		f := decode(all, all, all, xcr0)
		if got := [3]bool{f.AVX2, f.AVX512F, f.AMXInt8}; got != want {
			t.Errorf("xcr0 %#x: %v, want %v", xcr0, got, want)
		}
	}
}

// Choose a kernel once, when a device is opened.
func Example() {
	path := "portable"
	if f := X86; f.AVX2 && f.FMA {
		path = "assembly"
	}
	fmt.Println(path != "")
	// Output: true
}
