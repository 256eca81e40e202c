// Matrix products for sm_90a: wgmma fed by bulk tensor copies.
//
//   Y[n,out] = X[n,k] W[out,k]ᵀ        (·sx[t]·sw[o] for int8)
//            + residual[n,out]          if residual
//            + U[n,r] B[out,r]ᵀ         if r > 0, with the adapter's scale already in B
//
// One persistent block a multiprocessor. Warpgroup 0 copies, warpgroups 1 and 2
// multiply 64 rows each of a tile of 128 × BN. A stage holds 128 bytes of k of
// both operands (128 int8 or 64 bf16), swizzled by 128 bytes. Two blocks of a
// cluster take tiles one below the other: each loads half of the W tile and
// multicasts it to both. The adapter is one more stage, multiplied in bf16 into
// the accumulators after they were scaled: it costs k+128 bytes instead of k. The
// residual follows through the same ring, 128 columns a stage.
//
// dX = dY W needs k-major operands in int8. A second, transposed copy of the
// weights would take 3.4 GiB of an 8 GiB card; gemm_transpose_s8 rewrites one
// matrix (at most 48 MiB) into scratch before its product: 0.1 GB moved a
// layer against 10¹² operations.
//
// Kernels (all: block 384, grid below, dynamic shared memory 230464, 197696,
// 230496 bytes for BN = 256, 192, 128):
//
//   gemm_s8_{256,192,128}        int8 → bf16
//   gemm_s8_f32_{256,192,128}    int8 → float32; with sx = sw = 0, int32 sums
//   gemm_bf16_{256,192,128}      bf16 → bf16, W [out,k]
//   gemm_bf16_f32_{256,192,128}  bf16 → float32, W [out,k]
//   gemm_bf16_nn_{256,128}       bf16 → bf16, W [k,out]
//   gemm_bf16_nn_f32_{256,128}   bf16 → float32, W [k,out]
//
//   (TensorMap mx, mw, mu, mb, mr, my; float* y; const float* sx; const float* sw;
//    int n, int out, int k, int r, int residual)
//
// Parameters
//   mx  X as 2-D {k, n}, type UINT8 or BFLOAT16, box {128 bytes, 128}, SWIZZLE_128B
//   mw  W as 2-D {k, out}, box {128 bytes, BN/2}, SWIZZLE_128B; for _nn_ as 3-D
//       {64, k, out/64} with strides {2·out, 128} bytes, box {64, 64, BN/128}, SWIZZLE_128B
//   mu  U as 2-D {r, n} BFLOAT16, box {64, 128}, SWIZZLE_128B   (any map if r = 0)
//   mb  B as 2-D {r, out} BFLOAT16, box {64, BN/2}, SWIZZLE_128B (any map if r = 0)
//   mr  residual as 2-D {out, n} BFLOAT16, box {64, 128}, SWIZZLE_128B (any map if residual = 0);
//       it may be the memory of Y
//   my  Y as 2-D {out, n} BFLOAT16, box {64, 64}, SWIZZLE_128B (any map for _f32_)
//   y   used by the float32 kernels only; row stride out, 8-byte aligned
//   sx, sw    float32 [n], [out]; either may be 0, meaning 1; ignored for bf16
//   r   0, or a multiple of 8 up to 64
// All maps: ELEMENT_STRIDES 1, INTERLEAVE_NONE, L2_PROMOTION 128B or 256B, OOB fill NONE.
//
// Limits: k·size a multiple of 16 bytes; out a multiple of 8 (of 64 for _nn_);
// n any (copies clip); pointers 16-byte aligned; |sum| < 2³¹ holds for k ≤ 133144.
// Grid: 2·min(⌈n/256⌉·⌈out/BN⌉, multiprocessors/2) blocks; cluster 2 is compiled in.
// Choose the BN that minimises ⌈tiles/(multiprocessors/2)⌉·BN with
// tiles = ⌈n/256⌉·⌈out/BN⌉ (192 serves 3072 columns at 2048 tokens).
//
// gemm_transpose.cuh adds what the int8 gradient needs before its product.
#include "gemm_transpose.cuh"
#include "hopper.cuh"

