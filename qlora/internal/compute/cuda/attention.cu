// Attention for any head size up to 160 and both element types, in float32: what
// serves float32 activations, odd head sizes, and the cache.
//
// Tiles of 32 queries against tiles of 32 keys with a running maximum and sum
// (FlashAttention, arXiv 2205.14135; the backward pass from the log-sum-exp,
// arXiv 2307.08691, algorithm 2, in two passes that each own what they write):
//
//   P = exp(s·q·k - lse)  δ = Σ dout·out   dV = Pᵀ dout
//   dS = s·P·(dout·v - δ)  dQ = dS K        dK = dSᵀ Q
//
// Query i of n is key past+i. q rows ldq apart, k and v rows ldkv apart, out and
// dout [n, H, D], lse [n, H]. Launch: 256 threads; forward and dQ grid (H,
// ⌈n/32⌉), dK and dV grid (K, ⌈n/32⌉), few grid (H, n); dynamic shared memory 4·(3 or 4)·32·(D+1) +
// scores. Limiter: FMA and shared memory.
#include "real.cuh"

enum { tile = 32 };

// fetch loads up to tile rows of D elements as float32, zeros past rows.
template <class T> __device__ __forceinline__ void fetch(float *dst, const T *src, i64 ld, int rows, int d) {
	for (int e = threadIdx.x; e < tile * d; e += 256) {
		int r = e / d, c = e % d;
		dst[r * (d + 1) + c] = r < rows ? widen(src[r * ld + c]) : 0.f;
	}
}

// Four products of a tile of 32×32: query y, keys x + 8j.
__device__ __forceinline__ void dots(float *s, const float *a, const float *b, int y, int x, int d) {
	s[0] = s[1] = s[2] = s[3] = 0;
	for (int c = 0; c < d; c++) {
		float q = a[y * (d + 1) + c];
#pragma unroll
		for (int j = 0; j < 4; j++) s[j] += q * b[(x + 8 * j) * (d + 1) + c];
	}
}

template <class T>
__device__ void attend(T *out, float *lse, const T *q, i64 ldq, const T *k, const T *v, i64 ldkv, const int *start, int past, int n, int heads, int group, int d) {
	extern __shared__ float mem[];
	float *qs = mem, *ks = qs + tile * (d + 1), *vs = ks + tile * (d + 1), *ps = vs + tile * (d + 1);
	__shared__ float top[tile], sum[tile];
	int h = blockIdx.x, t0 = blockIdx.y * tile, rows = min(tile, n - t0), y = threadIdx.x / 8, x = threadIdx.x % 8;
	float scale = rsqrtf((float)d), o[20];
	fetch(qs, q + t0 * ldq + h * d, ldq, rows, d);
	if (threadIdx.x < tile) top[threadIdx.x] = -INFINITY, sum[threadIdx.x] = 0;
#pragma unroll
	for (int c = 0; c < 20; c++) o[c] = 0;
	int mine = y < rows ? startOf(start, t0 + y) : 0, last = past + t0 + y;
	int end = past + t0 + rows;
	for (int j0 = startOf(start, t0) / tile * tile; j0 < end; j0 += tile) {
		int keys = min(tile, end - j0);
		__syncthreads();
		fetch(ks, k + j0 * ldkv + h / group * d, ldkv, keys, d);
		fetch(vs, v + j0 * ldkv + h / group * d, ldkv, keys, d);
		__syncthreads();
		float s[4], m = -INFINITY, l = 0;
		dots(s, qs, ks, y, x, d);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			int key = j0 + x + 8 * j;
			s[j] = y < rows && key >= mine && key <= last ? s[j] * scale : -INFINITY;
			m = fmaxf(m, s[j]);
		}
		// The 8 threads of a query are neighbours in a warp.
#pragma unroll
		for (int w = 4; w > 0; w >>= 1) m = fmaxf(m, __shfl_xor_sync(~0u, m, w));
		m = fmaxf(m, top[y]);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			float p = m == -INFINITY ? 0.f : expf(s[j] - m);
			l += p;
			ps[y * (tile + 1) + x + 8 * j] = p;
		}
#pragma unroll
		for (int w = 4; w > 0; w >>= 1) l += __shfl_xor_sync(~0u, l, w);
		float f = m == -INFINITY ? 0.f : expf(top[y] - m);
		__syncwarp();
		if (x == 0) top[y] = m, sum[y] = sum[y] * f + l;
		__syncwarp();
#pragma unroll
		for (int c = 0; c < 20; c++) {
			if (c * 8 + x >= d) continue;
			float a = 0;
			for (int j = 0; j < keys; j++) a += ps[y * (tile + 1) + j] * vs[j * (d + 1) + c * 8 + x];
			o[c] = o[c] * f + a;
		}
	}
	__syncwarp();
	if (y >= rows) return;
	float inv = 1.f / sum[y];
#pragma unroll
	for (int c = 0; c < 20; c++) if (c * 8 + x < d) out[((i64)(t0 + y) * heads + h) * d + c * 8 + x] = narrow<T>(o[c] * inv);
	if (lse && x == 0) lse[(i64)(t0 + y) * heads + h] = top[y] + logf(sum[y]);
}

