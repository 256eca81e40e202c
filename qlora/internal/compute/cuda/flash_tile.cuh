// Tiles of flash attention on mma.sync, cp.async and ldmatrix: sm_80 and up.
// Fragment layouts: PTX ISA 9.0, "Matrix Fragments for mma.m16n8k16".
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

namespace {

using bf16 = __nv_bfloat16;

constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// Layout is the shape of the fused projection [n, (H+2K)D]; head h of the
// queries is at column h·D, the keys follow, then the values.
template <int D> struct Layout {
  int n, heads, kv;
  __device__ int width() const { return (heads + 2 * kv) * D; }
  __device__ int group() const { return heads / kv; }
  __device__ int query(int h) const { return h * D; }
  __device__ int key(int g) const { return (heads + g) * D; }
  __device__ int value(int g) const { return (heads + kv + g) * D; }
};

__device__ __forceinline__ void copyCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void copyWait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Tile is rows of D elements in shared memory; the pitch is an odd number of
// 16-byte words, so that ldmatrix meets no bank twice.
template <int D> struct Tile {
  static constexpr int pitch = D + 8;
  static constexpr __host__ __device__ int bytes(int rows) { return rows * pitch * 2; }
  uint32_t base;
  __device__ uint32_t at(int row, int col) const { return base + (row * pitch + col) * 2; }

  // load starts copying rows first.. of a matrix with n rows; others become 0.
  template <int Rows, int Threads> __device__ __forceinline__ void load(const bf16* p, int stride, int first, int n) const {
    constexpr int words = D / 8;
#pragma unroll
    for (int i = 0; i < (Rows * words + Threads - 1) / Threads; i++) {
      int w = i * Threads + threadIdx.x, row = w / words, col = w % words * 8, t = first + row;
      if (Rows * words % Threads && row >= Rows) break;
      const bf16* from = p + (size_t)min(t, n - 1) * stride + col;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at(row, col)), "l"(from), "r"(t < n ? 16 : 0) : "memory");
    }
  }
};

using Words = uint32_t[4];

__device__ __forceinline__ void loadMatrix(Words& r, uint32_t addr) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(addr) : "memory");
}
__device__ __forceinline__ void loadMatrixT(Words& r, uint32_t addr) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(addr) : "memory");
}

// left is the A fragment of 16 rows from row and 16 columns from col.
template <int D> __device__ __forceinline__ void left(Words& r, Tile<D> t, int row, int col) {
  int lane = threadIdx.x % 32;
  loadMatrix(r, t.at(row + lane % 16, col + lane / 16 * 8));
}
// right holds the B fragments of 16 tile rows as columns, 16 tile columns as k:
// words 0, 1 for the first eight rows, 2, 3 for the others.
template <int D> __device__ __forceinline__ void right(Words& r, Tile<D> t, int row, int col) {
  int lane = threadIdx.x % 32;
  loadMatrix(r, t.at(row + lane / 16 * 8 + lane % 8, col + lane / 8 % 2 * 8));
}
// rightT holds the B fragments of 16 tile rows as k, 16 tile columns as columns.
template <int D> __device__ __forceinline__ void rightT(Words& r, Tile<D> t, int row, int col) {
  int lane = threadIdx.x % 32;
  loadMatrixT(r, t.at(row + lane % 16, col + lane / 16 * 8));
}

