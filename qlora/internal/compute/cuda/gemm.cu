// Matrix products on tensor cores from sm_80 on: mma.sync fed by cp.async.
//
//   C[m,n] = sa[i]·sb[j]·(A Bᵀ) + U Vᵀ + residual      int8 A [m,k], B [n,k]
//   C[m,n] =      A·B           + U Vᵀ + residual      bf16
//
// with U [m,r], V [n,r] bf16 (an adapter: its scale is in V already), r a multiple
// of 8, 0 for none. bf16 operands lie row by row as [m,k] and [n,k] ("n"), or
// as [k,m] and [k,n] ("t"): kernels mma_bf16_nn, _nt, _tt name A's, then B's.
// With split > 1 the depth is cut into gridDim.z parts whose float32 sums go to
// part [z,m,n]; mma_reduce_* adds them in order: C (+)= alpha·Σ. sb may be 0,
// meaning 1.
//
// Launch: 128×128 tiles of C, 256 threads, grid (⌈m/128⌉, ⌈n/128⌉, split),
// dynamic shared memory 64 KiB. Four stages of 64 bytes of depth, swizzled so
// that ldmatrix meets no bank twice. Needs 16-byte alignment of rows and
// extents. Limiter: mma issue; on Hopper wgmma (gemm_hopper.cu) is the faster
// unit.
#include "real.cuh"

enum { edge = 128, stages = 4, operand = 8192 };

extern __shared__ __align__(128) char raw[];

__device__ __forceinline__ void copy16(u32 to, const void *from, bool valid) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid ? 16 : 0));
}

__device__ __forceinline__ void ldmatrix(u32 *r, u32 at) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}

__device__ __forceinline__ void ldmatrixT(u32 *r, u32 at) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}

__device__ __forceinline__ void mma(float *c, const u32 *a, u32 b0, u32 b1) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
				 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma(int *c, const u32 *a, u32 b0, u32 b1) {
	asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
				 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Operand is a matrix of rows × depth; size is bytes an element. across: it
// lies as [depth, rows].
template <bool across> struct Operand {
	const char *p;
	i64 ld; // bytes from row to row (of depth if across)
	int first, rows, depth, size;

	// fetch brings 64 bytes of depth from k0 on for 128 rows.
	__device__ __forceinline__ void fetch(u32 to, int k0) const {
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int e = threadIdx.x + i * 256;
			if (!across) {
				int r = e / 4, c = e % 4, k = k0 + c * (16 / size);
				bool ok = first + r < rows && k < depth;
				copy16(to + r * 64 + ((c ^ (r >> 1 & 3)) << 4), ok ? p + (first + r) * ld + (i64)k * size : p, ok);
			} else {
				int k = e / 16, c = e % 16;
				bool ok = k0 + k < depth && first + c * 8 < rows;
				copy16(to + k * 256 + ((c ^ (k & 7)) << 4), ok ? p + (k0 + k) * ld + (first + c * 8) * 2 : p, ok);
			}
		}
	}

	// load gives 16 rows from r0 on, 32 bytes of depth (step s), as four 8×16-byte
	// matrices: for A (rows, rows+8) × (depth, depth+16); for B depth runs first.
	template <bool depthFirst> __device__ __forceinline__ void load(u32 *r, u32 at, int r0, int s) const {
		int lane = threadIdx.x % 32, in = lane % 8, one = lane / 8 % 2, two = lane / 16;
		int dr = depthFirst ? two : one, dk = depthFirst ? one : two;
		if (!across) {
			int row = r0 + dr * 8 + in, c = s * 2 + dk;
			ldmatrix(r, at + row * 64 + ((c ^ (row >> 1 & 3)) << 4));
		} else {
			int k = s * 16 + dk * 8 + in, c = r0 / 8 + dr;
			ldmatrixT(r, at + k * 256 + ((c ^ (k & 7)) << 4));
		}
	}
};

// accumulate adds the product of 128 rows of a and of b over steps of 64 bytes of
// depth in [k0, k1).
template <class Acc, bool acrossA, bool acrossB>
__device__ __forceinline__ void accumulate(Acc (*acc)[4][4], const Operand<acrossA> &a, const Operand<acrossB> &b, int k0, int k1, u32 mem) {
	const int step = 64 / a.size;
	int warp = threadIdx.x / 32, r0 = warp % 2 * 64, c0 = warp / 2 * 32, next = k0;
	for (int s = 0; s < stages - 1; s++, next += step) {
		if (next < k1) {
			a.fetch(mem + s * 2 * operand, next);
			b.fetch(mem + s * 2 * operand + operand, next);
		}
		asm volatile("cp.async.commit_group;");
	}
	int stage = 0;
	for (int k = k0; k < k1; k += step) {
		asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2));
		__syncthreads();
		if (next < k1) {
			u32 to = mem + (stage + stages - 1) % stages * 2 * operand;
			a.fetch(to, next);
			b.fetch(to + operand, next);
		}
		next += step;
		asm volatile("cp.async.commit_group;");
		u32 at = mem + stage * 2 * operand;
