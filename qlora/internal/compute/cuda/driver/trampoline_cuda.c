//go:build cuda && cgo && linux && amd64

#include <dlfcn.h>
#include <stddef.h>

#include "trampoline_cuda.h"

/* Codes of CUresult, named here because this file must not see cuda.h, whose
   declarations of the same names differ. */
enum { noDevice = 100, notFound = 500 };

enum {
#define NAME(f) at_##f,
	ENTRIES(NAME)
#undef NAME
	entries
};

static int absent(void) { return noDevice; }
static int missing(void) { return notFound; }

__attribute__((visibility("hidden"))) void *borea_cuda_entry[entries];
static int (*realInit)(unsigned);
static int (*realCount)(int *);
static int initResult = noDevice;

/* A jump keeps registers and stack as the caller left them, so one instruction
   serves every signature. */
#define STRING(x) #x
#define JUMP(f)                                                        \
	__asm__(".text\n.globl " #f "\n.type " #f ", @function\n" #f ":\n" \
			"jmp *borea_cuda_entry+8*borea_at_" #f "(%rip)\n");
#define INDEX(f) __asm__(".set borea_at_" #f ", %c0" ::"i"(at_##f));
ENTRIES(JUMP)

/* Gives the assembler the indices that the jumps above use. */
__attribute__((used)) static void indices(void) { ENTRIES(INDEX) }

static void fill(void *lib) {
	static const char *const names[entries] = {
#define NAME(f) #f,
		ENTRIES(NAME)
#undef NAME
	};
	for (int i = 0; i < entries; i++) {
		borea_cuda_entry[i] = lib ? dlsym(lib, names[i]) : (void *)absent;
		if (!borea_cuda_entry[i]) borea_cuda_entry[i] = (void *)missing;
	}
}

/* Runs before any Go code, so before cu's init. */
__attribute__((constructor)) static void load(void) {
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib) lib = dlopen("/usr/local/nvidia/lib64/libcuda.so.1", RTLD_NOW | RTLD_LOCAL); /* containers */
	fill(lib);
	if (!lib) return;
	realInit = (int (*)(unsigned))dlsym(lib, "cuInit");
	realCount = (int (*)(int *))dlsym(lib, "cuDeviceGetCount");
}

/* cu ends the process when cuInit fails; a failure is reported by borea_cuda_init
   instead, and there are no devices then. */
int cuInit(unsigned flags) {
	if (realInit) initResult = realInit(flags);
	return 0;
}

int cuDeviceGetCount(int *n) {
	*n = 0;
	return initResult || !realCount ? 0 : realCount(n);
}

/* Whether the library was found, and what cuInit returned. */
int borea_cuda_init(int *result) {
	*result = initResult;
	return realInit != NULL;
}
