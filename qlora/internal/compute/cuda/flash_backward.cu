// Causal flash attention over packed documents, backward; mma.sync, sm_80 and up.
//
//   p[t,j] = exp(scale·q[t]·k[j] - lse[t]),  dp[t,j] = dout[t]·v[j]
//   ds = p (dp - delta[t]),  delta[t] = dout[t]·out[t]
//   dv[j] = Σ_t p dout[t],  dk[j] = scale Σ_t ds q[t],  dq[t] = scale Σ_j ds k[j]
//
// (Dao et al., FlashAttention, arXiv 2205.14135, algorithm 4.) The scores are
// made twice: once by blocks that own queries (dq), once by blocks that own keys
// (dk, dv; grouped heads are summed inside the block). Nothing is accumulated in
// memory, so the result does not depend on the order of blocks. Blocks of keys
// work on transposed scores, which are left operands in registers.
//
// 1. flash_delta(const bf16* dout, const bf16* out, float* delta, int n, int heads, int d)
//      delta float32 [n, heads]; grid ⌈n·heads/16⌉, block 256; d a multiple of 8 up to 128
// 2. flash_dq_{64,96,128}, flash_dkv_{64,96,128}, in any order
//      (const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const int* start,
//       bf16* dqkv, int n, int heads, int kv, float scale,
//       const float* cos, const float* sin, const int* row)
//    qkv as flash_forward read it; dout bf16 [n, heads·D]; dqkv like qkv: dq writes the
//    queries' columns, dkv the others. cos, sin float32 [rows, D/2] and row int32 [n]
//    undo the rotation of dq and dk; cos = 0 leaves them as they are.
//    16-byte aligned; n, heads, kv, start as for flash_forward.
//
//          dq:  grid (heads, ⌈n/BQ⌉)   dkv: grid (kv, ⌈n/BK⌉)   dynamic shared memory
//   D= 64  BQ 128, block 256           BK 128, block 256         55296  75776
//   D= 96  BQ 128, block 256           BK 128, block 256         79872  80896
//   D=128  BQ  64, block 128           BK  64, block 128         69632  70656
#include "flash_tile.cuh"

