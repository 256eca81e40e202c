// Causal flash attention over packed documents, forward, for sm_90a: the
// function of flash_attention.cu with wgmma and bulk tensor copies.
//
// Warpgroup 0 copies; warpgroups 1 and 2 own 64 queries each and walk tiles of
// 128 keys. The scores of the next tile and the weighted values of this one are
// in flight while the exponentials are taken (Shah et al., FlashAttention-3,
// arXiv 2407.08608, sections 3.1 and 3.2).
//
// flash_forward_hopper_{64,96,128}(TensorMap mq, TensorMap mkv, TensorMap mo, float* lse,
//                                  const int* start, int n, int heads, int kv, float scale)
//   mq   qkv bf16 as 3-D {32, n, (heads+2·kv)·D/32}, strides {2·(heads+2·kv)·D, 64} bytes,
//        box {32, 64, D/32}, SWIZZLE_64B;   mkv  the same with box {32, 128, D/32}
//   mo   out bf16 as 3-D {32, n, heads·D/32}, strides {2·heads·D, 64}, box {32, 64, D/32}, SWIZZLE_64B
//   lse float32 [n, heads]; start, heads, kv, scale as for flash_forward_*
// Grid (heads, ⌈n/128⌉), block 384; dynamic shared memory
// 83072, 124032, 164992 for D = 64, 96, 128. No other limit on n.
#include "flash_hopper.cuh"

namespace {

constexpr int kQueries = 128, kKeys = 128, kStages = 2, kThreads = 384;

template <int D> struct Plan {
  static constexpr int queryBytes = Panels<D, 64>::bytes, keyBytes = Panels<D, kKeys>::bytes;
  static constexpr int shared = 1024 + 2 * queryBytes + 2 * kStages * keyBytes + 128;
};

// Memory places two tiles of queries, then stages of keys and values; each
// stage has a full and an empty barrier for keys and the same for values.
template <int D> struct Memory {
  uint32_t query, keys, values, queryFull, keyFull, keyEmpty, valueFull, valueEmpty;
  __device__ explicit Memory(char* raw) {
    query = ((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u;
    keys = query + 2 * Plan<D>::queryBytes;
    values = keys + kStages * Plan<D>::keyBytes;
    queryFull = values + kStages * Plan<D>::keyBytes;
    keyFull = queryFull + 8;
    keyEmpty = keyFull + 8 * kStages;
    valueFull = keyEmpty + 8 * kStages;
    valueEmpty = valueFull + 8 * kStages;
  }
  __device__ void init() const {
    hopper::barrierInit(queryFull, 1);
    for (int i = 0; i < kStages; i++) {
      hopper::barrierInit(keyFull + 8 * i, 1);
      hopper::barrierInit(valueFull + 8 * i, 1);
      hopper::barrierInit(keyEmpty + 8 * i, 8);
      hopper::barrierInit(valueEmpty + 8 * i, 8);
    }
    hopper::barrierInitFence();
  }
};

// Span is the work of a block: queries q0.., keys from begin in tiles.
struct Span {
  int h, g, q0, begin, last, tiles;
  template <int D> __device__ Span(const int* start, Layout<D> lay) {
    h = blockIdx.x;
    g = h / lay.group();
    q0 = (gridDim.y - 1 - blockIdx.y) * kQueries;
    begin = start[q0];
    last = min(q0 + kQueries, lay.n) - 1;
    tiles = (last - begin) / kKeys + 1;
  }
};

template <int D>
__device__ __forceinline__ void produce(const TensorMap* mq, const TensorMap* mkv, const Memory<D>& mem, const Span& w, Layout<D> lay) {
  using P = Plan<D>;
  hopper::expectBytes(mem.queryFull, 2 * P::queryBytes);
  for (int i = 0; i < 2; i++) hopper::load3(mem.query + i * P::queryBytes, mq, mem.queryFull, 0, w.q0 + 64 * i, lay.query(w.h) / kPanel);
  hopper::Ring<kStages> ring;
  for (int i = w.tiles - 1; i >= 0; i--, ring.next()) {
    int j0 = w.begin + i * kKeys, at = ring.slot;
    hopper::wait(mem.keyEmpty + 8 * at, ring.phase ^ 1);
    hopper::expectBytes(mem.keyFull + 8 * at, P::keyBytes);
    hopper::load3(mem.keys + at * P::keyBytes, mkv, mem.keyFull + 8 * at, 0, j0, lay.key(w.g) / kPanel);
    hopper::wait(mem.valueEmpty + 8 * at, ring.phase ^ 1);
    hopper::expectBytes(mem.valueFull + 8 * at, P::keyBytes);
    hopper::load3(mem.values + at * P::keyBytes, mkv, mem.valueFull + 8 * at, 0, j0, lay.value(w.g) / kPanel);
  }
}

// Rows is what a thread keeps of its two rows, t and t+8; first and deepest
// bound the rows of its warpgroup.
struct Rows {
  int t, start[2], first, deepest;
  float most[2], sum[2], shrink[2];
};

__device__ __forceinline__ void mask(float (&s)[kKeys / 8][4], const Rows& r, int j0) {
  if (j0 + kKeys - 1 <= r.first && j0 >= r.deepest) return;
#pragma unroll
  for (int j = 0; j < kKeys / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int key = j0 + 8 * j + threadIdx.x % 4 * 2 + i % 2, half = i / 2;
      if (key > r.t + 8 * half || key < r.start[half]) s[j][i] = -INFINITY;
    }
}

// soften turns scores into exp2(c·(s - max)); shrink is the factor for what came before.
__device__ __forceinline__ void soften(float (&s)[kKeys / 8][4], Rows& r, float c) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float most = r.most[half];
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++) most = fmaxf(most, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
    most = quadMax(most);
    float base = most == -INFINITY ? 0 : most * c, sum = 0;
    r.shrink[half] = power2(r.most[half] * c - base);
#pragma unroll
    for (int j = 0; j < kKeys / 8; j++)
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        s[j][i] = power2(fmaf(s[j][i], c, -base));
        sum += s[j][i];
      }
    r.sum[half] = r.sum[half] * r.shrink[half] + sum;
    r.most[half] = most;
  }
}

