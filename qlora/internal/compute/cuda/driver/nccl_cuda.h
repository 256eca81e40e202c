//go:build cuda && cgo && linux && amd64

#ifndef BOREA_CUDA_NCCL
#define BOREA_CUDA_NCCL
#include <cuda.h>
#include <stddef.h>
#include <stdint.h>

/* What is used of NCCL, declared here so that its header is not needed. Codes are
   ncclResult_t, 0 for success; a communicator and a stream are pointers. */
typedef struct {
	int (*init)(void **comms, int n, const int *devices);
	int (*destroy)(void *comm);
	int (*abort)(void *comm);
	int (*begin)(void);
	int (*end)(void);
	int (*send)(const void *p, size_t n, int type, int peer, void *comm, CUstream s);
	int (*recv)(void *p, size_t n, int type, int peer, void *comm, CUstream s);
	const char *(*text)(int code);
	int (*version)(int *v);
} borea_nccl;

/* Fills lib from the library at path; else returns what is missing. */
const char *borea_nccl_open(borea_nccl *lib, const char *path);
/* ctx is made current first: NCCL leaves the thread on the device it found. */
int borea_nccl_init(const borea_nccl *lib, CUcontext ctx, void **comms, int n, const int *devices);
/* Rank i sends count[i*n+j] floats at from[i*n+j] to rank j, which has them come
   to to[i*n+j]; all at once, each rank on its stream. */
int borea_nccl_exchange(const borea_nccl *lib, CUcontext ctx, void **comms, int n, const CUstream *streams, const uint64_t *from, const uint64_t *to, const size_t *count);
/* Queues the receiving of n floats alone. */
int borea_nccl_await(const borea_nccl *lib, CUcontext ctx, void *comm, CUstream s, uint64_t to, size_t n, int from);
int borea_nccl_abort(const borea_nccl *lib, CUcontext ctx, void *comm);
int borea_nccl_destroy(const borea_nccl *lib, CUcontext ctx, void *comm);
const char *borea_nccl_text(const borea_nccl *lib, int code);
int borea_nccl_version(const borea_nccl *lib, int *v);
#endif