#pragma unroll
		for (int s = 0; s < 2; s++) {
			u32 x[4][4], y[2][4];
#pragma unroll
			for (int i = 0; i < 4; i++) a.template load<false>(x[i], at, r0 + i * 16, s);
#pragma unroll
			for (int j = 0; j < 2; j++) b.template load<true>(y[j], at + operand, c0 + j * 16, s);
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) mma(acc[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
		}
		stage = (stage + 1) % stages;
	}
	asm volatile("cp.async.wait_all;");
	__syncthreads();
}

// each calls f(row, column, a[row, column], a[row, column+1]) for this thread's
// elements.
template <class F> __device__ __forceinline__ void each(float (*acc)[4][4], int i0, int j0, F f) {
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
	int r0 = i0 + warp % 2 * 64 + lane / 4, c0 = j0 + warp / 2 * 32 + lane % 4 * 2;
#pragma unroll
	for (int i = 0; i < 4; i++)
#pragma unroll
		for (int j = 0; j < 4; j++)
#pragma unroll
			for (int h = 0; h < 2; h++) f(r0 + i * 16 + h * 8, c0 + j * 8, acc[i][j][2 * h], acc[i][j][2 * h + 1]);
}

template <class T>
__device__ __forceinline__ void finish(float (*acc)[4][4], T *c, i64 ldc, const bf16 *u, const bf16 *v, int r, const T *residual, int m, int n, u32 mem) {
	int i0 = blockIdx.x * edge, j0 = blockIdx.y * edge;
	if (r > 0) {
		Operand<false> a = {(const char *)u, (i64)r * 2, i0, m, r, 2}, b = {(const char *)v, (i64)r * 2, j0, n, r, 2};
		accumulate(acc, a, b, 0, r, mem);
	}
	each(acc, i0, j0, [=](int i, int j, float x, float y) {
		if (i >= m || j >= n) return;
		i64 at = i * ldc + j;
		if (residual) x = __fadd_rn(x, widen(residual[at]));
		if (residual && j + 1 < n) y = __fadd_rn(y, widen(residual[at + 1]));
		c[at] = narrow<T>(x);
		if (j + 1 < n) c[at + 1] = narrow<T>(y);
	});
}

template <class T>
__device__ void int8Product(T *c, i64 ldc, const signed char *a, const signed char *b, const float *sa, const float *sb, const bf16 *u, const bf16 *v, int r, const T *residual, int m, int n, int k) {
	u32 mem = (u32)__cvta_generic_to_shared(raw);
	int i0 = blockIdx.x * edge, j0 = blockIdx.y * edge;
	int sums[4][4][4] = {};
	Operand<false> x = {(const char *)a, k, i0, m, k, 1}, w = {(const char *)b, k, j0, n, k, 1};
	accumulate(sums, x, w, 0, k, mem);
	float(*acc)[4][4] = (float(*)[4][4])sums;
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
	int r0 = i0 + warp % 2 * 64 + lane / 4, c0 = j0 + warp / 2 * 32 + lane % 4 * 2;
#pragma unroll
	for (int i = 0; i < 4; i++)
#pragma unroll
		for (int h = 0; h < 2; h++) {
			int row = r0 + i * 16 + h * 8;
			float s = row < m ? sa[row] : 0.f;
#pragma unroll
			for (int j = 0; j < 4; j++)
#pragma unroll
				for (int e = 0; e < 2; e++) {
					int col = c0 + j * 8 + e;
					float f = sb ? __fmul_rn(s, col < n ? sb[col] : 0.f) : s;
					acc[i][j][2 * h + e] = __fmul_rn((float)sums[i][j][2 * h + e], f);
				}
		}
	finish(acc, c, ldc, u, v, r, residual, m, n, mem);
}

