//go:build cuda && cgo && linux && amd64

#include <dlfcn.h>

#include "nccl_cuda.h"
#include "shim_cuda.h"

enum { float32 = 7 /* ncclFloat32 */, unhandledCuda = 1 /* ncclUnhandledCudaError */ };

const char *borea_nccl_open(borea_nccl *lib, const char *path) {
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) return path;
	static const char *const names[] = {"ncclCommInitAll", "ncclCommDestroy", "ncclCommAbort", "ncclGroupStart", "ncclGroupEnd",
										"ncclSend", "ncclRecv", "ncclGetErrorString", "ncclGetVersion"};
	void **to[] = {(void **)&lib->init, (void **)&lib->destroy, (void **)&lib->abort, (void **)&lib->begin, (void **)&lib->end,
				   (void **)&lib->send, (void **)&lib->recv, (void **)&lib->text, (void **)&lib->version};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!(*to[i] = dlsym(so, names[i]))) return names[i];
	return NULL;
}

#define BIND                                    \
	do {                                        \
		if (borea_bind(ctx)) return unhandledCuda; \
	} while (0)

int borea_nccl_init(const borea_nccl *lib, CUcontext ctx, void **comms, int n, const int *devices) {
	BIND;
	return lib->init(comms, n, devices);
}

/* One C call: a group belongs to the thread that begins it. */
int borea_nccl_exchange(const borea_nccl *lib, CUcontext ctx, void **comms, int n, const CUstream *streams, const uint64_t *from, const uint64_t *to, const size_t *count) {
	BIND;
	int r = lib->begin();
	if (r) return r;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n && !r; j++) {
			int k = i * n + j;
			if (i == j || !count[k]) continue;
			r = lib->send((const void *)from[k], count[k], float32, j, comms[i], streams[i]);
			if (!r) r = lib->recv((void *)to[k], count[k], float32, i, comms[j], streams[j]);
		}
	int e = lib->end();
	return r ? r : e;
}

int borea_nccl_await(const borea_nccl *lib, CUcontext ctx, void *comm, CUstream s, uint64_t to, size_t n, int from) {
	BIND;
	return lib->recv((void *)to, n, float32, from, comm, s);
}

int borea_nccl_abort(const borea_nccl *lib, CUcontext ctx, void *comm) {
	BIND;
	return lib->abort(comm);
}

int borea_nccl_destroy(const borea_nccl *lib, CUcontext ctx, void *comm) {
	BIND;
	return lib->destroy(comm);
}

const char *borea_nccl_text(const borea_nccl *lib, int code) { return lib->text(code); }
int borea_nccl_version(const borea_nccl *lib, int *v) { return lib->version(v); }