__device__ __forceinline__ void mma(float (&d)[4], const Words& a, uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t pack(float a, float b) {
  __nv_bfloat162 v = __floats2bfloat162_rn(a, b);
  return *reinterpret_cast<uint32_t*>(&v);
}

// asLeft turns two neighbouring accumulators into the A fragment of 16 columns.
__device__ __forceinline__ void asLeft(Words& a, const float (&x)[4], const float (&y)[4]) {
  a[0] = pack(x[0], x[1]);
  a[1] = pack(x[2], x[3]);
  a[2] = pack(y[0], y[1]);
  a[3] = pack(y[2], y[3]);
}

__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// quad reduces over the four lanes that share a row.
__device__ __forceinline__ float quadMax(float v) {
  v = fmaxf(v, __shfl_xor_sync(~0u, v, 1));
  return fmaxf(v, __shfl_xor_sync(~0u, v, 2));
}
__device__ __forceinline__ float quadSum(float v) {
  v += __shfl_xor_sync(~0u, v, 1);
  return v + __shfl_xor_sync(~0u, v, 2);
}

// dotRow is the product of two rows of d ≤ 128 elements, by half a warp.
__device__ __forceinline__ float dotRow(const bf16* a, const bf16* b, int d) {
  float sum = 0;
  int e = threadIdx.x % 16 * 8;
  if (e < d) {
    uint4 ra = *reinterpret_cast<const uint4*>(a + e), rb = *reinterpret_cast<const uint4*>(b + e);
    const __nv_bfloat162 *pa = reinterpret_cast<const __nv_bfloat162*>(&ra), *pb = reinterpret_cast<const __nv_bfloat162*>(&rb);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float2 x = __bfloat1622float2(pa[i]), y = __bfloat1622float2(pb[i]);
      sum += x.x * y.x + x.y * y.y;
    }
  }
#pragma unroll
  for (int m = 8; m; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
  return sum;
}

// multiply adds a bᵀ over D: a rows of one warp, b tile rows as columns.
template <int D, int N> __device__ __forceinline__ void multiply(float (&s)[N][4], Tile<D> a, int row, Tile<D> b) {
#pragma unroll
  for (int d = 0; d < D; d += 16) {
    Words x, y;
    left(x, a, row, d);
#pragma unroll
    for (int j = 0; j < N; j += 2) {
      right(y, b, 8 * j, d);
      mma(s[j], x, y[0], y[1]);
      mma(s[j + 1], x, y[2], y[3]);
    }
  }
}

// accumulate adds p b: p the accumulators of 8·N columns, b tile rows as k.
template <int D, int N> __device__ __forceinline__ void accumulate(float (&o)[D / 8][4], const float (&p)[N][4], Tile<D> b) {
#pragma unroll
  for (int k = 0; k < N; k += 2) {
    Words x, y;
    asLeft(x, p[k], p[k + 1]);
#pragma unroll
    for (int j = 0; j < D / 8; j += 2) {
      rightT(y, b, 8 * k, 8 * j);
      mma(o[j], x, y[0], y[1]);
      mma(o[j + 1], x, y[2], y[3]);
    }
  }
}

template <int N> __device__ __forceinline__ void clear(float (&s)[N][4]) {
#pragma unroll
  for (int j = 0; j < N; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) s[j][i] = 0;
}

// Turn is the table that undoes the rotation of a gradient; cos = 0 for none.
struct Turn {
  const float *cos, *sin;
  const int* row;
};

// unrotate applies the transposed rotation to row t, element e (0, 2) of the
// accumulators: dx_i = dy_i cos + dy_{i+D/2} sin, dx_{i+D/2} = dy_{i+D/2} cos - dy_i sin.
template <int D> __device__ __forceinline__ void unrotate(float (&o)[D / 8][4], int e, int t, Turn turn) {
  const float *c = turn.cos + (size_t)turn.row[t] * (D / 2), *s = turn.sin + (size_t)turn.row[t] * (D / 2);
#pragma unroll
  for (int j = 0; j < D / 16; j++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int col = 8 * j + threadIdx.x % 4 * 2 + i;
      float x = o[j][e + i], y = o[j + D / 16][e + i], cs = __ldg(c + col), sn = __ldg(s + col);
      o[j][e + i] = x * cs + y * sn;
      o[j + D / 16][e + i] = y * cs - x * sn;
    }
  }
}

// storeRows writes 16 rows of accumulators times factors as bf16.
template <int D> __device__ __forceinline__ void storeRows(const float (&o)[D / 8][4], bf16* p, int stride, int t, int n, float f0, float f1) {
  int col = threadIdx.x % 4 * 2;
#pragma unroll
  for (int j = 0; j < D / 8; j++) {
    uint32_t lo = pack(o[j][0] * f0, o[j][1] * f0), hi = pack(o[j][2] * f1, o[j][3] * f1);
    if (t < n) *reinterpret_cast<uint32_t*>(p + (size_t)t * stride + 8 * j + col) = lo;
    if (t + 8 < n) *reinterpret_cast<uint32_t*>(p + (size_t)(t + 8) * stride + 8 * j + col) = hi;
  }
}

}  // namespace