// few serves a handful of queries against a cache: one block a query and head, each
// warp every eighth key with a running maximum of its own, merged in order.
template <class T>
__device__ void few(T *out, const T *q, i64 ldq, const T *k, const T *v, i64 ldkv, int past, int heads, int group, int d) {
	__shared__ float tops[8], sums[8], parts[8][160];
	int h = blockIdx.x, t = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
	float scale = rsqrtf((float)d), top = -INFINITY, sum = 0, x[5], o[5] = {};
#pragma unroll
	for (int i = 0; i < 5; i++) x[i] = lane + 32 * i < d ? widen(q[t * ldq + h * d + lane + 32 * i]) * scale : 0.f;
	for (int j = warp; j <= past + t; j += 8) {
		const T *key = k + j * ldkv + h / group * d, *value = v + j * ldkv + h / group * d;
		float s = 0;
#pragma unroll
		for (int i = 0; i < 5; i++)
			if (lane + 32 * i < d) s += x[i] * widen(key[lane + 32 * i]);
#pragma unroll
		for (int m = 16; m > 0; m >>= 1) s += __shfl_xor_sync(~0u, s, m);
		float most = fmaxf(top, s), f = expf(top - most), p = expf(s - most);
		top = most, sum = sum * f + p;
#pragma unroll
		for (int i = 0; i < 5; i++)
			if (lane + 32 * i < d) o[i] = o[i] * f + p * widen(value[lane + 32 * i]);
	}
#pragma unroll
	for (int i = 0; i < 5; i++)
		if (lane + 32 * i < d) parts[warp][lane + 32 * i] = o[i];
	if (lane == 0) tops[warp] = top, sums[warp] = sum;
	__syncthreads();
	if (threadIdx.x >= d) return;
	float most = -INFINITY, total = 0, y = 0;
	for (int w = 0; w < 8; w++) most = fmaxf(most, tops[w]);
	for (int w = 0; w < 8; w++) {
		float f = sums[w] > 0 ? expf(tops[w] - most) : 0.f;
		total += sums[w] * f, y += parts[w][threadIdx.x] * f;
	}
	out[((i64)t * heads + h) * d + threadIdx.x] = narrow<T>(y / total);
}

// One warp a row of D.
template <class T> __device__ void deltas(float *delta, const T *dout, const T *out, int rows, int d) {
	int r = blockIdx.x * 8 + threadIdx.x / 32;
	if (r >= rows) return;
	float s = 0;
	for (int c = threadIdx.x % 32; c < d; c += 32) s += widen(dout[(i64)r * d + c]) * widen(out[(i64)r * d + c]);
#pragma unroll
	for (int o = 16; o > 0; o >>= 1) s += __shfl_xor_sync(~0u, s, o);
	if (threadIdx.x % 32 == 0) delta[r] = s;
}

template <class T>
__device__ void queryGrad(T *dq, const T *dout, const float *lse, const float *delta, const T *q, const T *k, const T *v, i64 ld, const int *start, int n, int heads, int group, int d) {
	extern __shared__ float mem[];
	float *qs = mem, *gs = qs + tile * (d + 1), *ks = gs + tile * (d + 1), *vs = ks + tile * (d + 1), *ps = vs + tile * (d + 1);
	int h = blockIdx.x, t0 = blockIdx.y * tile, rows = min(tile, n - t0), y = threadIdx.x / 8, x = threadIdx.x % 8;
	float scale = rsqrtf((float)d), o[20];
	fetch(qs, q + t0 * ld + h * d, ld, rows, d);
	fetch(gs, dout + ((i64)t0 * heads + h) * d, (i64)heads * d, rows, d);
#pragma unroll
	for (int c = 0; c < 20; c++) o[c] = 0;
	int t = t0 + y, mine = y < rows ? startOf(start, t) : 0;
	float l = y < rows ? lse[(i64)t * heads + h] : 0, de = y < rows ? delta[(i64)t * heads + h] : 0;
	for (int j0 = startOf(start, t0) / tile * tile; j0 < t0 + rows; j0 += tile) {
		int keys = min(tile, t0 + rows - j0);
		__syncthreads();
		fetch(ks, k + j0 * ld + h / group * d, ld, keys, d);
		fetch(vs, v + j0 * ld + h / group * d, ld, keys, d);
		__syncthreads();
		float s[4], g[4];
		dots(s, qs, ks, y, x, d);
		dots(g, gs, vs, y, x, d);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			int key = j0 + x + 8 * j;
			float p = y < rows && key >= mine && key <= t ? expf(s[j] * scale - l) : 0.f;
			ps[y * (tile + 1) + x + 8 * j] = scale * p * (g[j] - de);
		}
		__syncwarp();
#pragma unroll
		for (int c = 0; c < 20; c++) {
			if (c * 8 + x >= d) continue;
			float a = 0;
			for (int j = 0; j < keys; j++) a += ps[y * (tile + 1) + j] * ks[j * (d + 1) + c * 8 + x];
			o[c] += a;
		}
	}
	if (y < rows)
