// Causal flash attention over packed documents, backward, for sm_90a: the
// functions of flash_backward.cu with wgmma and bulk tensor copies.
//
// As there, scores are made twice, once by blocks of queries (dq) and once by
// blocks of keys (dk, dv), and nothing is accumulated in memory. Warpgroup 0
// copies, warpgroups 1 and 2 own 64 rows each. Blocks of keys transpose the
// scores: probabilities and their gradients leave the accumulators as left
// operands. Products into dk, dv, dq stay in flight while the next scores start.
//
// 1. flash_stats_hopper(const bf16* dout, const bf16* out, const float* lse, float* stats, int n, int heads, int d)
//      stats float32 [2, heads, N], N = ⌈n/128⌉·128: lse·log2(e), +∞ from n on; then delta, 0 from n on.
//      Grid ⌈N·heads/16⌉, block 256; d a multiple of 8 up to 128.
// 2. flash_dq_hopper_{64,96,128}, flash_dkv_hopper_{64,96}, in any order
//      (TensorMap mqkv, TensorMap mdout, const float* stats, const int* start, bf16* dqkv,
//       int n, int heads, int kv, float scale, const float* cos, const float* sin, const int* row)
//    mqkv   qkv bf16 as 3-D {32, n, (heads+2·kv)·D/32}, strides {2·(heads+2·kv)·D, 64} bytes,
//           box {32, 64, D/32}, SWIZZLE_64B
//    mdout  dout bf16 as 3-D {32, n, heads·D/32}, strides {2·heads·D, 64}, box {32, 64, D/32}, SWIZZLE_64B
//    the rest as for flash_dq_* and flash_dkv_*; stats 16-byte aligned.
// Grid dq (heads, ⌈n/128⌉), dkv (kv, ⌈n/128⌉); block 384; dynamic shared memory
//          D =  64      96      128
//   dq      132152  197688   164920
//   dkv     101448  150600     -     (D = 128: dk, dv and the scores exceed the registers; flash_dkv_128 serves)
#include <type_traits>

#include "flash_hopper.cuh"

