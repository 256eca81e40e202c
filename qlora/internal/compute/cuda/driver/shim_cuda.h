//go:build cuda && cgo && linux && amd64

#ifndef BOREA_CUDA_SHIM
#define BOREA_CUDA_SHIM
#include <cuda.h>
#include <stddef.h>

/* The most parameters of a kernel. */
#define BOREA_PARAMETERS 24

/* Each call makes ctx current on the calling thread first. */
CUresult borea_bind(CUcontext ctx);
CUresult borea_launch(CUcontext ctx, CUfunction f, const unsigned *dims, unsigned shared, CUstream s, const void *args, const unsigned short *at, int n);
CUresult borea_alloc(CUcontext ctx, CUdeviceptr *p, size_t n);
CUresult borea_free(CUcontext ctx, CUdeviceptr p);
CUresult borea_pinned(CUcontext ctx, void **p, size_t n);
CUresult borea_unpin(CUcontext ctx, void *p);
CUresult borea_to_device(CUcontext ctx, CUdeviceptr d, const void *h, size_t n, CUstream s);
CUresult borea_to_host(CUcontext ctx, void *h, CUdeviceptr d, size_t n, CUstream s);
CUresult borea_copy(CUcontext ctx, CUdeviceptr d, CUdeviceptr from, size_t n, CUstream s);
CUresult borea_set(CUcontext ctx, CUdeviceptr d, unsigned char v, size_t n, CUstream s);
CUresult borea_sync(CUcontext ctx, CUstream s);
CUresult borea_stream(CUcontext ctx, CUstream *s);
CUresult borea_stream_free(CUcontext ctx, CUstream s);
CUresult borea_shared(CUcontext ctx, CUfunction f, int bytes);
CUresult borea_attribute(CUcontext ctx, CUfunction f, CUfunction_attribute a, int *v);
CUresult borea_event(CUcontext ctx, CUevent *e, unsigned flags);
CUresult borea_event_free(CUcontext ctx, CUevent e);
CUresult borea_event_record(CUcontext ctx, CUevent e, CUstream s);
CUresult borea_event_sync(CUcontext ctx, CUevent e);
CUresult borea_event_wait(CUcontext ctx, CUevent e, CUstream s);
CUresult borea_event_elapsed(CUcontext ctx, CUevent a, CUevent b, float *ms);
CUresult borea_capture(CUcontext ctx, CUstream s);
CUresult borea_capture_end(CUcontext ctx, CUstream s, CUgraphExec *exec);
CUresult borea_graph_launch(CUcontext ctx, CUgraphExec exec, CUstream s);
CUresult borea_graph_free(CUcontext ctx, CUgraphExec exec);
CUresult borea_tensor_map(CUcontext ctx, void *map, int type, int rank, CUdeviceptr p, const cuuint64_t *dim, const cuuint64_t *stride, const cuuint32_t *box, int swizzle);
CUresult borea_memory(CUcontext ctx, size_t *avail, size_t *total);
const char *borea_error_name(CUresult r);
const char *borea_error_text(CUresult r);
int borea_cuda_init(int *result);
#endif