#pragma unroll
		for (int c = 0; c < 20; c++) if (c * 8 + x < d) dq[t * ld + h * d + c * 8 + x] = narrow<T>(o[c]);
}

// Here y is a key of the tile and x + 8j a query.
template <class T>
__device__ void keyGrad(T *dk, T *dv, const T *dout, const float *lse, const float *delta, const T *q, const T *k, const T *v, i64 ld, const int *start, int n, int heads, int group, int d) {
	extern __shared__ float mem[];
	float *qs = mem, *gs = qs + tile * (d + 1), *ks = gs + tile * (d + 1), *vs = ks + tile * (d + 1);
	float *ps = vs + tile * (d + 1), *ds = ps + tile * (tile + 1);
	int kv = blockIdx.x, k0 = blockIdx.y * tile, rows = min(tile, n - k0), y = threadIdx.x / 8, x = threadIdx.x % 8, key = k0 + y;
	float scale = rsqrtf((float)d), a[20], b[20];
	fetch(ks, k + k0 * ld + kv * d, ld, rows, d);
	fetch(vs, v + k0 * ld + kv * d, ld, rows, d);
#pragma unroll
	for (int c = 0; c < 20; c++) a[c] = b[c] = 0;
	int end = endOf(start, k0 + rows - 1, n);
	for (int h = kv * group; h < (kv + 1) * group; h++)
		for (int t0 = k0; t0 < end; t0 += tile) {
			int queries = min(tile, end - t0);
			__syncthreads();
			fetch(qs, q + t0 * ld + h * d, ld, queries, d);
			fetch(gs, dout + ((i64)t0 * heads + h) * d, (i64)heads * d, queries, d);
			__syncthreads();
			float s[4], g[4];
			dots(s, ks, qs, y, x, d);
			dots(g, vs, gs, y, x, d);
#pragma unroll
			for (int j = 0; j < 4; j++) {
				int t = t0 + x + 8 * j;
				float p = 0, e = 0;
				if (y < rows && t < end && t >= key && startOf(start, t) <= key) {
					p = expf(s[j] * scale - lse[(i64)t * heads + h]);
					e = scale * p * (g[j] - delta[(i64)t * heads + h]);
				}
				ps[y * (tile + 1) + x + 8 * j] = p;
				ds[y * (tile + 1) + x + 8 * j] = e;
			}
			__syncwarp();
#pragma unroll
			for (int c = 0; c < 20; c++) {
			if (c * 8 + x >= d) continue;
				float u = 0, w = 0;
				for (int j = 0; j < queries; j++) {
					u += ds[y * (tile + 1) + j] * qs[j * (d + 1) + c * 8 + x];
					w += ps[y * (tile + 1) + j] * gs[j * (d + 1) + c * 8 + x];
				}
				a[c] += u, b[c] += w;
			}
		}
	if (y < rows)
#pragma unroll
		for (int c = 0; c < 20; c++) {
			if (c * 8 + x >= d) continue;
			dk[key * ld + kv * d + c * 8 + x] = narrow<T>(a[c]);
			dv[key * ld + kv * d + c * 8 + x] = narrow<T>(b[c]);
		}
}

#define KERNELS(T, suffix)                                                                                                                                                          \
	extern "C" __global__ void __launch_bounds__(256) attention_##suffix(T *out, float *lse, const T *q, i64 ldq, const T *k, const T *v, i64 ldkv, const int *start, int past, int n, \
																 int heads, int group, int d) {                                                                                         \
		attend<T>(out, lse, q, ldq, k, v, ldkv, start, past, n, heads, group, d);                                                                                                   \
	}                                                                                                                                                                               \
	extern "C" __global__ void __launch_bounds__(256) attention_few_##suffix(T *out, const T *q, i64 ldq, const T *k, const T *v, i64 ldkv, int past, int heads, int group, int d) {      \
		few<T>(out, q, ldq, k, v, ldkv, past, heads, group, d);                                                                                                                      \
	}                                                                                                                                                                               \
	extern "C" __global__ void __launch_bounds__(256) attention_delta_##suffix(float *delta, const T *dout, const T *out, int rows, int d) { deltas<T>(delta, dout, out, rows, d); } \
	extern "C" __global__ void __launch_bounds__(256) attention_dq_##suffix(T *dq, const T *dout, const float *lse, const float *delta, const T *q, const T *k, const T *v, i64 ld,    \
																	const int *start, int n, int heads, int group, int d) {                                                             \
		queryGrad<T>(dq, dout, lse, delta, q, k, v, ld, start, n, heads, group, d);                                                                                                 \
	}                                                                                                                                                                               \
	extern "C" __global__ void __launch_bounds__(256) attention_dkv_##suffix(T *dk, T *dv, const T *dout, const float *lse, const float *delta, const T *q, const T *k, const T *v,    \
																	 i64 ld, const int *start, int n, int heads, int group, int d) {                                                    \
		keyGrad<T>(dk, dv, dout, lse, delta, q, k, v, ld, start, n, heads, group, d);                                                                                               \
	}
KERNELS(float, f32)
KERNELS(bf16, bf16)