namespace {

constexpr int kRows = 128, kThreads = 384, kQueries = 64, kPieceRows = 64;

template <int D> struct Plan {
  static constexpr int piece = Panels<D, kPieceRows>::bytes; // 64 rows, what one copy brings
  static constexpr int keys = D == 128 ? 64 : 128, queryStages = 4, keyStages = 3;
  static constexpr int keyStage = 2 * keys / 64 * piece, queryStage = 2 * piece, statBytes = 2 * kQueries * 4;
};

struct Arguments {
  const TensorMap *mqkv, *mdout;
  const float* stats;
  const int* start;
  bf16* dqkv;
  float scale;
  Turn turn;
};

__device__ __forceinline__ int padded(int n) { return (n + kRows - 1) / kRows * kRows; }

// Memory places the 128 rows that the block owns, two matrices in pieces of 64
// rows, then the stages. Readers arrive to free a stage: warps, or lanes where
// lanes read shared memory themselves.
template <int StageBytes, int Stages, int Piece, int StatBytes, int Readers> struct Memory {
  uint32_t own, stage, stats, ownFull, full, empty;
  static constexpr int bytes = 1024 + 4 * Piece + Stages * (StageBytes + StatBytes) + 8 + 16 * Stages;
  __device__ explicit Memory(char* raw) {
    own = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u;
    stage = own + 4 * Piece;
    stats = stage + Stages * StageBytes;
    ownFull = stats + Stages * StatBytes;
    full = ownFull + 8;
    empty = full + 8 * Stages;
    if (threadIdx.x > 0) return;
    hopper::barrierInit(ownFull, 1);
    for (int i = 0; i < Stages; i++) {
      hopper::barrierInit(full + 8 * i, 1);
      hopper::barrierInit(empty + 8 * i, Readers);
    }
    hopper::barrierInitFence();
  }
};

template <int D> using QueryMemory = Memory<Plan<D>::keyStage, Plan<D>::keyStages, Plan<D>::piece, 0, 8>;
template <int D> using KeyMemory = Memory<Plan<D>::queryStage, Plan<D>::queryStages, Plan<D>::piece, Plan<D>::statBytes, 256>;

__device__ __forceinline__ int ownRow() { return threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4; }

template <int D>
__device__ __forceinline__ void store(float (&d)[D / 8][4], const Arguments& a, int column, int t, Layout<D> lay, float factor, bool turned) {
  if (turned && a.turn.cos) {
    if (t < lay.n) unrotate<D>(d, 0, t, a.turn);
    if (t + 8 < lay.n) unrotate<D>(d, 2, t + 8, a.turn);
  }
  storeRows<D>(d, a.dqkv + column, lay.width(), t, lay.n, factor, factor);
}

// ---- dq: a block owns 128 queries of a head and walks the keys.

struct QuerySpan {
  int h, g, q0, begin, last, tiles;
  template <int D> __device__ QuerySpan(const Arguments& a, Layout<D> lay) {
    h = blockIdx.x;
    g = h / lay.group();
    q0 = (gridDim.y - 1 - blockIdx.y) * kRows;
    begin = a.start[q0];
    last = min(q0 + kRows, lay.n) - 1;
    tiles = (last - begin) / Plan<D>::keys + 1;
  }
};

template <int D>
__device__ __forceinline__ void produceKeys(const Arguments& a, const QueryMemory<D>& mem, const QuerySpan& w, Layout<D> lay) {
  using P = Plan<D>;
  hopper::expectBytes(mem.ownFull, 4 * P::piece);
  for (int i = 0; i < 2; i++) {
    hopper::load3(mem.own + i * P::piece, a.mqkv, mem.ownFull, 0, w.q0 + 64 * i, lay.query(w.h) / kPanel);
    hopper::load3(mem.own + (2 + i) * P::piece, a.mdout, mem.ownFull, 0, w.q0 + 64 * i, w.h * D / kPanel);
  }
  hopper::Ring<P::keyStages> ring;
  for (int i = w.tiles - 1; i >= 0; i--, ring.next()) {
    uint32_t to = mem.stage + ring.slot * P::keyStage, full = mem.full + 8 * ring.slot;
    hopper::wait(mem.empty + 8 * ring.slot, ring.phase ^ 1);
    hopper::expectBytes(full, P::keyStage);
    for (int j = 0; j < P::keys / 64; j++) {
      int row = w.begin + i * P::keys + 64 * j;
      hopper::load3(to + j * P::piece, a.mqkv, full, 0, row, lay.key(w.g) / kPanel);
      hopper::load3(to + P::keyStage / 2 + j * P::piece, a.mqkv, full, 0, row, lay.value(w.g) / kPanel);
    }
  }
}

// Query is what a thread keeps of its two rows, t and t+8; first and deepest
// bound the rows of its warpgroup.
struct Query {
  int t, start[2], first, deepest;
  float lse[2], delta[2];
  template <int D> __device__ Query(const Arguments& a, const QuerySpan& w, Layout<D> lay, int group) {
    first = w.q0 + group * 64;
    t = first + ownRow();
    deepest = a.start[min(first + 63, lay.n - 1)];
    size_t at = (size_t)w.h * padded(lay.n) + t, next = (size_t)lay.heads * padded(lay.n);
    for (int i = 0; i < 2; i++) {
      start[i] = a.start[min(t + 8 * i, lay.n - 1)];
      lse[i] = a.stats[at + 8 * i];
      delta[i] = a.stats[next + at + 8 * i];
    }
  }
};

// queryScores computes 64 rows against 64 or 128 keys, in pieces of 64.
template <int D, int N> __device__ __forceinline__ void queryScores(float (&s)[N][4], uint32_t a, uint32_t b) {
#pragma unroll
  for (int j = 0; j < N / 8; j++) scores<D, 64, 64>(reinterpret_cast<float(&)[8][4]>(s[8 * j]), a, 0, b + j * Plan<D>::piece);
}

template <int N> __device__ __forceinline__ void queryMask(float (&s)[N][4], const Query& q, int j0) {
  if (j0 + 8 * N - 1 <= q.first && j0 >= q.deepest) return;
#pragma unroll
  for (int j = 0; j < N; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int key = j0 + 8 * j + threadIdx.x % 4 * 2 + i % 2, half = i / 2;
      if (key > q.t + 8 * half || key < q.start[half]) s[j][i] = -INFINITY;
    }
}

template <int D>
__device__ __forceinline__ void queryGradient(const Arguments& a, const QueryMemory<D>& mem, const QuerySpan& w, Layout<D> lay) {
  using P = Plan<D>;
  constexpr int N = P::keys / 8;
  int group = threadIdx.x / 128 - 1;
  Query mine(a, w, lay, group);
  float dq[D / 8][4], s[N][4], dp[N][4], c = a.scale * kLog2e;
  Words ds[N / 2];
  clear(dq);
  hopper::Ring<P::keyStages> ring;
  int before = 0;
  if (group == 1) passTurn(1);
  hopper::wait(mem.ownFull, 0);
  for (int i = w.tiles - 1; i >= 0; i--) {
    uint32_t k = mem.stage + ring.slot * P::keyStage, v = k + P::keyStage / 2;
    hopper::wait(mem.full + 8 * ring.slot, ring.phase);
    awaitTurn(group);
    hopper::mmaFence();
    queryScores<D>(s, mem.own + group * P::piece, k);
    hopper::mmaCommit();
    queryScores<D>(dp, mem.own + (2 + group) * P::piece, v);
    hopper::mmaCommit();
    if (group == 0 || i > 0) passTurn(group);
    hopper::mmaWait<2>();
    hopper::hold(dq);
    if (i < w.tiles - 1) released(mem.empty + 8 * before);
    hopper::mmaWait<1>();
    hopper::hold(s);
    queryMask(s, mine, w.begin + i * P::keys);
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) s[j][e] = power2(fmaf(s[j][e], c, -mine.lse[e / 2]));
    hopper::mmaWait<0>();
    hopper::hold(dp);
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) s[j][e] *= dp[j][e] - mine.delta[e / 2];
    packAll(ds, s);
    hopper::mmaFence();
#pragma unroll
    for (int j = 0; j < N / 8; j++) gather<D, 64>(dq, reinterpret_cast<const Words(&)[4]>(ds[4 * j]), k + j * P::piece);
    hopper::mmaCommit();
    before = ring.slot;
    ring.next();
  }
  hopper::mmaWait<0>();
  hopper::hold(dq);
  store<D>(dq, a, lay.query(w.h), mine.t, lay, a.scale, true);
}

