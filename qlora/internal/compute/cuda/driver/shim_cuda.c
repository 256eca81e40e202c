//go:build cuda && cgo && linux && amd64

#include "shim_cuda.h"

CUresult borea_bind(CUcontext ctx) { return cuCtxSetCurrent(ctx); }

#define BIND                          \
	do {                              \
		CUresult bound = borea_bind(ctx); \
		if (bound) return bound;      \
	} while (0)

/* Parameter i lies at[i] bytes into args. */
CUresult borea_launch(CUcontext ctx, CUfunction f, const unsigned *dims, unsigned shared, CUstream s, const void *args, const unsigned short *at, int n) {
	BIND;
	void *params[BOREA_PARAMETERS];
	for (int i = 0; i < BOREA_PARAMETERS; i++) params[i] = (char *)args + (i < n ? at[i] : 0);
	return cuLaunchKernel(f, dims[0], dims[1], dims[2], dims[3], 1, 1, shared, s, params, NULL);
}

CUresult borea_alloc(CUcontext ctx, CUdeviceptr *p, size_t n) { BIND; return cuMemAlloc(p, n); }
CUresult borea_free(CUcontext ctx, CUdeviceptr p) { BIND; return cuMemFree(p); }
CUresult borea_pinned(CUcontext ctx, void **p, size_t n) { BIND; return cuMemHostAlloc(p, n, 0); }
CUresult borea_unpin(CUcontext ctx, void *p) { BIND; return cuMemFreeHost(p); }
CUresult borea_to_device(CUcontext ctx, CUdeviceptr d, const void *h, size_t n, CUstream s) { BIND; return cuMemcpyHtoDAsync(d, h, n, s); }
CUresult borea_to_host(CUcontext ctx, void *h, CUdeviceptr d, size_t n, CUstream s) { BIND; return cuMemcpyDtoHAsync(h, d, n, s); }
CUresult borea_copy(CUcontext ctx, CUdeviceptr d, CUdeviceptr from, size_t n, CUstream s) { BIND; return cuMemcpyDtoDAsync(d, from, n, s); }
CUresult borea_set(CUcontext ctx, CUdeviceptr d, unsigned char v, size_t n, CUstream s) { BIND; return cuMemsetD8Async(d, v, n, s); }
CUresult borea_sync(CUcontext ctx, CUstream s) { BIND; return cuStreamSynchronize(s); }
CUresult borea_stream(CUcontext ctx, CUstream *s) { BIND; return cuStreamCreate(s, CU_STREAM_NON_BLOCKING); }
CUresult borea_stream_free(CUcontext ctx, CUstream s) { BIND; return cuStreamDestroy(s); }

CUresult borea_shared(CUcontext ctx, CUfunction f, int bytes) {
	BIND;
	return cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}

CUresult borea_attribute(CUcontext ctx, CUfunction f, CUfunction_attribute a, int *v) { BIND; return cuFuncGetAttribute(v, a, f); }
CUresult borea_event(CUcontext ctx, CUevent *e, unsigned flags) { BIND; return cuEventCreate(e, flags); }
CUresult borea_event_free(CUcontext ctx, CUevent e) { BIND; return cuEventDestroy(e); }
CUresult borea_event_record(CUcontext ctx, CUevent e, CUstream s) { BIND; return cuEventRecord(e, s); }
CUresult borea_event_sync(CUcontext ctx, CUevent e) { BIND; return cuEventSynchronize(e); }
CUresult borea_event_wait(CUcontext ctx, CUevent e, CUstream s) { BIND; return cuStreamWaitEvent(s, e, 0); }
CUresult borea_event_elapsed(CUcontext ctx, CUevent a, CUevent b, float *ms) { BIND; return cuEventElapsedTime(ms, a, b); }
CUresult borea_capture(CUcontext ctx, CUstream s) { BIND; return cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED); }

CUresult borea_capture_end(CUcontext ctx, CUstream s, CUgraphExec *exec) {
	BIND;
	CUgraph graph = NULL;
	CUresult r = cuStreamEndCapture(s, &graph);
	if (r) return r;
	r = cuGraphInstantiateWithFlags(exec, graph, 0);
	cuGraphDestroy(graph);
	return r;
}

CUresult borea_graph_launch(CUcontext ctx, CUgraphExec exec, CUstream s) { BIND; return cuGraphLaunch(exec, s); }
CUresult borea_graph_free(CUcontext ctx, CUgraphExec exec) { BIND; return cuGraphExecDestroy(exec); }

CUresult borea_tensor_map(CUcontext ctx, void *map, int type, int rank, CUdeviceptr p, const cuuint64_t *dim, const cuuint64_t *stride, const cuuint32_t *box, int swizzle) {
	BIND;
	CUtensorMap m __attribute__((aligned(64)));
	cuuint32_t one[5] = {1, 1, 1, 1, 1};
	CUresult r = cuTensorMapEncodeTiled(&m, (CUtensorMapDataType)type, rank, (void *)p, dim, stride, box, one, CU_TENSOR_MAP_INTERLEAVE_NONE,
										(CUtensorMapSwizzle)swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	__builtin_memcpy(map, &m, sizeof m);
	return r;
}

CUresult borea_memory(CUcontext ctx, size_t *avail, size_t *total) { BIND; return cuMemGetInfo(avail, total); }

const char *borea_error_name(CUresult r) {
	const char *s = NULL;
	return cuGetErrorName(r, &s) == CUDA_SUCCESS && s ? s : "unknown";
}

const char *borea_error_text(CUresult r) {
	const char *s = NULL;
	return cuGetErrorString(r, &s) == CUDA_SUCCESS && s ? s : "no driver";
}