namespace {

template <int D> struct Plan {
  static constexpr int warps = D == 128 ? 4 : 8, threads = 32 * warps, rows = 16 * warps;
  static constexpr int keys = 32;                    // a step of dq
  static constexpr int queries = D == 64 ? 64 : 32;  // a step of dkv
};

struct Arguments {
  const bf16 *qkv, *dout;
  const float *lse, *delta;
  const int* start;
  bf16* dqkv;
  float scale;
  Turn turn;
};

// Query is what a thread keeps of its two rows of dq, t and t+8.
struct Query {
  int t, start[2];
  float lse[2], delta[2];
  template <int D> __device__ Query(const Arguments& a, Layout<D> lay, int h, int t) : t(t) {
    for (int i = 0; i < 2; i++) {
      int u = min(t + 8 * i, lay.n - 1);
      start[i] = a.start[u];
      lse[i] = a.lse[(size_t)u * lay.heads + h] * kLog2e;
      delta[i] = a.delta[(size_t)u * lay.heads + h];
    }
  }
};

// scoreGradient turns scores s and dp into ds, in s.
template <int N> __device__ __forceinline__ void scoreGradient(float (&s)[N][4], const float (&dp)[N][4], const Query& q, int j0, float c) {
#pragma unroll
  for (int j = 0; j < N; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int key = j0 + 8 * j + threadIdx.x % 4 * 2 + i % 2, half = i / 2;
      bool out = key > q.t + 8 * half || key < q.start[half];
      float p = out ? 0 : power2(s[j][i] * c - q.lse[half]);
      s[j][i] = p * (dp[j][i] - q.delta[half]);
    }
}

template <int D> __device__ __forceinline__ void queryGradient(const Arguments& a, Layout<D> lay) {
  using P = Plan<D>;
  extern __shared__ __align__(16) char raw[];
  constexpr int K = P::keys;
  Tile<D> q{(uint32_t)__cvta_generic_to_shared(raw)}, dout{q.at(P::rows, 0)}, pairs{dout.at(P::rows, 0)};
  int h = blockIdx.x, g = h / lay.group(), q0 = (gridDim.y - 1 - blockIdx.y) * P::rows;
  int last = min(q0 + P::rows, lay.n) - 1, row = threadIdx.x / 32 * 16, width = lay.width(), begin = a.start[q0];
  auto fetch = [&](int j0, int stage) {
    Tile<D> k{pairs.at(2 * K * stage, 0)}, v{k.at(K, 0)};
    k.template load<K, P::threads>(a.qkv + lay.key(g), width, j0, lay.n);
    v.template load<K, P::threads>(a.qkv + lay.value(g), width, j0, lay.n);
  };
  q.template load<P::rows, P::threads>(a.qkv + lay.query(h), width, q0, lay.n);
  dout.template load<P::rows, P::threads>(a.dout + h * D, lay.heads * D, q0, lay.n);
  fetch(begin, 0);
  copyCommit();

  Query mine(a, lay, h, q0 + row + threadIdx.x % 32 / 4);
  float dq[D / 8][4], c = a.scale * kLog2e;
  clear(dq);
  int stage = 0;
  for (int j0 = begin; j0 <= last; j0 += K, stage ^= 1) {
    copyWait<0>();
    __syncthreads();
    if (j0 + K <= last) fetch(j0 + K, stage ^ 1);
    copyCommit();
    if (j0 > q0 + row + 15) continue;
    Tile<D> k{pairs.at(2 * K * stage, 0)}, v{k.at(K, 0)};
    float s[K / 8][4], dp[K / 8][4];
    clear(s);
    clear(dp);
    multiply<D>(s, q, row, k);
    multiply<D>(dp, dout, row, v);
    scoreGradient(s, dp, mine, j0, c);
    accumulate<D>(dq, s, k);
  }
  if (a.turn.cos) {
    if (mine.t < lay.n) unrotate<D>(dq, 0, mine.t, a.turn);
    if (mine.t + 8 < lay.n) unrotate<D>(dq, 2, mine.t + 8, a.turn);
  }
  storeRows<D>(dq, a.dqkv + lay.query(h), width, mine.t, lay.n, a.scale, a.scale);
}

// Column is what the queries of a step carry, two stages in shared memory.
struct Column {
  float lse, delta;
  int start, pad;
};

// columnGradient turns transposed scores s and dp into p, in s, and ds, in dp.
template <int N>
__device__ __forceinline__ void columnGradient(float (&s)[N][4], float (&dp)[N][4], const Column* columns, int t0, int n, int key, float c) {
#pragma unroll
  for (int j = 0; j < N; j++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = 8 * j + threadIdx.x % 4 * 2 + i, t = t0 + at;
      Column col = columns[at];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int k = key + 8 * half;
        bool out = k > t || k < col.start || t >= n;
        float p = out ? 0 : power2(s[j][2 * half + i] * c - col.lse);
        s[j][2 * half + i] = p;
        dp[j][2 * half + i] = p * (dp[j][2 * half + i] - col.delta);
      }
    }
}

