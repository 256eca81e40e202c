// Instructions of sm_90a that CUDA C++ does not name: mbarriers, bulk tensor
// copies, wgmma. Formats and semantics: PTX ISA 9.0, sections "Asynchronous
// warpgroup level matrix instructions", "cp.async.bulk.tensor", "mbarrier".
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

// A tensor map as cuTensorMapEncodeTiled writes it; opaque here, so that the
// driver's header is not needed.
struct alignas(64) TensorMap { unsigned char opaque[128]; };

namespace hopper {

__device__ __forceinline__ uint32_t shared(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void barrierInit(uint32_t bar, uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}

__device__ __forceinline__ void barrierInitFence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void expectBytes(uint32_t bar, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}

__device__ __forceinline__ void arrive(uint32_t bar) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}

// arriveAt arrives on the barrier at the same offset in another block of the
// cluster. It frees a buffer that wgmma has read, so there is nothing to release
// at cluster scope, and the fence that would do it costs a microsecond.
__device__ __forceinline__ void arriveAt(uint32_t bar, uint32_t rank) {
  asm volatile("{\n.reg .b32 a;\nmapa.shared::cluster.u32 a, %0, %1;\n"
               "mbarrier.arrive.shared::cluster.b64 _, [a];\n}" ::"r"(bar), "r"(rank) : "memory");
}

__device__ __forceinline__ void wait(uint32_t bar, uint32_t parity) {
  asm volatile("{\n.reg .pred p;\nAGAIN:\n"
               "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%0], %1;\n"
               "@p bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(bar), "r"(parity) : "memory");
}

// Ring walks the stages of a buffer; phase is the parity that a wait for a full
// stage takes, its opposite that for an empty one.
template <int Stages> struct Ring {
  int slot = 0;
  uint32_t phase = 0;
  __device__ void next() {
    if (++slot == Stages) slot = 0, phase ^= 1;
  }
};

__device__ __forceinline__ void prefetchMap(const TensorMap* m) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(m) : "memory");
}

__device__ __forceinline__ void load2(uint32_t dst, const TensorMap* m, uint32_t bar, int c0, int c1) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
               ::"r"(dst), "l"(m), "r"(bar), "r"(c0), "r"(c1) : "memory");
}

// load2All writes the same offsets of every block in the mask and completes on
// each block's own barrier.
__device__ __forceinline__ void load2All(uint32_t dst, const TensorMap* m, uint32_t bar, int c0, int c1, uint16_t mask) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
               " [%0], [%1, {%3, %4}], [%2], %5;"
               ::"r"(dst), "l"(m), "r"(bar), "r"(c0), "r"(c1), "h"(mask) : "memory");
}

__device__ __forceinline__ void load3(uint32_t dst, const TensorMap* m, uint32_t bar, int c0, int c1, int c2) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
               ::"r"(dst), "l"(m), "r"(bar), "r"(c0), "r"(c1), "r"(c2) : "memory");
}

__device__ __forceinline__ void load3All(uint32_t dst, const TensorMap* m, uint32_t bar, int c0, int c1, int c2, uint16_t mask) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
               " [%0], [%1, {%3, %4, %5}], [%2], %6;"
               ::"r"(dst), "l"(m), "r"(bar), "r"(c0), "r"(c1), "r"(c2), "h"(mask) : "memory");
}

__device__ __forceinline__ void store2(const TensorMap* m, uint32_t src, int c0, int c1) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];"
               ::"l"(m), "r"(src), "r"(c0), "r"(c1) : "memory");
}

__device__ __forceinline__ void store3(const TensorMap* m, uint32_t src, int c0, int c1, int c2) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];"
               ::"l"(m), "r"(src), "r"(c0), "r"(c1), "r"(c2) : "memory");
}

// loadBytes copies a run of bytes, 16-byte aligned on both sides.
__device__ __forceinline__ void loadBytes(uint32_t dst, const void* p, uint32_t bytes, uint32_t bar) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(dst), "l"(p), "r"(bytes), "r"(bar) : "memory");
}

__device__ __forceinline__ void storeCommit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// storeRead waits until at most N stores still read their source.
template <int N> __device__ __forceinline__ void storeRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

// sharedToAsync makes ordinary stores to shared memory visible to copies and wgmma.
__device__ __forceinline__ void sharedToAsync() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void syncGroup(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void arriveGroup(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void clusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ uint32_t clusterRank() {
  uint32_t r;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
  return r;
}

template <int N> __device__ __forceinline__ void moreRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N> __device__ __forceinline__ void fewerRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// Matrix descriptors. K-major tiles have rows of one swizzle span (128 or 64
// bytes), eight rows an atom, stride the distance of atoms. MN-major tiles are
// panels of one span of columns; lead is the distance of panels and stride the
// distance of eight rows.
enum Swizzle : uint64_t { swizzle128 = 1, swizzle64 = 2 };

__device__ __forceinline__ uint64_t descriptor(uint32_t addr, uint32_t lead, uint32_t stride, Swizzle s) {
  return (uint64_t)((addr & 0x3FFFF) >> 4) | (uint64_t)(lead >> 4) << 16 | (uint64_t)(stride >> 4) << 32 | (uint64_t)s << 62;
}

__device__ __forceinline__ void mmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void mmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> __device__ __forceinline__ void mmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// hold keeps the compiler from moving uses of accumulators across a wait.
template <int N> __device__ __forceinline__ void hold(float (&d)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])::"memory");
}
template <int N> __device__ __forceinline__ void hold(int (&d)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+r"(d[i])::"memory");
}