template <int D> __device__ __forceinline__ void rescale(float (&o)[D / 8][4], const Rows& r) {
#pragma unroll
  for (int j = 0; j < D / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) o[j][i] *= r.shrink[i / 2];
}

// finish writes 64 rows through the warpgroup's own tile of queries.
template <int D>
__device__ __forceinline__ void finish(float (&o)[D / 8][4], const Rows& r, const TensorMap* mo, uint32_t tile, float* lse, const Span& w,
                                       Layout<D> lay, float scale) {
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float sum = quadSum(r.sum[half]);
    int t = r.t + 8 * half;
    inverse[half] = 1 / sum;
    if (threadIdx.x % 4 == 0 && t < lay.n) lse[(size_t)t * lay.heads + w.h] = r.most[half] * scale + __logf(sum);
  }
  int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane % 16, group = threadIdx.x / 128;
#pragma unroll
  for (int j = 0; j < D / 8; j += 2) {
    uint32_t word = (j % 4 + lane / 16) ^ (row / 2 & 3), to = tile + j / 4 * (64 * kPanelBytes) + row * kPanelBytes + word * 16;
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(to), "r"(pack(o[j][0] * inverse[0], o[j][1] * inverse[0])),
                 "r"(pack(o[j][2] * inverse[1], o[j][3] * inverse[1])), "r"(pack(o[j + 1][0] * inverse[0], o[j + 1][1] * inverse[0])),
                 "r"(pack(o[j + 1][2] * inverse[1], o[j + 1][3] * inverse[1])) : "memory");
  }
  hopper::sharedToAsync();
  hopper::syncGroup(group, 128);
  if (threadIdx.x % 128 == 0 && r.first < lay.n) {
    hopper::store3(mo, tile, 0, r.first, lay.query(w.h) / kPanel);
    hopper::storeCommit();
    hopper::storeRead<0>();
  }
}