// ---- dk, dv: a block owns 128 keys of a group and walks the queries of its heads.

struct KeySpan {
  int g, j0, last, steps, clean, total;
  template <int D> __device__ KeySpan(const Arguments& a, Layout<D> lay) {
    g = blockIdx.x;
    j0 = blockIdx.y * kRows;
    last = min(j0 + kRows, lay.n) - 1;
    steps = reach(a.start, lay.n, last);
    clean = reach(a.start, lay.n, j0); // steps up to here, less one, hold no document that starts after j0
    total = steps * lay.group();
  }
  // reach counts steps of queries from j0 on whose first document starts at or before key.
  __device__ int reach(const int* start, int n, int key) const {
    int lo = 1, hi = (n - j0 + kQueries - 1) / kQueries;
    while (lo < hi) {
      int middle = (lo + hi) / 2;
      if (start[j0 + middle * kQueries] <= key) lo = middle + 1;
      else hi = middle;
    }
    return lo;
  }
};

template <int D>
__device__ __forceinline__ void produceQueries(const Arguments& a, const KeyMemory<D>& mem, const KeySpan& w, Layout<D> lay) {
  using P = Plan<D>;
  hopper::expectBytes(mem.ownFull, 4 * P::piece);
  for (int i = 0; i < 2; i++) {
    hopper::load3(mem.own + i * P::piece, a.mqkv, mem.ownFull, 0, w.j0 + 64 * i, lay.key(w.g) / kPanel);
    hopper::load3(mem.own + (2 + i) * P::piece, a.mqkv, mem.ownFull, 0, w.j0 + 64 * i, lay.value(w.g) / kPanel);
  }
  hopper::Ring<P::queryStages> ring;
  for (int i = 0; i < w.total; i++, ring.next()) {
    int h = w.g * lay.group() + i / w.steps, t0 = w.j0 + i % w.steps * kQueries, width = padded(lay.n);
    uint32_t to = mem.stage + ring.slot * P::queryStage, stats = mem.stats + ring.slot * P::statBytes, full = mem.full + 8 * ring.slot;
    const float* from = a.stats + (size_t)h * width + t0;
    hopper::wait(mem.empty + 8 * ring.slot, ring.phase ^ 1);
    hopper::expectBytes(full, P::queryStage + P::statBytes);
    hopper::load3(to, a.mqkv, full, 0, t0, lay.query(h) / kPanel);
    hopper::load3(to + P::piece, a.mdout, full, 0, t0, h * D / kPanel);
    hopper::loadBytes(stats, from, 4 * kQueries, full);
    hopper::loadBytes(stats + 4 * kQueries, from + (size_t)lay.heads * width, 4 * kQueries, full);
  }
}