#define MMA_LIST_16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define MMA_LIST_32 MMA_LIST_16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define MMA_LIST_48 MMA_LIST_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define MMA_LIST_64 MMA_LIST_48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define MMA_LIST_80 MMA_LIST_64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define MMA_LIST_96 MMA_LIST_80 ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define MMA_LIST_112 MMA_LIST_96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"
#define MMA_LIST_128 MMA_LIST_112 ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define MMA_WORDS_8(c, i) c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3]), c(d[i + 4]), c(d[i + 5]), c(d[i + 6]), c(d[i + 7])
#define MMA_WORDS_16(c, i) MMA_WORDS_8(c, i), MMA_WORDS_8(c, i + 8)
#define MMA_WORDS_32(c, i) MMA_WORDS_16(c, i), MMA_WORDS_16(c, i + 16)
#define MMA_WORDS_48(c, i) MMA_WORDS_32(c, i), MMA_WORDS_16(c, i + 32)
#define MMA_WORDS_64(c, i) MMA_WORDS_32(c, i), MMA_WORDS_32(c, i + 32)
#define MMA_WORDS_96(c, i) MMA_WORDS_64(c, i), MMA_WORDS_32(c, i + 64)
#define MMA_WORDS_128(c, i) MMA_WORDS_64(c, i), MMA_WORDS_64(c, i + 64)

// d += a b, 64 rows a warpgroup, k of one instruction. Sums are
// kept as 32-bit words, floats by their bits, so that a product of integers can
// be scaled in place and added to in bf16.
#define MMA_S8(N, R, A, B)                                                                                     \
  __device__ __forceinline__ void mmaS8(int (&d)[R], uint64_t a, uint64_t b) {                                 \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k32.s32.s8.s8 {" MMA_LIST_##R "}, " A ", " B ", 1;"           \
                 : MMA_WORDS_##R("+r", 0) : "l"(a), "l"(b));                                                            \
  }
MMA_S8(256, 128, "%128", "%129")
MMA_S8(192, 96, "%96", "%97")
MMA_S8(128, 64, "%64", "%65")

// NN: b is stored with columns contiguous.
#define MMA_BF16(N, R, A, B, T)                                                                                \
  template <bool NN> __device__ __forceinline__ void mmaBf16(int (&d)[R], uint64_t a, uint64_t b) {            \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" MMA_LIST_##R "}, " A ", " B ", 1, 1, 1, 0, " T ";" \
                 : MMA_WORDS_##R("+r", 0) : "l"(a), "l"(b), "n"(NN ? 1 : 0));                                           \
  }
MMA_BF16(256, 128, "%128", "%129", "%130")
MMA_BF16(192, 96, "%96", "%97", "%98")
MMA_BF16(128, 64, "%64", "%65", "%66")

// Products of attention: accumulators as rows of four, one an 8 × 8 block. a is
// in shared memory (product) or in registers (productHeld); Add keeps d; NN as above.
#define MMA_ROWS_8(i) "+f"(d[(i) / 4][0]), "+f"(d[(i) / 4][1]), "+f"(d[(i) / 4][2]), "+f"(d[(i) / 4][3]), \
              "+f"(d[(i) / 4 + 1][0]), "+f"(d[(i) / 4 + 1][1]), "+f"(d[(i) / 4 + 1][2]), "+f"(d[(i) / 4 + 1][3])
#define MMA_ROWS_16(i) MMA_ROWS_8(i), MMA_ROWS_8(i + 8)
#define MMA_ROWS_32 MMA_ROWS_16(0), MMA_ROWS_16(16)
#define MMA_ROWS_48 MMA_ROWS_32, MMA_ROWS_16(32)
#define MMA_ROWS_64 MMA_ROWS_48, MMA_ROWS_16(48)
#define MMA_FLASH(N, R, A, B, C, D, E, P, T)                                                                                  \
  template <bool Add, bool NN> __device__ __forceinline__ void product(float (&d)[N / 8][4], uint64_t a, uint64_t b) {        \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" MMA_LIST_##R "}, " A ", " B ", " C ", 1, 1, 0, " D ";"  \
                 : MMA_ROWS_##R : "l"(a), "l"(b), "n"(Add ? 1 : 0), "n"(NN ? 1 : 0));                                                 \
  }                                                                                                                           \
  template <bool Add, bool NN> __device__ __forceinline__ void productHeld(float (&d)[N / 8][4], const uint32_t (&a)[4], uint64_t b) { \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" MMA_LIST_##R "}, {" A "," B "," C "," D "}, " E ", " P ", 1, 1, " T ";" \
                 : MMA_ROWS_##R : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(Add ? 1 : 0), "n"(NN ? 1 : 0));             \
  }
MMA_FLASH(64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
MMA_FLASH(96, 48, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
MMA_FLASH(128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")

}  // namespace hopper