template <class T, bool acrossA, bool acrossB>
__device__ void bf16Product(T *c, i64 ldc, float *part, const bf16 *a, i64 lda, const bf16 *b, i64 ldb, const bf16 *u, const bf16 *v, int r, const T *residual, int m, int n, int k) {
	u32 mem = (u32)__cvta_generic_to_shared(raw);
	int i0 = blockIdx.x * edge, j0 = blockIdx.y * edge;
	float acc[4][4][4] = {};
	Operand<acrossA> x = {(const char *)a, lda * 2, i0, m, k, 2};
	Operand<acrossB> w = {(const char *)b, ldb * 2, j0, n, k, 2};
	int steps = (k + 31) / 32, per = (steps + gridDim.z - 1) / gridDim.z;
	accumulate(acc, x, w, min(k, (int)blockIdx.z * per * 32), min(k, (int)(blockIdx.z + 1) * per * 32), mem);
	if (!part) {
		finish(acc, c, ldc, u, v, r, residual, m, n, mem);
		return;
	}
	float *to = part + (i64)blockIdx.z * m * n;
	each(acc, i0, j0, [=](int i, int j, float x, float y) {
		if (i >= m || j >= n) return;
		to[(i64)i * n + j] = x;
		if (j + 1 < n) to[(i64)i * n + j + 1] = y;
	});
}