namespace {

using bf16 = __nv_bfloat16;
using namespace hopper;

constexpr int BM = 128, kSpan = 128, kThreads = 384, kWarps = 8, kCluster = 2;
constexpr int kGroup = 8;           // tile rows (of a cluster) that share a sweep over columns, for L2
constexpr int kStagingBytes = 8192; // 64 × 64 bf16, two a warpgroup

template <int BN> struct Shape {
  static constexpr int aBytes = BM * kSpan, bBytes = BN * kSpan, stageBytes = aBytes + bBytes;
  static constexpr int stages = BN == 256 ? 4 : BN == 192 ? 4 : 6;
  static constexpr int shared = 1024 + stages * stageBytes + 4 * kStagingBytes + 2 * stages * 8;
};
static_assert(Shape<256>::shared <= 232448 && Shape<192>::shared <= 232448 && Shape<128>::shared <= 232448);

struct Args {
  const TensorMap *mx, *mw, *mu, *mb, *mr, *my;
  float* y;
  const float *sx, *sw;
  int n, out, k, r, residual;
};

template <int BN> struct Memory {
  uint32_t stage, staging, full, empty;
  __device__ explicit Memory(char* raw) {
    stage = (hopper::shared(raw) + 1023) & ~1023u;
    staging = stage + Shape<BN>::stages * Shape<BN>::stageBytes;
    full = staging + 4 * kStagingBytes;
    empty = full + Shape<BN>::stages * 8;
  }
};

// Tiles walks the tiles of this block's cluster, a group of rows at a time.
template <int BN> struct Tiles {
  int rows, columns, step, at, m, n;
  __device__ Tiles(int tokens, int out) {
    rows = (tokens + BM * kCluster - 1) / (BM * kCluster);
    columns = (out + BN - 1) / BN;
    step = gridDim.x / kCluster;
    at = blockIdx.x / kCluster - step;
  }
  __device__ bool next(uint32_t rank) {
    at += step;
    if (at >= rows * columns) return false;
    int group = at / (kGroup * columns), first = group * kGroup, inside = at % (kGroup * columns);
    int height = min(rows - first, kGroup);
    m = ((first + inside % height) * kCluster + rank) * BM;
    n = inside / height * BN;
    return true;
  }
};

constexpr int kBoxBytes = BM * kSpan; // 64 columns of the residual

// produceResidual loads the tile's residual, two boxes a stage.
template <int BN, class R> __device__ __forceinline__ void produceResidual(const Args& a, const Memory<BN>& mem, R& ring, int m, int n) {
  for (int box = 0; box < BN / 64; box += 2, ring.next()) {
    uint32_t full = mem.full + ring.slot * 8, to = mem.stage + ring.slot * Shape<BN>::stageBytes;
    int boxes = min(2, BN / 64 - box);
    hopper::wait(mem.empty + ring.slot * 8, ring.phase ^ 1);
    expectBytes(full, boxes * kBoxBytes);
    for (int i = 0; i < boxes; i++) load2(to + i * kBoxBytes, a.mr, full, n + (box + i) * 64, m);
  }
}

template <int BN, class T, bool NN> __device__ void produce(const Args& a, const Memory<BN>& mem, uint32_t rank) {
  using S = Shape<BN>;
  constexpr int step = kSpan / sizeof(T);
  constexpr uint16_t all = (1 << kCluster) - 1;
  Ring<S::stages> ring;
  Tiles<BN> tile(a.n, a.out);
  int blocks = (a.k + step - 1) / step, total = blocks + (a.r > 0);
  while (tile.next(rank)) {
    int nHalf = tile.n + rank * (BN / 2);
    for (int kb = 0; kb < total; kb++, ring.next()) {
      uint32_t full = mem.full + ring.slot * 8, to = mem.stage + ring.slot * S::stageBytes;
      uint32_t toB = to + S::aBytes + rank * (S::bBytes / 2);
      hopper::wait(mem.empty + ring.slot * 8, ring.phase ^ 1);
      expectBytes(full, S::stageBytes);
      bool adapter = kb == blocks;
      load2(to, adapter ? a.mu : a.mx, full, adapter ? 0 : kb * step, tile.m);
      if (NN && !adapter) load3All(toB, a.mw, full, 0, kb * step, nHalf / 64, all);
      else load2All(toB, adapter ? a.mb : a.mw, full, adapter ? 0 : kb * step, nHalf, all);
    }
    if (a.residual) produceResidual<BN>(a, mem, ring, tile.m, tile.n);
  }
}

// release tells the producers of the whole cluster that this warp has read a stage.
__device__ __forceinline__ void release(uint32_t empty) {
  __syncwarp();
  if (threadIdx.x % 32 < kCluster) arriveAt(empty, threadIdx.x % 32);
}

// multiplyStage adds the product of one stage, four instructions of 32 bytes of k.
template <class T, bool NN, int R> __device__ __forceinline__ void multiplyStage(int (&d)[R], uint32_t sa, uint32_t sb) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    uint64_t da = descriptor(sa + 32 * i, 16, 1024, swizzle128);
    uint64_t db = NN ? descriptor(sb + 2048 * i, 8192, 1024, swizzle128) : descriptor(sb + 32 * i, 16, 1024, swizzle128);
    if constexpr (sizeof(T) == 1) mmaS8(d, da, db);
    else mmaBf16<NN>(d, da, db);
  }
}

