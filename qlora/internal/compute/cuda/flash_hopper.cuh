// Tiles of flash attention in shared memory for wgmma: panels of 32 columns,
// 64-byte rows, 64-byte swizzle, so that D = 64, 96 and 128 are 2, 3 and 4 panels.
#pragma once
#include "flash_tile.cuh"
#include "hopper.cuh"

namespace {

constexpr int kPanel = 32, kPanelBytes = 64; // columns, bytes of a row

// Panels is a tile of Rows rows; tile is its address in shared memory.
template <int D, int Rows> struct Panels {
  static constexpr int bytes = Rows * D * 2, stride = Rows * kPanelBytes;
  // byRow is the operand whose rows are M or N and whose columns are k, 16 from 16·k.
  static __device__ __forceinline__ uint64_t byRow(uint32_t tile, int row, int k) {
    return hopper::descriptor(tile + k / 2 * stride + row * kPanelBytes + k % 2 * 32, 16, 512, hopper::swizzle64);
  }
  // byColumn is the right operand whose columns are N and whose rows are k, 16 from 16·k.
  static __device__ __forceinline__ uint64_t byColumn(uint32_t tile, int k) {
    return hopper::descriptor(tile + k * 1024, stride, 512, hopper::swizzle64);
  }
};

// scores computes s = a bᵀ over D: a 64 rows from row of a tile, b all rows of another.
template <int D, int RowsA, int RowsB>
__device__ __forceinline__ void scores(float (&s)[RowsB / 8][4], uint32_t a, int row, uint32_t b) {
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    uint64_t da = Panels<D, RowsA>::byRow(a, row, k), db = Panels<D, RowsB>::byRow(b, 0, k);
    if (k == 0) hopper::product<false, false>(s, da, db);
    else hopper::product<true, false>(s, da, db);
  }
}

// gather adds p b: p packed, 16 columns a word group, b all rows of a tile as k.
template <int D, int Rows>
__device__ __forceinline__ void gather(float (&o)[D / 8][4], const Words (&p)[Rows / 16], uint32_t b) {
#pragma unroll
  for (int k = 0; k < Rows / 16; k++) hopper::productHeld<true, true>(o, p[k], Panels<D, Rows>::byColumn(b, k));
}

template <int N> __device__ __forceinline__ void packAll(Words (&p)[N / 2], const float (&s)[N][4]) {
#pragma unroll
  for (int k = 0; k < N / 2; k++) asLeft(p[k], s[2 * k], s[2 * k + 1]);
}

// awaitTurn and passTurn let the two warpgroups start their products one after
// the other, so that one takes exponentials while the other multiplies. Every
// turn passed must be taken.
__device__ __forceinline__ void awaitTurn(int group) { hopper::syncGroup(3 + group, 256); }
__device__ __forceinline__ void passTurn(int group) { hopper::arriveGroup(3 + (group ^ 1), 256); }

// released tells the copying warp that this warp's products have read a buffer.
// Buffers that lanes read themselves are released by every lane.
__device__ __forceinline__ void released(uint32_t empty) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) hopper::arrive(empty);
}

}  // namespace