// Four elements a thread; n is a multiple of 4.
template <class T> __device__ void reduce(T *c, const float *part, i64 n, int split, float alpha, int add) {
	i64 i = (blockIdx.x * 256ll + threadIdx.x) * 4;
	if (i >= n) return;
	float4 s = *(const float4 *)(part + i);
	for (int z = 1; z < split; z++) {
		float4 p = *(const float4 *)(part + z * n + i);
		s.x += p.x, s.y += p.y, s.z += p.z, s.w += p.w;
	}
	float v[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
	for (int e = 0; e < 4; e++) c[i + e] = narrow<T>((add ? widen(c[i + e]) : 0.f) + alpha * v[e]);
}

extern "C" __global__ void __launch_bounds__(256) mma_reduce_f32(float *c, const float *part, i64 n, int split, float alpha, int add) {
	reduce(c, part, n, split, alpha, add);
}
extern "C" __global__ void __launch_bounds__(256) mma_reduce_bf16(bf16 *c, const float *part, i64 n, int split, float alpha, int add) {
	reduce(c, part, n, split, alpha, add);
}

// Slim products, n ≤ 64: one reads its long operand once and computes little, so
// tiles are 128 × 64 and stages hold 64 elements of depth, three of them, for much
// of that operand to be in flight. Grid (⌈m/128⌉, 1, split), 72 KiB of shared memory.
enum { slimStages = 3, slimStage = (128 + 64) * 128 };

// Panel is size rows of a bf16 operand that has limit rows, from first on; across: it
// lies as [depth, rows].
template <bool across, int size> struct Panel {
	const bf16 *p;
	i64 ld;
	int first, limit;

	// fetch brings depth [k0, k0+64) below k1.
	__device__ __forceinline__ void fetch(u32 to, int k0, int k1) const {
		const int words = across ? size / 8 : 8, lines = across ? 64 : size;
		for (int e = threadIdx.x; e < lines * words; e += 256) {
			int line = e / words, c = e % words;
			int k = k0 + (across ? line : c * 8), r = first + (across ? c * 8 : line);
			bool ok = k < k1 && r < limit;
			copy16(to + line * words * 16 + ((c ^ (line & 7)) << 4), ok ? p + (across ? k * ld + r : r * ld + k) : p, ok);
		}
	}

	// load is Operand's, a step being 16 of depth.
	template <bool depthFirst> __device__ __forceinline__ void load(u32 *f, u32 at, int r0, int s) const {
		int lane = threadIdx.x % 32, in = lane % 8, one = lane / 8 % 2, two = lane / 16;
		int r = r0 + (depthFirst ? two : one) * 8, k = s * 16 + (depthFirst ? one : two) * 8;
		int line = (across ? k : r) + in, c = (across ? r : k) / 8;
		u32 from = at + line * (across ? size * 2 : 128) + ((c ^ (line & 7)) << 4);
		if (across) ldmatrixT(f, from);
		else ldmatrix(f, from);
	}
};

// slim writes part[z] = a·b over a part of the depth k, [m,n], transposed [n,m].
template <bool across>
__device__ __forceinline__ void slim(float *part, const Panel<across, 128> &a, const Panel<across, 64> &b, int m, int n, int k, bool transposed) {
	u32 mem = (u32)__cvta_generic_to_shared(raw);
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, r0 = warp % 4 * 32, c0 = warp / 4 * 32;
	int per = ((k + 63) / 64 + gridDim.z - 1) / gridDim.z * 64, begin = min(k, (int)blockIdx.z * per), end = min(k, begin + per), next = begin;
	float acc[2][4][4] = {};
	for (int s = 0; s < slimStages - 1; s++, next += 64) {
		if (next < end) {
			a.fetch(mem + s * slimStage, next, end);
			b.fetch(mem + s * slimStage + 128 * 128, next, end);
		}
		asm volatile("cp.async.commit_group;");
	}
	for (int at = begin, stage = 0; at < end; at += 64, stage = (stage + 1) % slimStages) {
		asm volatile("cp.async.wait_group %0;" ::"n"(slimStages - 2));
		__syncthreads();
		if (next < end) {
			u32 to = mem + (stage + slimStages - 1) % slimStages * slimStage;
			a.fetch(to, next, end);
			b.fetch(to + 128 * 128, next, end);
		}
		next += 64;
		asm volatile("cp.async.commit_group;");
		u32 x = mem + stage * slimStage, y = x + 128 * 128;
#pragma unroll
		for (int s = 0; s < 4; s++) {
			u32 av[2][4], bv[2][4];
#pragma unroll
			for (int i = 0; i < 2; i++) {
				a.template load<false>(av[i], x, r0 + i * 16, s);
				b.template load<true>(bv[i], y, c0 + i * 16, s);
			}
#pragma unroll
			for (int i = 0; i < 2; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) mma(acc[i][j], av[i], bv[j / 2][j % 2 * 2], bv[j / 2][j % 2 * 2 + 1]);
		}
	}
	float *to = part + (i64)blockIdx.z * m * n;
#pragma unroll
	for (int i = 0; i < 2; i++)
#pragma unroll
		for (int j = 0; j < 4; j++)
#pragma unroll
			for (int h = 0; h < 2; h++) {
				int r = a.first + r0 + i * 16 + h * 8 + lane / 4, c = c0 + j * 8 + lane % 4 * 2;
				float u = acc[i][j][2 * h], v = acc[i][j][2 * h + 1];
				if (r >= m || c >= n) continue;
				if (transposed) to[(i64)c * m + r] = u, to[(i64)(c + 1) * m + r] = v;
				else *(float2 *)(to + (i64)r * n + c) = make_float2(u, v);
			}
}

// mma_narrow: part[z] = A Bᵀ, A [m,k], B [n,k]: an adapter's inner vector.
extern "C" __global__ void __launch_bounds__(256) mma_narrow(float *part, const bf16 *a, i64 lda, const bf16 *b, i64 ldb, int m, int n, int k) {
	slim(part, Panel<false, 128>{a, lda, (int)blockIdx.x * 128, m}, Panel<false, 64>{b, ldb, 0, n}, m, n, k, false);
}

// mma_outer: part[z] = Aᵀ B, A [k,m], B [k,n]: an adapter's gradient.
extern "C" __global__ void __launch_bounds__(256) mma_outer(float *part, const bf16 *a, const bf16 *b, int m, int n, int k, int transposed) {
	slim(part, Panel<true, 128>{a, m, (int)blockIdx.x * 128, m}, Panel<true, 64>{b, n, 0, n}, m, n, k, transposed);
}

#define INT8(T, suffix)                                                                                                                                                    \
	extern "C" __global__ void __launch_bounds__(256) mma_i8_##suffix(T *c, i64 ldc, const signed char *a, const signed char *b, const float *sa, const float *sb, const bf16 *u, \
																 const bf16 *v, int r, const T *residual, int m, int n, int k) {                                               \
		int8Product<T>(c, ldc, a, b, sa, sb, u, v, r, residual, m, n, k);                                                                                                   \
	}
INT8(float, f32)
INT8(bf16, bf16)

#define BF16(T, suffix, order, acrossA, acrossB)                                                                                                                              \
	extern "C" __global__ void __launch_bounds__(256) mma_bf16_##order##_##suffix(T *c, i64 ldc, float *part, const bf16 *a, i64 lda, const bf16 *b, i64 ldb, const bf16 *u,    \
																			 const bf16 *v, int r, const T *residual, int m, int n, int k) {                                  \
		bf16Product<T, acrossA, acrossB>(c, ldc, part, a, lda, b, ldb, u, v, r, residual, m, n, k);                                                                         \
	}
BF16(float, f32, nn, false, false)
BF16(bf16, bf16, nn, false, false)
BF16(bf16, bf16, nt, false, true)
BF16(float, f32, tt, true, true)