// sweep multiplies all of k into d, one group of instructions in flight.
template <int BN, class T, bool NN>
__device__ __forceinline__ void sweep(int (&d)[BN / 2], const Memory<BN>& mem, Ring<Shape<BN>::stages>& ring, int blocks, int group) {
  using S = Shape<BN>;
  int last = 0;
#pragma unroll
  for (int i = 0; i < BN / 2; i++) d[i] = 0;
  for (int kb = 0; kb < blocks; kb++) {
    uint32_t at = mem.stage + ring.slot * S::stageBytes;
    hopper::wait(mem.full + ring.slot * 8, ring.phase);
    mmaFence();
    multiplyStage<T, NN>(d, at + group * (64 * kSpan), at + S::aBytes);
    mmaCommit();
    mmaWait<1>();
    if (kb > 0) release(mem.empty + last * 8);
    last = ring.slot;
    ring.next();
  }
  mmaWait<0>();
  hold(d);
  release(mem.empty + last * 8);
}

template <int BN>
__device__ __forceinline__ void addAdapter(int (&d)[BN / 2], const Memory<BN>& mem, Ring<Shape<BN>::stages>& ring, int group) {
  using S = Shape<BN>;
  uint32_t at = mem.stage + ring.slot * S::stageBytes;
  hopper::wait(mem.full + ring.slot * 8, ring.phase);
  hold(d);
  mmaFence();
  multiplyStage<bf16, false>(d, at + group * (64 * kSpan), at + S::aBytes);
  mmaCommit();
  mmaWait<0>();
  hold(d);
  release(mem.empty + ring.slot * 8);
  ring.next();
}

__device__ __forceinline__ uint32_t pack(int a, int b) {
  __nv_bfloat162 v = __floats2bfloat162_rn(__int_as_float(a), __int_as_float(b));
  return *reinterpret_cast<uint32_t*>(&v);
}

// Fragment is a thread's place in an accumulator: rows row and row+8 of the
// matrix, columns column + 8j and one more.
struct Fragment {
  int row, column;
  __device__ Fragment(int m, int n, int group) {
    row = m + group * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
    column = n + threadIdx.x % 4 * 2;
  }
};

// scaled is factor·d as the bits of a float. sx·sw comes first, as on the CPU device.
__device__ __forceinline__ int scaled(int d, float x, float w) { return __float_as_int(__fmul_rn(__int2float_rn(d), __fmul_rn(x, w))); }

// loadNow keeps a load where it is written, ahead of the products.
__device__ __forceinline__ float loadNow(const float* p) {
  float v;
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(v) : "l"(p));
  return v;
}

// Scales are loaded before the products and wait in registers: two row scales,
// two of the tile's column scales, which share passes around.
template <int BN> struct Scales {
  float x[2] = {1, 1}, w[2] = {1, 1};
  __device__ Scales(const Args& a, Fragment at, int n) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (a.sx) x[i] = loadNow(a.sx + min(at.row + 8 * i, a.n - 1));
      if (a.sw) w[i] = loadNow(a.sw + min(n + (int)threadIdx.x % 128 + 128 * i, a.out - 1));
    }
  }
  // share writes the column scales to the warpgroup's staging, which its last
  // stores have long read.
  __device__ void share(uint32_t staging, int group) const {
    if (threadIdx.x % 128 == 0) storeRead<0>();
    syncGroup(1 + group, 128);
#pragma unroll
    for (int i = 0; i < BN / 128 + (BN % 128 > 0); i++)
      asm volatile("st.shared.f32 [%0], %1;" ::"r"(staging + (threadIdx.x % 128 + 128 * i) * 4), "f"(w[i]) : "memory");
    syncGroup(1 + group, 128);
  }
};