__device__ __forceinline__ float2 sharedPair(uint32_t addr) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(addr));
  return v;
}

// keyMask masks transposed scores: rows are keys key, key+8, columns queries from t0.
__device__ __forceinline__ void keyMask(float (&s)[kQueries / 8][4], const int* start, int t0, int n, int key) {
#pragma unroll
  for (int j = 0; j < kQueries / 8; j++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int t = t0 + 8 * j + threadIdx.x % 4 * 2 + i, first = start[min(t, n - 1)];
      if (key > t || key < first) s[j][i] = -INFINITY;
      if (key + 8 > t || key + 8 < first) s[j][2 + i] = -INFINITY;
    }
}

template <int D>
__device__ __forceinline__ void keyGradient(const Arguments& a, const KeyMemory<D>& mem, const KeySpan& w, Layout<D> lay) {
  using P = Plan<D>;
  constexpr int N = kQueries / 8;
  int group = threadIdx.x / 128 - 1, first = w.j0 + group * 64, key = first + ownRow();
  float dk[D / 8][4], dv[D / 8][4], s[N][4], dp[N][4], c = a.scale * kLog2e;
  Words p[N / 2], ds[N / 2];
  clear(dk);
  clear(dv);
  hopper::Ring<P::queryStages> ring;
  int before = -1;
  if (group == 1) passTurn(1);
  hopper::wait(mem.ownFull, 0);
  for (int i = 0; i < w.total; i++, ring.next()) {
    int step = i % w.steps, t0 = w.j0 + step * kQueries;
    uint32_t q = mem.stage + ring.slot * P::queryStage, dout = q + P::piece, stats = mem.stats + ring.slot * P::statBytes + threadIdx.x % 4 * 8;
    hopper::wait(mem.full + 8 * ring.slot, ring.phase);
    awaitTurn(group);
    if (t0 + kQueries <= first) { // all before the warpgroup's keys
      hopper::mmaWait<0>();
      hopper::hold(dk);
      hopper::hold(dv);
      if (i + 1 < w.total) passTurn(group);
      if (before >= 0) hopper::arrive(mem.empty + 8 * before); // the next step may need this stage
      hopper::arrive(mem.empty + 8 * ring.slot);
      before = -1;
      continue;
    }
    hopper::mmaFence();
    scores<D, 64, kQueries>(s, mem.own + group * P::piece, 0, q);
    hopper::mmaCommit();
    scores<D, 64, kQueries>(dp, mem.own + (2 + group) * P::piece, 0, dout);
    hopper::mmaCommit();
    if (group == 0 || i + 1 < w.total) passTurn(group);
    hopper::mmaWait<2>();
    hopper::hold(dk);
    hopper::hold(dv);
    if (before >= 0) hopper::arrive(mem.empty + 8 * before);
    hopper::mmaWait<1>();
    hopper::hold(s);
    if (t0 < first + 63 || step >= w.clean - 1) keyMask(s, a.start, t0, lay.n, key);
#pragma unroll
    for (int j = 0; j < N; j++) {
      float2 l = sharedPair(stats + 32 * j);
#pragma unroll
      for (int e = 0; e < 4; e++) s[j][e] = power2(fmaf(s[j][e], c, e % 2 ? -l.y : -l.x));
    }
    packAll(p, s);
    hopper::mmaFence();
    gather<D, kQueries>(dv, p, dout);
    hopper::mmaCommit();
    hopper::mmaWait<1>();
    hopper::hold(dp);
#pragma unroll
    for (int j = 0; j < N; j++) {
      float2 d = sharedPair(stats + 4 * kQueries + 32 * j);
#pragma unroll
      for (int e = 0; e < 4; e++) dp[j][e] = s[j][e] * (dp[j][e] - (e % 2 ? d.y : d.x));
    }
    packAll(ds, dp);
    hopper::mmaFence();
    gather<D, kQueries>(dk, ds, q);
    hopper::mmaCommit();
    before = ring.slot;
  }
  hopper::mmaWait<0>();
  hopper::hold(dk);
  hopper::hold(dv);
  store<D>(dk, a, lay.key(w.g), key, lay, a.scale, true);
  store<D>(dv, a, lay.value(w.g), key, lay, 1, false);
}

