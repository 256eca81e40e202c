// Causal flash attention over packed documents, forward; mma.sync, sm_80 and up.
//
//   s[j] = scale · q[t]·k[j], start[t] ≤ j ≤ t
//   out[t] = Σ_j softmax(s)[j] v[j],  lse[t] = ln Σ_j exp s[j]
//
// One block takes BQ queries of one head and walks the keys of their documents
// in tiles of 64 with a running maximum (Dao et al., FlashAttention,
// arXiv 2205.14135; loop order of FlashAttention-2, arXiv 2307.08691). A warp
// owns 16 rows, so that scores become the left operand of the second product in
// registers. Keys and values are copied while the other is multiplied. Blocks
// with the most keys start first.
//
// flash_forward_{64,96,128}(const bf16* qkv, bf16* out, float* lse, const int* start,
//                           int n, int heads, int kv, float scale)
//   qkv    bf16 [n, (heads+2·kv)·D], queries and keys rotated; 16-byte aligned
//   out    bf16 [n, heads·D];  lse  float32 [n, heads]
//   start  int32 [n], first token of the token's document, not decreasing, start[t] ≤ t
//   heads  a multiple of kv;  scale > 0
// Grid (heads, ⌈n/128⌉), block 256; dynamic shared memory 256·(D+8)·2 bytes:
// 36864, 53248, 69632 for D = 64, 96, 128. No other limit on n.
#include "flash_tile.cuh"

namespace {

constexpr int kWarps = 8, kQueries = 16 * kWarps, kKeys = 64, kThreads = 32 * kWarps;

// Rows is what a thread keeps of its two rows, t and t+8.
struct Rows {
  int t, start[2];
  float most[2], sum[2];
};

__device__ __forceinline__ void mask(float (&s)[kKeys / 8][4], const Rows& r, int j0) {
#pragma unroll
  for (int j = 0; j < kKeys / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int key = j0 + 8 * j + threadIdx.x % 4 * 2 + i % 2, half = i / 2;
      if (key > r.t + 8 * half || key < r.start[half]) s[j][i] = -INFINITY;
    }
}

// soften turns scores into exp2(c·(s - max)) and rescales what came before.
template <int D> __device__ __forceinline__ void soften(float (&s)[kKeys / 8][4], float (&o)[D / 8][4], Rows& r, float c) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float most = r.most[half];
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++) most = fmaxf(most, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
    most = quadMax(most);
    float base = most == -INFINITY ? 0 : most * c, shrink = power2(r.most[half] * c - base), sum = 0;
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++)
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        s[j][i] = power2(s[j][i] * c - base);
        sum += s[j][i];
      }
    r.sum[half] = r.sum[half] * shrink + sum;
    r.most[half] = most;
#pragma unroll
    for (int j = 0; j < D / 8; j++) o[j][2 * half] *= shrink, o[j][2 * half + 1] *= shrink;
  }
}

template <int D> __device__ __forceinline__ void finish(float (&o)[D / 8][4], const Rows& r, bf16* out, float* lse, int h, Layout<D> lay, float scale) {
  float sum[2], inverse[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    sum[half] = quadSum(r.sum[half]);
    inverse[half] = 1 / sum[half];
    int t = r.t + 8 * half;
    if (threadIdx.x % 4 == 0 && t < lay.n) lse[(size_t)t * lay.heads + h] = r.most[half] * scale + __logf(sum[half]);
  }
  storeRows<D>(o, out + h * D, lay.heads * D, r.t, lay.n, inverse[0], inverse[1]);
}

template <int D>
__device__ __forceinline__ void forward(const bf16* qkv, bf16* out, float* lse, const int* start, Layout<D> lay, float scale) {
  extern __shared__ __align__(16) char raw[];
  Tile<D> q{(uint32_t)__cvta_generic_to_shared(raw)}, k{q.at(kQueries, 0)}, v{k.at(kKeys, 0)};
  int h = blockIdx.x, g = h / lay.group(), q0 = (gridDim.y - 1 - blockIdx.y) * kQueries;
  int last = min(q0 + kQueries, lay.n) - 1, row = threadIdx.x / 32 * 16, width = lay.width();
  const bf16 *keys = qkv + lay.key(g), *values = qkv + lay.value(g);

  int begin = start[q0], deepest = start[last];
  q.template load<kQueries, kThreads>(qkv + lay.query(h), width, q0, lay.n);
  k.template load<kKeys, kThreads>(keys, width, begin, lay.n);
  copyCommit();

  Rows r{q0 + row + (int)threadIdx.x % 32 / 4, {0, 0}, {-INFINITY, -INFINITY}, {0, 0}};
  for (int i = 0; i < 2; i++) r.start[i] = start[min(r.t + 8 * i, lay.n - 1)];
  float o[D / 8][4], c = scale * kLog2e;
  clear(o);
  for (int j0 = begin; j0 <= last; j0 += kKeys) {
    copyWait<0>();
    __syncthreads();
    v.template load<kKeys, kThreads>(values, width, j0, lay.n);
    copyCommit();
    bool live = j0 <= q0 + row + 15;
    float s[kKeys / 8][4];
    clear(s);
    if (live) multiply<D>(s, q, row, k);
    copyWait<0>();
    __syncthreads();
    if (j0 + kKeys <= last) {
      k.template load<kKeys, kThreads>(keys, width, j0 + kKeys, lay.n);
      copyCommit();
    }
    if (!live) continue;
    if (j0 + kKeys - 1 > q0 + row || j0 < deepest) mask(s, r, j0);
    soften<D>(s, o, r, c);
    accumulate<D>(o, s, v);
  }
  finish<D>(o, r, out, lse, h, lay, scale);
}

}  // namespace

#define FORWARD(D)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads, D < 128 ? 2 : 1)                                                            \
      flash_forward_##D(const __nv_bfloat16* qkv, __nv_bfloat16* out, float* lse, const int* start, int n, int heads, \
                        int kv, float scale) {                                                                        \
    forward<D>(qkv, out, lse, start, Layout<D>{n, heads, kv}, scale);                                                 \
  }
FORWARD(64)
FORWARD(96)
FORWARD(128)
