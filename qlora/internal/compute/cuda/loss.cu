// Softmax cross-entropy of rows of logits, in place.
//
//   nll = w·(ln Σ exp z - z[y]);  z <- w·(softmax(z) - onehot(y))
//
// Shapes: z F32 [n, V]; the gradient replaces a row as Real, from the row's
// first byte on. Launch: n blocks of 512 threads. Limiter: memory, three passes.
#include "real.cuh"

template <class T>
__device__ void crossEntropy(float *nll, float *z, const int *target, const float *weight, int v, int first, int back, int *fault) {
	__shared__ float sums[32];
	__shared__ double wide[32];
	int t = first + blockIdx.x, y = target[t];
	float w = weight[t], *row = z + (i64)blockIdx.x * v;
	T *out = (T *)row;
	if (w != 0.f && (y < 0 || y >= v)) {
		if (threadIdx.x == 0) complain(fault, faultTarget, t, y);
		w = 0;
	}
	if (w == 0.f) {
		if (threadIdx.x == 0) nll[t] = 0;
		if (back)
			for (int i = threadIdx.x; i < v; i += blockDim.x) out[i] = narrow<T>(0.f);
		return;
	}
	float top = -INFINITY;
	bool nan = false;
	for (int i = threadIdx.x; i < v; i += blockDim.x) {
		float x = row[i];
		nan |= x != x;
		top = fmaxf(top, x);
	}
#pragma unroll
	for (int o = 16; o > 0; o >>= 1) top = fmaxf(top, __shfl_xor_sync(~0u, top, o));
	if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = top;
	nan = __syncthreads_or(nan);
	for (int i = 0; i < blockDim.x / 32; i++) top = fmaxf(top, sums[i]);
	float hit = row[y], sum = 0;
	for (int i = threadIdx.x; i < v; i += blockDim.x) sum += expf(row[i] - top);
	double total = blockSum((double)sum, wide);
	if (threadIdx.x == 0) nll[t] = nan ? NAN : (float)((double)w * (log(total) + (double)top - (double)hit));
	if (!back) return;
	float f = (float)((double)w / total);
	// Element i of the gradient lies at or before logit i, so a step's logits are
	// read before any of its gradients is written.
	for (int i0 = 0; i0 < v; i0 += blockDim.x * 8) {
		float e[8];
#pragma unroll
		for (int j = 0; j < 8; j++) {
			int i = i0 + j * blockDim.x + threadIdx.x;
			e[j] = i < v ? expf(row[i] - top) * f - (i == y ? w : 0.f) : 0.f;
		}
		__syncthreads();
#pragma unroll
		for (int j = 0; j < 8; j++) {
			int i = i0 + j * blockDim.x + threadIdx.x;
			if (i < v) out[i] = narrow<T>(e[j]);
		}
		__syncthreads();
	}
}

#define KERNELS(T, suffix)                                                                                                                                                            \
	extern "C" __global__ void __launch_bounds__(512) cross_entropy_##suffix(float *nll, float *z, const int *target, const float *weight, int v, int first, int back, int *fault) { \
		crossEntropy<T>(nll, z, target, weight, v, first, back, fault);                                                                                                              \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
