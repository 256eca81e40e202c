// W transposed, so that both operands of dX = dY W in int8 are contiguous along the
// summed dimension.
//
//   gemm_transpose_s8(const int8_t* w, int8_t* wt, int rows, int cols)
//     wt[cols,rows] = w[rows,cols]ᵀ; grid (cols/128, rows/128), block 256,
//     static shared memory; rows and cols multiples of 128, 16-byte aligned.
#pragma once
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
