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

#include "flash_dkv_hopper.cuh"
#include "flash_dq_hopper.cuh"

namespace {

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
