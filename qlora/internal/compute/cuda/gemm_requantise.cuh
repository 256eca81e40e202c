// What dX = dY W in int8 needs before its product: W transposed, so that both
// operands are contiguous along the summed dimension, and dY with the scales of
// W's rows folded in and quantised a token.
//
//   gemm_transpose_s8(const int8_t* w, int8_t* wt, int rows, int cols)
//     wt[cols,rows] = w[rows,cols]ᵀ; grid (cols/128, rows/128), block 256,
//     static shared memory; rows and cols multiples of 128, 16-byte aligned.
//   gemm_fold_quantise(const bf16* dy, const float* sw, int8_t* q, float* s, int n, int out,
//                      const int32_t* random, uint32_t site)
//     s[t] = max_o |dy·sw|/127, q = round(dy·sw/s[t]); grid min(n, multiprocessors),
//     block 512, no dynamic shared memory; out a multiple of 8 up to 16384. random = 0 rounds to nearest
//     even; else to floor(x+u), u uniform by Philox on the flat element (State of
//     compute.Random, site).
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

// gemm_transpose_s8 turns tiles of 128 × 128 bytes. A thread loads 4 words of
// 4 rows × 4 columns, transposes bytes by prmt, and stores words of 4 rows;
// the pitch of 33 words keeps both sides free of bank conflicts.
extern "C" __global__ void __launch_bounds__(256) gemm_transpose_s8(const int8_t* w, int8_t* wt, int rows, int cols) {
  __shared__ uint32_t tile[128 * 33];
  int column = threadIdx.x % 32, band = threadIdx.x / 32;
  const int8_t* from = w + (size_t)blockIdx.y * 128 * cols + blockIdx.x * 128;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int row = (band + 8 * i) * 4;
    uint32_t v[4];
#pragma unroll
    for (int j = 0; j < 4; j++) v[j] = __ldg(reinterpret_cast<const uint32_t*>(from + (size_t)(row + j) * cols) + column);
    uint32_t lo0 = __byte_perm(v[0], v[1], 0x5140), hi0 = __byte_perm(v[0], v[1], 0x7362);
    uint32_t lo1 = __byte_perm(v[2], v[3], 0x5140), hi1 = __byte_perm(v[2], v[3], 0x7362);
    uint32_t t[4] = {__byte_perm(lo0, lo1, 0x5410), __byte_perm(lo0, lo1, 0x7632), __byte_perm(hi0, hi1, 0x5410), __byte_perm(hi0, hi1, 0x7632)};
#pragma unroll
    for (int j = 0; j < 4; j++) tile[(column * 4 + j) * 33 + row / 4] = t[j];
  }
  __syncthreads();
  int8_t* to = wt + (size_t)blockIdx.x * 128 * rows + blockIdx.y * 128;
#pragma unroll
  for (int i = 0; i < 16; i++) {
    int row = band + 8 * i;
    reinterpret_cast<uint32_t*>(to + (size_t)row * rows)[column] = tile[row * 33 + column];
  }
}

namespace {

// philox is compute.Philox.
__device__ __forceinline__ uint4 philox(uint4 c, uint2 k) {
#pragma unroll
  for (int i = 0; i < 10; i++) {
    uint32_t h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x, h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
    c = make_uint4(h1 ^ c.y ^ k.x, l1, h0 ^ c.w ^ k.y, l0);
    k.x += 0x9E3779B9u;
    k.y += 0xBB67AE85u;
  }
  return c;
}

// blockMax may be called again at once: two sets of partial results alternate.
__device__ __forceinline__ float blockMax(float v, int turn) {
  __shared__ float part[2][16];
#pragma unroll
  for (int i = 16; i; i /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, i));
  if (threadIdx.x % 32 == 0) part[turn][threadIdx.x / 32] = v;
  __syncthreads();
  v = part[turn][threadIdx.x % 16];
#pragma unroll
  for (int i = 8; i; i /= 2) v = fmaxf(v, __shfl_xor_sync(~0u, v, i));
  return v;
}