template <int BN> __device__ __forceinline__ void toFloat(int (&d)[BN / 2], const Scales<BN>& s, uint32_t staging) {
#pragma unroll
  for (int j = 0; j < BN / 8; j++) {
    float2 w;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(w.x), "=f"(w.y) : "r"(staging + 32 * j + threadIdx.x % 4 * 8));
    d[4 * j] = scaled(d[4 * j], s.x[0], w.x);
    d[4 * j + 1] = scaled(d[4 * j + 1], s.x[0], w.y);
    d[4 * j + 2] = scaled(d[4 * j + 2], s.x[1], w.x);
    d[4 * j + 3] = scaled(d[4 * j + 3], s.x[1], w.y);
  }
}

__device__ __forceinline__ void addPair(int* d, uint32_t pair) {
  d[0] = __float_as_int(__int_as_float(d[0]) + __uint_as_float(pair << 16));
  d[1] = __float_as_int(__int_as_float(d[1]) + __uint_as_float(pair & 0xffff0000));
}

// addResidual adds the tile's residual, read in the layout of the accumulators.
template <int BN, class R> __device__ __forceinline__ void addResidual(int (&d)[BN / 2], const Memory<BN>& mem, R& ring, int group) {
  int lane = threadIdx.x % 32, row = group * 64 + threadIdx.x % 128 / 32 * 16 + lane % 16;
#pragma unroll
  for (int box = 0; box < BN / 64; box++) {
    uint32_t at = mem.stage + ring.slot * Shape<BN>::stageBytes + box % 2 * kBoxBytes + row * 128;
    if (box % 2 == 0) hopper::wait(mem.full + ring.slot * 8, ring.phase);
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      uint32_t r[4], from = at + (((j + lane / 16) ^ (row & 7)) * 16);
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
#pragma unroll
      for (int i = 0; i < 4; i++) addPair(d + box * 32 + 4 * j + 2 * i, r[i]);
    }
    if (box % 2 == 0 && box + 1 < BN / 64) continue;
    release(mem.empty + ring.slot * 8);
    ring.next();
  }
}

// storeBf16 goes through shared memory, a box of 64 × 64 at a time. turn counts
// boxes: two buffers alternate across tiles.
template <int R>
__device__ __forceinline__ void storeBf16(int (&d)[R], const Args& a, uint32_t staging, int m, int n, int group, int& turn) {
  int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane % 16;
  bool leader = threadIdx.x % 128 == 0;
#pragma unroll
  for (int box = 0; box < R / 32; box++, turn ^= 1) {
    uint32_t to = staging + (group * 2 + turn) * kStagingBytes;
    if (leader) storeRead<1>();
    syncGroup(1 + group, 128);
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      const int* v = &d[box * 32 + 4 * j];
      uint32_t where = to + row * 128 + (((j + lane / 16) ^ (row & 7)) * 16);
      asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(where), "r"(pack(v[0], v[1])),
                   "r"(pack(v[2], v[3])), "r"(pack(v[4], v[5])), "r"(pack(v[6], v[7])) : "memory");
    }
    sharedToAsync();
    syncGroup(1 + group, 128);
    if (!leader) continue;
    if (n + box * 64 < a.out && m + group * 64 < a.n) store2(a.my, to, n + box * 64, m + group * 64);
    storeCommit();
  }
}

template <int R> __device__ __forceinline__ void storeF32(int (&d)[R], const Args& a, int m, int n, int group) {
  Fragment at(m, n, group);
#pragma unroll
  for (int j = 0; j < R / 4; j++) {
    if (at.column + 8 * j >= a.out) continue;
    float* p = a.y + (size_t)at.row * a.out + at.column + 8 * j;
    if (at.row < a.n) *reinterpret_cast<int2*>(p) = make_int2(d[4 * j], d[4 * j + 1]);
    if (at.row + 8 < a.n) *reinterpret_cast<int2*>(p + 8 * (size_t)a.out) = make_int2(d[4 * j + 2], d[4 * j + 3]);
  }
}