template <int D, bool Keys> __device__ __forceinline__ void backward(const Arguments& a, Layout<D> lay) {
  extern __shared__ char raw[];
  using M = std::conditional_t<Keys, KeyMemory<D>, QueryMemory<D>>;
  using W = std::conditional_t<Keys, KeySpan, QuerySpan>;
  M mem(raw);
  W w(a, lay);
  __syncthreads();
  if (threadIdx.x < 128) {
    hopper::fewerRegisters<24>();
    if (threadIdx.x > 0) return;
    if constexpr (Keys) produceQueries<D>(a, mem, w, lay);
    else produceKeys<D>(a, mem, w, lay);
  } else {
    hopper::moreRegisters<240>();
    if constexpr (Keys) keyGradient<D>(a, mem, w, lay);
    else queryGradient<D>(a, mem, w, lay);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) flash_stats_hopper(const __nv_bfloat16* dout, const __nv_bfloat16* out, const float* lse,
                                                                     float* stats, int n, int heads, int d) {
  int i = blockIdx.x * 16 + threadIdx.x / 16, t = i / heads, h = i % heads, width = padded(n);
  size_t at = (size_t)min(i, n * heads - 1) * d; // all lanes take part in the sum
  float sum = dotRow(dout + at, out + at, d);
  if (t >= width || threadIdx.x % 16) return;
  stats[(size_t)h * width + t] = t < n ? lse[i] * kLog2e : INFINITY;
  stats[(size_t)(heads + h) * width + t] = t < n ? sum : 0;
}

#define BACKWARD(NAME, D, KEYS)                                                                                        \
  extern "C" __global__ void __launch_bounds__(kThreads, 1)                                                            \
      NAME(const __grid_constant__ TensorMap mqkv, const __grid_constant__ TensorMap mdout, const float* stats,        \
           const int* start, __nv_bfloat16* dqkv, int n, int heads, int kv, float scale, const float* cos,             \
           const float* sin, const int* row) {                                                                         \
    backward<D, KEYS>(Arguments{&mqkv, &mdout, stats, start, dqkv, scale, Turn{cos, sin, row}}, Layout<D>{n, heads, kv}); \
  }
BACKWARD(flash_dq_hopper_64, 64, false)
BACKWARD(flash_dq_hopper_96, 96, false)
BACKWARD(flash_dq_hopper_128, 128, false)
BACKWARD(flash_dkv_hopper_64, 64, true)
BACKWARD(flash_dkv_hopper_96, 96, true)