template <int D>
__device__ __forceinline__ void consume(const TensorMap* mo, const Memory<D>& mem, const Span& w, const int* start, float* lse, Layout<D> lay, float scale) {
  using P = Plan<D>;
  int group = threadIdx.x / 128 - 1, row = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
  uint32_t query = mem.query + group * P::queryBytes;
  Rows r{w.q0 + group * 64 + row, {0, 0}, w.q0 + group * 64, start[min(w.q0 + group * 64 + 63, lay.n - 1)], {-INFINITY, -INFINITY}, {0, 0}, {1, 1}};
  for (int i = 0; i < 2; i++) r.start[i] = start[min(r.t + 8 * i, lay.n - 1)];
  float o[D / 8][4], s[kKeys / 8][4], c = scale * kLog2e;
  Words p[kKeys / 16];
  clear(o);
  hopper::Ring<kStages> keys, values;
  int j0 = w.begin + (w.tiles - 1) * kKeys;

  if (group == 1) passTurn(1);
  hopper::wait(mem.queryFull, 0);
  hopper::wait(mem.keyFull, 0);
  awaitTurn(group);
  hopper::mmaFence();
  scores<D, 64, kKeys>(s, query, 0, mem.keys);
  hopper::mmaCommit();
  if (group == 0 || w.tiles > 1) passTurn(group); // the last turn goes to nobody
  hopper::mmaWait<0>();
  hopper::hold(s);
  released(mem.keyEmpty);
  keys.next();
  mask(s, r, j0);
  soften(s, r, c);
  packAll(p, s);
  for (int i = 1; i < w.tiles; i++) {
    j0 -= kKeys;
    hopper::wait(mem.keyFull + 8 * keys.slot, keys.phase);
    awaitTurn(group);
    hopper::mmaFence();
    scores<D, 64, kKeys>(s, query, 0, mem.keys + keys.slot * P::keyBytes);
    hopper::mmaCommit();
    hopper::wait(mem.valueFull + 8 * values.slot, values.phase);
    hopper::mmaFence();
    gather<D, kKeys>(o, p, mem.values + values.slot * P::keyBytes);
    hopper::mmaCommit();
    if (group == 0 || i + 1 < w.tiles) passTurn(group);
    hopper::mmaWait<1>();
    hopper::hold(s);
    released(mem.keyEmpty + 8 * keys.slot);
    keys.next();
    mask(s, r, j0);
    soften(s, r, c);
    hopper::mmaWait<0>();
    hopper::hold(o);
    released(mem.valueEmpty + 8 * values.slot);
    values.next();
    packAll(p, s);
    rescale<D>(o, r);
  }
  hopper::wait(mem.valueFull + 8 * values.slot, values.phase);
  hopper::mmaFence();
  gather<D, kKeys>(o, p, mem.values + values.slot * P::keyBytes);
  hopper::mmaCommit();
  hopper::mmaWait<0>();
  hopper::hold(o);
  finish<D>(o, r, mo, query, lse, w, lay, scale);
}

template <int D>
__device__ __forceinline__ void forward(const TensorMap* mq, const TensorMap* mkv, const TensorMap* mo, float* lse, const int* start,
                                        Layout<D> lay, float scale) {
  extern __shared__ char raw[];
  Memory<D> mem(raw);
  if (threadIdx.x == 0) mem.init();
  Span w(start, lay);
  __syncthreads();
  if (threadIdx.x < 128) {
    hopper::fewerRegisters<24>();
    if (threadIdx.x == 0) produce<D>(mq, mkv, mem, w, lay);
  } else {
    hopper::moreRegisters<240>();
    consume<D>(mo, mem, w, start, lse, lay, scale);
  }
}

}  // namespace

#define FORWARD(D)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(kThreads, 1)                                                         \
      flash_forward_hopper_##D(const __grid_constant__ TensorMap mq, const __grid_constant__ TensorMap mkv,         \
                               const __grid_constant__ TensorMap mo, float* lse, const int* start, int n, int heads, \
                               int kv, float scale) {                                                               \
    forward<D>(&mq, &mkv, &mo, lse, start, Layout<D>{n, heads, kv}, scale);                                         \
  }
FORWARD(64)
FORWARD(96)
FORWARD(128)
