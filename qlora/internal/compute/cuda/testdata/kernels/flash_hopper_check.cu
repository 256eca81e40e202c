// Checks the Hopper flash kernels against attention in float64 and times them at the model's shapes.
//   nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -o flash_hopper_check flash_hopper_check.cu && ./flash_hopper_check [quick], quick: small cases only, for compute-sanitizer
#include <type_traits>

#include "../../flash_hopper.cuh"
#include "flash_case.cuh"
namespace forwards {
#include "../../flash_forward_hopper.cu"
}
namespace backwards {
#include "../../flash_backward_hopper.cu"
}

using Forward = void (*)(const TensorMap, const TensorMap, const TensorMap, float*, const int*, int, int, int, float);
using Backward = void (*)(const TensorMap, const TensorMap, const float*, const int*, bf*, int, int, int, float, const float*, const float*, const int*);

// panels describes a matrix [n, width] in panels of 32 columns.
static TensorMap panels(const bf* p, int n, int width, int d, cuuint32_t rows) {
  return tensorMap(p, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, {32, (cuuint64_t)n, (cuuint64_t)width / 32}, {2 * (cuuint64_t)width, 64},
                   {32, rows, (cuuint32_t)d / 32}, CU_TENSOR_MAP_SWIZZLE_64B);
}

template <int D> struct Hopper : Implementation {
  Forward fwd;
  Backward dq, dkv;
  TensorMap mq, mkv, mo, mdout;
  Device<float>* stats = nullptr;
  int shared = forwards::Plan<D>::shared, dqShared = backwards::QueryMemory<D>::bytes, dkvShared = 0;
  Hopper(Forward f, Backward q, Backward kv) : fwd(f), dq(q), dkv(kv) {
    name = "hopper";
    keys = kv;
    if constexpr (D < 128) dkvShared = backwards::KeyMemory<D>::bytes;
    printf("D %d shared bytes: forward %d, dq %d, dkv %d\n", D, shared, dqShared, dkvShared);
    CHECK(cudaFuncSetAttribute(f, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    CHECK(cudaFuncSetAttribute(q, cudaFuncAttributeMaxDynamicSharedMemorySize, dqShared));
    if (keys) CHECK(cudaFuncSetAttribute(kv, cudaFuncAttributeMaxDynamicSharedMemorySize, dkvShared));
  }
  static int blocks(const Case& c) { return (c.n + 127) / 128; }
  void prepare(Case& c) override {
    mq = panels(c.qkv.p, c.n, c.width, D, 64);
    mkv = panels(c.qkv.p, c.n, c.width, D, 128);
    mo = panels(c.out.p, c.n, c.heads * D, D, 64);
    mdout = panels(c.dout.p, c.n, c.heads * D, D, 64);
    delete stats;
    stats = new Device<float>((size_t)2 * c.heads * blocks(c) * 128);
  }
  void forward(Case& c) override { fwd<<<dim3(c.heads, blocks(c)), 384, shared>>>(mq, mkv, mo, c.lse.p, c.start.p, c.n, c.heads, c.kv, c.scale); }
  void delta(Case& c) override {
    backwards::flash_stats_hopper<<<blocks(c) * 128 * c.heads / 16, 256>>>(c.dout.p, c.out.p, c.lse.p, stats->p, c.n, c.heads, D);
  }
  void backwardQuery(Case& c) override {
    dq<<<dim3(c.heads, blocks(c)), 384, dqShared>>>(mq, mdout, stats->p, c.start.p, c.dqkv.p, c.n, c.heads, c.kv, c.scale, c.turn ? c.cos.p : nullptr,
                                                    c.sin.p, c.row.p);
  }
  void backwardKey(Case& c) override {
    dkv<<<dim3(c.kv, blocks(c)), 384, dkvShared>>>(mq, mdout, stats->p, c.start.p, c.dqkv.p, c.n, c.heads, c.kv, c.scale, c.turn ? c.cos.p : nullptr,
                                                   c.sin.p, c.row.p);
  }
};

int main(int argc, char** argv) {
  Hopper<64> h64(forwards::flash_forward_hopper_64, backwards::flash_dq_hopper_64, backwards::flash_dkv_hopper_64);
  Hopper<96> h96(forwards::flash_forward_hopper_96, backwards::flash_dq_hopper_96, backwards::flash_dkv_hopper_96);
  Hopper<128> h128(forwards::flash_forward_hopper_128, backwards::flash_dq_hopper_128, nullptr);
  Implementation* all[] = {&h64, &h96, &h128};
  int sizes[] = {64, 96, 128};
  for (int i = 0; i < 3; i++) checkAll(*all[i], sizes[i], argc > 1);
  for (int i = 0; i < 3 && argc == 1; i++) bench(*all[i], sizes[i]);
  printf(failures ? "%d FAILED\n" : "all passed\n", failures);
  return failures != 0;
}