// roundCode rounds to nearest even, or up with the fraction's probability.
__device__ __forceinline__ uint32_t roundCode(float v, bool random, uint32_t word) {
  float r = random ? floorf(v + (word >> 8) * (1.0f / (1 << 24))) : rintf(v);
  return (uint32_t)(int)fminf(fmaxf(r, -127), 127) & 0xff;
}

__device__ __forceinline__ uint32_t roundFour(const float* v, float inverse, const int32_t* random, uint32_t site, uint32_t counter) {
  uint4 w = make_uint4(0, 0, 0, 0);
  if (random) w = philox(make_uint4(counter, random[2], random[3], site), make_uint2(random[0], random[1]));
  return roundCode(v[0] * inverse, random, w.x) | roundCode(v[1] * inverse, random, w.y) << 8 |
         roundCode(v[2] * inverse, random, w.z) << 16 | roundCode(v[3] * inverse, random, w.w) << 24;
}

constexpr int kFoldThreads = 512, kFoldChunks = 4; // 4 × 512 threads × 8 elements = 16384 columns

// Fold is a thread's part of the row scales: eight columns of each chunk.
struct Fold {
  float w[kFoldChunks][8];
  int out;
  __device__ Fold(const float* sw, int out) : out(out) {
#pragma unroll
    for (int c = 0; c < kFoldChunks; c++)
#pragma unroll
      for (int i = 0; i < 8; i++) w[c][i] = column(c) < out ? sw[column(c) + i] : 0;
  }
  static __device__ int column(int c) { return (c * kFoldThreads + threadIdx.x) * 8; }
  __device__ void load(uint4 (&raw)[kFoldChunks], const __nv_bfloat16* row) const {
#pragma unroll
    for (int c = 0; c < kFoldChunks; c++) {
      raw[c] = make_uint4(0, 0, 0, 0);
      if (column(c) < out) raw[c] = __ldcs(reinterpret_cast<const uint4*>(row + column(c)));
    }
  }
  __device__ void scale(float (&v)[8], const uint4& raw, int c) const {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      v[2 * i] = __uint_as_float(words[i] << 16) * w[c][2 * i];
      v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000) * w[c][2 * i + 1];
    }
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(kFoldThreads, 1)
    gemm_fold_quantise(const __nv_bfloat16* dy, const float* sw, int8_t* q, float* s, int n, int out, const int32_t* random, uint32_t site) {
  Fold fold(sw, out);
  uint4 raw[kFoldChunks], ahead[kFoldChunks];
  fold.load(ahead, dy + (size_t)blockIdx.x * out);
  for (int t = blockIdx.x, turn = 0; t < n; t += gridDim.x, turn ^= 1) {
    float v[8], most = 0;
#pragma unroll
    for (int c = 0; c < kFoldChunks; c++) raw[c] = ahead[c];
    fold.load(ahead, dy + (size_t)min(t + (int)gridDim.x, n - 1) * out);
#pragma unroll
    for (int c = 0; c < kFoldChunks; c++) {
      fold.scale(v, raw[c], c);
#pragma unroll
      for (int i = 0; i < 8; i++) most = fmaxf(most, fabsf(v[i]));
    }
    most = blockMax(most, turn);
    float inverse = most > 0 ? 127 / most : 0;
    if (threadIdx.x == 0) s[t] = most / 127;
#pragma unroll
    for (int c = 0; c < kFoldChunks; c++) {
      int o = fold.column(c);
      if (o >= out) continue;
      fold.scale(v, raw[c], c);
      size_t at = (size_t)t * out + o;
      uint32_t counter = (uint32_t)(at / 4);
      *reinterpret_cast<uint2*>(q + at) = make_uint2(roundFour(v, inverse, random, site, counter), roundFour(v + 4, inverse, random, site, counter + 1));
    }
  }
}