template <int D> __device__ __forceinline__ void keyGradient(const Arguments& a, Layout<D> lay) {
  using P = Plan<D>;
  extern __shared__ __align__(16) char raw[];
  constexpr int Q = P::queries;
  Tile<D> k{(uint32_t)__cvta_generic_to_shared(raw)}, v{k.at(P::rows, 0)}, pairs{v.at(P::rows, 0)};
  Column* columns = reinterpret_cast<Column*>(raw + Tile<D>::bytes(2 * P::rows + 4 * Q));
  int g = blockIdx.x, j0 = blockIdx.y * P::rows, last = min(j0 + P::rows, lay.n) - 1;
  int row = threadIdx.x / 32 * 16, width = lay.width();

  // Queries run from j0 on until a step whose document starts after the last key.
  int steps = 1, beyond = (lay.n - j0 + Q - 1) / Q;
  while (steps < beyond) {
    int middle = (steps + beyond) / 2;
    if (a.start[j0 + middle * Q] <= last) steps = middle + 1;
    else beyond = middle;
  }
  auto fetch = [&](int i) {
    int h = g * lay.group() + i / steps, t0 = j0 + i % steps * Q;
    Tile<D> q{pairs.at(2 * Q * (i & 1), 0)}, dout{q.at(Q, 0)};
    q.template load<Q, P::threads>(a.qkv + lay.query(h), width, t0, lay.n);
    dout.template load<Q, P::threads>(a.dout + h * D, lay.heads * D, t0, lay.n);
    if (threadIdx.x < Q) {
      int t = min(t0 + (int)threadIdx.x, lay.n - 1);
      size_t at = (size_t)t * lay.heads + h;
      columns[(i & 1) * Q + threadIdx.x] = {a.lse[at] * kLog2e, a.delta[at], a.start[t], 0};
    }
  };
  k.template load<P::rows, P::threads>(a.qkv + lay.key(g), width, j0, lay.n);
  v.template load<P::rows, P::threads>(a.qkv + lay.value(g), width, j0, lay.n);
  fetch(0);
  copyCommit();

  float dk[D / 8][4], dv[D / 8][4], c = a.scale * kLog2e;
  clear(dk);
  clear(dv);
  int key = j0 + row + threadIdx.x % 32 / 4, total = steps * lay.group();
  for (int i = 0; i < total; i++) {
    copyWait<0>();
    __syncthreads();
    if (i + 1 < total) fetch(i + 1);
    copyCommit();
    int t0 = j0 + i % steps * Q;
    if (t0 + Q - 1 < j0 + row) continue;
    Tile<D> q{pairs.at(2 * Q * (i & 1), 0)}, dout{q.at(Q, 0)};
    float s[Q / 8][4], dp[Q / 8][4];
    clear(s);
    clear(dp);
    multiply<D>(s, k, row, q);
    multiply<D>(dp, v, row, dout);
    columnGradient(s, dp, columns + (i & 1) * Q, t0, lay.n, key, c);
    accumulate<D>(dv, s, dout);
    accumulate<D>(dk, dp, q);
  }
  if (a.turn.cos) {
    if (key < lay.n) unrotate<D>(dk, 0, key, a.turn);
    if (key + 8 < lay.n) unrotate<D>(dk, 2, key + 8, a.turn);
  }
  storeRows<D>(dk, a.dqkv + lay.key(g), width, key, lay.n, a.scale, a.scale);
  storeRows<D>(dv, a.dqkv + lay.value(g), width, key, lay.n, 1, 1);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    flash_delta(const __nv_bfloat16* dout, const __nv_bfloat16* out, float* delta, int n, int heads, int d) {
  int i = blockIdx.x * 16 + threadIdx.x / 16;
  size_t at = (size_t)min(i, n * heads - 1) * d; // all lanes take part in the sum
  float sum = dotRow(dout + at, out + at, d);
  if (i < n * heads && threadIdx.x % 16 == 0) delta[i] = sum;
}

#define BACKWARD(NAME, FUNC, D)                                                                                        \
  extern "C" __global__ void __launch_bounds__(Plan<D>::threads, 1)                                                    \
      NAME(const __nv_bfloat16* qkv, const __nv_bfloat16* dout, const float* lse, const float* delta, const int* start, \
           __nv_bfloat16* dqkv, int n, int heads, int kv, float scale, const float* cos, const float* sin,             \
           const int* row) {                                                                                           \
    FUNC<D>(Arguments{qkv, dout, lse, delta, start, dqkv, scale, Turn{cos, sin, row}}, Layout<D>{n, heads, kv});       \
  }
BACKWARD(flash_dq_64, queryGradient, 64)
BACKWARD(flash_dq_96, queryGradient, 96)
BACKWARD(flash_dq_128, queryGradient, 128)
BACKWARD(flash_dkv_64, keyGradient, 64)
BACKWARD(flash_dkv_96, keyGradient, 96)
BACKWARD(flash_dkv_128, keyGradient, 128)
