// AdamW with float32 or 8-bit block-wise moments, the gradient norm and its clip.
//
//   m = b1·m + (1-b1)·g,  v = b2·v + (1-b2)·g²
//   p -= lr·(m/bias1/(sqrt(v/bias2)+eps) + decay·p)
//
// (arXiv 1412.6980, algorithm 1; 1711.05101.) Each product is rounded before it
// is added, so bits equal the CPU's. 8-bit moments: blocks of 256, codes of the
// dynamic map, nearest entry, one absmax a block (arXiv 1511.04561, 2110.02861).
// hyper: learning rate, 1-b1^t, 1-b2^t, clip. Launch: blocks of 256 threads, one
// element each; squares: spans of 16384 in float64, then one block in order.
// Limiter: memory.
#include "real.cuh"

struct Adam {
	float b1, b2, eps, lr, decay, bias1, bias2, clip;
};

__device__ __forceinline__ Adam constants(const float *hyper, float b1, float b2, float eps, float decay, float scale) {
	return {b1, b2, eps, __fmul_rn(hyper[0], scale), decay, hyper[1], hyper[2], hyper[3]};
}

__device__ __forceinline__ float update(const Adam &s, float p, float g, float &m, float &v) {
	g = __fmul_rn(g, s.clip);
	m = __fadd_rn(__fmul_rn(s.b1, m), __fmul_rn(__fsub_rn(1.f, s.b1), g));
	v = __fadd_rn(__fmul_rn(s.b2, v), __fmul_rn(__fsub_rn(1.f, s.b2), __fmul_rn(g, g)));
	float step = __fdiv_rn(__fdiv_rn(m, s.bias1), __fadd_rn(__fsqrt_rn(__fdiv_rn(v, s.bias2)), s.eps));
	return __fsub_rn(p, __fmul_rn(s.lr, __fadd_rn(step, __fmul_rn(s.decay, p))));
}

extern "C" __global__ void __launch_bounds__(256)
	adamw(float *p, const float *g, float *m, float *v, const float *hyper, i64 n, float b1, float b2, float eps, float decay, float scale) {
	Adam s = constants(hyper, b1, b2, eps, decay, scale);
	i64 i = blockIdx.x * 256ll + threadIdx.x;
	if (i < n) p[i] = update(s, p[i], g[i], m[i], v[i]);
}

// The number of midpoints below x.
__device__ __forceinline__ unsigned char nearest(const float *mid, float x) {
	int lo = 0;
#pragma unroll
	for (int step = 128; step > 0; step >>= 1)
		if (lo + step <= 255 && x > mid[lo + step - 1]) lo += step;
	return (unsigned char)lo;
}

// maps: signed values, signed midpoints, unsigned values, unsigned midpoints, 256
// each (the last midpoint is not used).
extern "C" __global__ void __launch_bounds__(256)
	adamw8(float *p, const float *g, unsigned char *cm, unsigned char *cv, float *am, float *av, const float *maps, const float *hyper, i64 n, float b1, float b2, float eps, float decay, float scale) {
	__shared__ float map[1024];
	__shared__ u32 tops[32];
	for (int i = threadIdx.x; i < 1024; i += 256) map[i] = maps[i];
	__syncthreads();
	Adam s = constants(hyper, b1, b2, eps, decay, scale);
	i64 i = blockIdx.x * 256ll + threadIdx.x;
	float m = 0, v = 0;
	if (i < n) {
		m = __fmul_rn(map[cm[i]], am[blockIdx.x]);
		v = __fmul_rn(map[512 + cv[i]], av[blockIdx.x]);
		p[i] = update(s, p[i], g[i], m, v);
	}
	float topM = __uint_as_float(blockMax(magnitude(m), tops)), topV = __uint_as_float(blockMax(magnitude(v), tops));
	if (i < n) {
		cm[i] = nearest(map + 256, __fmul_rn(m, topM > 0 ? __fdiv_rn(1.f, topM) : 0.f));
		cv[i] = nearest(map + 768, __fmul_rn(v, topV > 0 ? __fdiv_rn(1.f, topV) : 0.f));
	}
	if (threadIdx.x == 0) am[blockIdx.x] = topM, av[blockIdx.x] = topV;
}

extern "C" __global__ void __launch_bounds__(256) squares(double *part, const float *x, i64 n) {
	__shared__ double sums[32];
	i64 at = blockIdx.x * 16384ll, end = min(n, at + 16384);
	double s = 0;
	for (i64 i = at + threadIdx.x; i < end; i += 256) s += (double)x[i] * x[i];
	s = blockSum(s, sums);
	if (threadIdx.x == 0) part[blockIdx.x] = s;
}

// to[0] += scale[0]·Σ part, scale 1 where it is null.
extern "C" __global__ void __launch_bounds__(256) total(float *to, const double *part, const float *scale, int n) {
	__shared__ double sums[32];
	double s = 0;
	for (int i = threadIdx.x; i < n; i += 256) s += part[i];
	s = blockSum(s, sums);
	if (threadIdx.x == 0) to[0] = (float)((double)to[0] + (scale ? (double)scale[0] : 1.0) * s);
}

extern "C" __global__ void clip_scale(float *hyper, const float *acc, float limit) {
	double norm = sqrt((double)acc[0]);
	hyper[3] = limit > 0 && norm > (double)limit ? (float)((double)limit / norm) : 1.f;
}
