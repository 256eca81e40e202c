// Checks the generic flash kernels against attention in float64 and times them at the model's shapes.
//   nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -o flash_check flash_check.cu && ./flash_check [quick], quick: small cases only, for compute-sanitizer
#include "../../flash_tile.cuh"
#include "../../hopper.cuh"
#include "flash_case.cuh"
namespace forwards {
#include "../../flash_attention.cu"
}
namespace backwards {
#include "../../flash_backward.cu"
}
using namespace forwards;
using namespace backwards;

template <int D> struct Generic : Implementation {
  void (*fwd)(const bf*, bf*, float*, const int*, int, int, int, float);
  void (*dq)(const bf*, const bf*, const float*, const float*, const int*, bf*, int, int, int, float, const float*, const float*, const int*);
  void (*dkv)(const bf*, const bf*, const float*, const float*, const int*, bf*, int, int, int, float, const float*, const float*, const int*);
  using P = backwards::Plan<D>;
  static constexpr int forwardShared = 256 * (D + 8) * 2, dqShared = Tile<D>::bytes(2 * P::rows + 4 * P::keys),
                       dkvShared = Tile<D>::bytes(2 * P::rows + 4 * P::queries) + 2 * P::queries * 16;
  Generic(decltype(fwd) f, decltype(dq) q, decltype(dkv) kv) : fwd(f), dq(q), dkv(kv) {
    name = "generic";
    printf("D %d shared bytes: forward %d, dq %d, dkv %d\n", D, forwardShared, dqShared, dkvShared);
    if (std::max(forwardShared, std::max(dqShared, dkvShared)) > 101376) failures++, puts("FAIL shared memory over 99 KiB");
    CHECK(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, forwardShared));
    CHECK(cudaFuncSetAttribute(q, cudaFuncAttributeMaxDynamicSharedMemorySize, dqShared));
    CHECK(cudaFuncSetAttribute(kv, cudaFuncAttributeMaxDynamicSharedMemorySize, dkvShared));
  }
  void forward(Case& c) override {
    fwd<<<dim3(c.heads, (c.n + 127) / 128), 256, forwardShared>>>(c.qkv.p, c.out.p, c.lse.p, c.start.p, c.n, c.heads, c.kv, c.scale);
  }
  void delta(Case& c) override { flash_delta<<<(c.n * c.heads + 15) / 16, 256>>>(c.dout.p, c.out.p, c.delta.p, c.n, c.heads, c.d); }
  void backwardQuery(Case& c) override {
    dq<<<dim3(c.heads, (c.n + P::rows - 1) / P::rows), P::threads, dqShared>>>(c.qkv.p, c.dout.p, c.lse.p, c.delta.p, c.start.p, c.dqkv.p, c.n, c.heads, c.kv,
                                                                         c.scale, c.turn ? c.cos.p : nullptr, c.sin.p, c.row.p);
  }
  void backwardKey(Case& c) override {
    dkv<<<dim3(c.kv, (c.n + P::rows - 1) / P::rows), P::threads, dkvShared>>>(c.qkv.p, c.dout.p, c.lse.p, c.delta.p, c.start.p, c.dqkv.p, c.n, c.heads, c.kv,
                                                                       c.scale, c.turn ? c.cos.p : nullptr, c.sin.p, c.row.p);
  }
};

// ceiling is the rate of mma.sync without memory: eight warps, eight independent accumulators.
__global__ void __launch_bounds__(256) ceiling(float* sink, int rounds) {
  Words a = {threadIdx.x, 1, 2, 3};
  float d[8][4];
  clear(d);
  for (int i = 0; i < rounds; i++)
#pragma unroll
    for (int j = 0; j < 8; j++) mma(d[j], a, a[j % 4] + 0x3f803f80, 0x3f003f00 + j);
  for (int j = 0; j < 8; j++)
    if (d[j][0] == 12345) sink[0] = d[j][0];
}

static void printCeiling() {
  Device<float> sink(1);
  cudaDeviceProp prop;
  CHECK(cudaGetDeviceProperties(&prop, 0));
  int rounds = 40000, blocks = prop.multiProcessorCount * 4;
  float ms = median([&] { ceiling<<<blocks, 256>>>(sink.p, rounds); }, 5, 1);
  printf("%s: mma.sync ceiling %.0f TFLOP/s\n", prop.name, 2.0 * 16 * 8 * 16 * 8 * rounds * blocks * 8 / ms / 1e9);
}

int main(int argc, char** argv) {
  if (argc == 1) printCeiling();
  Generic<64> g64(flash_forward_64, flash_dq_64, flash_dkv_64);
  Generic<96> g96(flash_forward_96, flash_dq_96, flash_dkv_96);
  Generic<128> g128(flash_forward_128, flash_dq_128, flash_dkv_128);
  Implementation* all[] = {&g64, &g96, &g128};
  int sizes[] = {64, 96, 128};
  for (int i = 0; i < 3; i++) checkAll(*all[i], sizes[i], argc > 1);
  for (int i = 0; i < 3 && argc == 1; i++) bench(*all[i], sizes[i]);
  printf(failures ? "%d FAILED\n" : "all passed\n", failures);
  return failures != 0;
}