template <int BN, class T, bool NN, bool F32> __device__ void consume(const Args& a, const Memory<BN>& mem, uint32_t rank) {
  constexpr int step = kSpan / sizeof(T);
  int group = threadIdx.x / 128 - 1, blocks = (a.k + step - 1) / step, turn = 0;
  Ring<Shape<BN>::stages> ring;
  Tiles<BN> tile(a.n, a.out);
  while (tile.next(rank)) {
    int d[BN / 2];
    if constexpr (sizeof(T) == 1) {
      Scales<BN> scales(a, Fragment(tile.m, tile.n, group), tile.n);
      sweep<BN, T, NN>(d, mem, ring, blocks, group);
      bool raw = F32 && !a.sx && !a.sw && !a.r && !a.residual;
      uint32_t staging = mem.staging + group * 2 * kStagingBytes;
      if (!raw) {
        scales.share(staging, group);
        toFloat<BN>(d, scales, staging);
      }
    } else {
      sweep<BN, T, NN>(d, mem, ring, blocks, group);
    }
    if (a.r > 0) addAdapter<BN>(d, mem, ring, group);
    if (a.residual) addResidual<BN>(d, mem, ring, group);
    if constexpr (F32) storeF32(d, a, tile.m, tile.n, group);
    else storeBf16(d, a, mem.staging, tile.m, tile.n, group, turn);
  }
  if (threadIdx.x % 128 == 0) storeRead<0>();
}

template <int BN, class T, bool NN, bool F32> __device__ __forceinline__ void gemm(const Args& a, char* raw) {
  Memory<BN> mem(raw);
  uint32_t rank = clusterRank();
  if (threadIdx.x == 0) {
    for (int i = 0; i < Shape<BN>::stages; i++) {
      barrierInit(mem.full + 8 * i, 1);
      barrierInit(mem.empty + 8 * i, kWarps * kCluster);
    }
    barrierInitFence();
    prefetchMap(a.mx);
    prefetchMap(a.mw);
  }
  clusterSync();
  if (threadIdx.x < 128) {
    fewerRegisters<56>();
    if (threadIdx.x == 0) produce<BN, T, NN>(a, mem, rank);
  } else {
    moreRegisters<224>();
    consume<BN, T, NN, F32>(a, mem, rank);
  }
  __syncthreads();
  clusterSync(); // a block that is gone takes neither arrivals nor copies
}

}  // namespace

#define GEMM(NAME, BN, T, NN, F32)                                                                              \
  extern "C" __global__ void __cluster_dims__(kCluster, 1, 1) __launch_bounds__(kThreads, 1)                    \
      NAME(const __grid_constant__ TensorMap mx, const __grid_constant__ TensorMap mw,                          \
           const __grid_constant__ TensorMap mu, const __grid_constant__ TensorMap mb,                          \
           const __grid_constant__ TensorMap mr, const __grid_constant__ TensorMap my, float* y,                \
           const float* sx, const float* sw, int n, int out, int k, int r, int residual) {                      \
    extern __shared__ char raw[];                                                                               \
    Args a{&mx, &mw, &mu, &mb, &mr, &my, y, sx, sw, n, out, k, r, residual};                                         \
    gemm<BN, T, NN, F32>(a, raw);                                                                               \
  }

#define GEMMS(NAME, T, NN, F32) GEMM(NAME##_256, 256, T, NN, F32) GEMM(NAME##_128, 128, T, NN, F32)
#define GEMMS3(NAME, T, F32) GEMMS(NAME, T, false, F32) GEMM(NAME##_192, 192, T, false, F32)
GEMMS3(gemm_s8, int8_t, false)
GEMMS3(gemm_s8_f32, int8_t, true)
GEMMS3(gemm_bf16, __nv_bfloat16, false)
GEMMS3(gemm_bf16_f32, __nv_bfloat16, true)
GEMMS(gemm_bf16_nn, __nv_bfloat16, true, false)
GEMMS(gemm_bf16_nn_f32, __nv_bfloat16, true, true)
