// Scaffolding of the kernels' check programs: allocation, random inputs,
// tensor maps, comparison, timing.
#pragma once
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

using bf = __nv_bfloat16;

#define CHECK(e)                                                                          \
  do {                                                                                    \
    cudaError_t err = (e);                                                                \
    if (err != cudaSuccess) {                                                             \
      printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #e, cudaGetErrorString(err));         \
      exit(2);                                                                            \
    }                                                                                     \
  } while (0)

static int failures;

static void verdict(bool ok, const char* what, const char* detail) {
  printf("%-4s %-46s %s\n", ok ? "ok" : "FAIL", what, detail);
  if (!ok) failures++;
  fflush(stdout);
}

template <class T> struct Device {
  T* p = nullptr;
  size_t n = 0;
  explicit Device(size_t count) : n(count) {
    CHECK(cudaMalloc(&p, std::max<size_t>(n * sizeof(T), 256)));
    poison();
  }
  Device(const Device&) = delete;
  ~Device() { cudaFree(p); }
  void poison() { CHECK(cudaMemset(p, 0xff, n * sizeof(T))); } // NaN in bf16 and float32
  std::vector<T> host() const {
    std::vector<T> h(n);
    CHECK(cudaMemcpy(h.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return h;
  }
  void set(const std::vector<T>& h) { CHECK(cudaMemcpy(p, h.data(), h.size() * sizeof(T), cudaMemcpyHostToDevice)); }
};

static __host__ __device__ uint32_t mix(uint64_t x) {
  x ^= x >> 33; x *= 0xff51afd7ed558ccdULL; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53ULL; x ^= x >> 33;
  return (uint32_t)x;
}
// normal has variance 1 (sum of four uniforms).
static __device__ float normal(uint64_t i, uint32_t seed) {
  float s = 0;
  for (int j = 0; j < 4; j++) s += mix((i * 4 + j) * 2654435761ull + seed * 0x9E3779B97F4A7C15ull) * (1.0f / 4294967296.0f);
  return (s - 2) * 1.7320508f;
}
template <class T> __global__ void fillKernel(T* p, size_t n, float scale, uint32_t seed) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
    float v = normal(i, seed) * scale;
    if (sizeof(T) == 1) p[i] = (T)(int)fmaxf(-127, fminf(127, rintf(v)));
    else p[i] = (T)v;
  }
}
template <class T> void fill(Device<T>& d, float scale, uint32_t seed) {
  fillKernel<T><<<2048, 256>>>(d.p, d.n, scale, seed);
  CHECK(cudaGetLastError());
}

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                            const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// tensorMap describes a tensor of rank 2 or 3; strides in bytes from dimension 1 on.
static TensorMap tensorMap(const void* p, CUtensorMapDataType type, std::vector<cuuint64_t> dims, std::vector<cuuint64_t> strides,
                           std::vector<cuuint32_t> box, CUtensorMapSwizzle swizzle) {
  static Encode encode = (Encode)dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuTensorMapEncodeTiled");
  CUtensorMap m;
  cuuint32_t ones[3] = {1, 1, 1};
  CUresult r = encode(&m, type, dims.size(), const_cast<void*>(p), dims.data(), strides.data(), box.data(), ones,
                      CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (r != CUDA_SUCCESS) {
    printf("cuTensorMapEncodeTiled: %d\n", (int)r);
    exit(2);
  }
  TensorMap t;
  static_assert(sizeof(t) == sizeof(m));
  memcpy(&t, &m, sizeof(t));
  return t;
}

// median returns the median milliseconds of f over reps timings of batch calls
// each: the device is busy while the host prepares the next.
template <class F> float median(F f, int reps = 9, int batch = 4) {
  cudaEvent_t a, b;
  CHECK(cudaEventCreate(&a));
  CHECK(cudaEventCreate(&b));
  for (int i = 0; i < 3; i++) f();
  std::vector<float> ms(reps);
  for (float& m : ms) {
    CHECK(cudaEventRecord(a));
    for (int i = 0; i < batch; i++) f();
    CHECK(cudaEventRecord(b));
    CHECK(cudaEventSynchronize(b));
    CHECK(cudaEventElapsedTime(&m, a, b));
    m /= batch;
  }
  CHECK(cudaGetLastError());
  cudaEventDestroy(a);
  cudaEventDestroy(b);
  std::sort(ms.begin(), ms.end());
  return ms[reps / 2];
}

struct Gap { double relative, worst; size_t bad; };

// gap compares with a reference: ‖a-b‖/‖b‖, the largest difference, NaNs.
template <class A, class B> Gap gap(const std::vector<A>& a, const std::vector<B>& b) {
  double d = 0, s = 0, worst = 0;
  size_t bad = 0;
  for (size_t i = 0; i < b.size(); i++) {
    double x = (double)(float)a[i], y = (double)b[i];
    if (!(std::isfinite(x))) { bad++; continue; }
    d += (x - y) * (x - y);
    s += y * y;
    worst = std::max(worst, std::fabs(x - y));
  }
  return {std::sqrt(d / std::max(s, 1e-300)), worst, bad};
}
