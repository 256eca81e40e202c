// Checks gemm_hopper.cu against naive products and times it at the model's shapes.
//   nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -o gemm_check gemm_check.cu && ./gemm_check [quick], quick: small cases only, for compute-sanitizer
#include "../../gemm_hopper.cu"
#include "check.cuh"
#include "gemm_ceiling.cuh"

template <class T> __global__ void productRef(double* y, const T* x, const T* w, int n, int out, int k, bool nn) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)n * out; i += (size_t)gridDim.x * blockDim.x) {
    size_t t = i / out, o = i % out;
    double s = 0;
    for (int j = 0; j < k; j++) s += (double)(float)x[t * k + j] * (double)(float)w[nn ? j * (size_t)out + o : o * k + j];
    y[i] = s;
  }
}

template <class T> std::vector<double> product(const Device<T>& x, const Device<T>& w, int n, int out, int k, bool nn = false) {
  Device<double> y((size_t)n * out);
  productRef<T><<<4096, 128>>>(y.p, x.p, w.p, n, out, k, nn);
  CHECK(cudaGetLastError());
  return y.host();
}

using Kernel = void (*)(const TensorMap, const TensorMap, const TensorMap, const TensorMap, const TensorMap, const TensorMap, float*,
                        const float*, const float*, int, int, int, int, int);

struct Variant { const char* name; Kernel kernel; int bn, size; bool nn, f32; int shared; };
#define V(K, BN, SIZE, NN, F32) {#K, K, BN, SIZE, NN, F32, Shape<BN>::shared}
static Variant variants[] = {
    V(gemm_s8_256, 256, 1, false, false), V(gemm_s8_192, 192, 1, false, false), V(gemm_s8_128, 128, 1, false, false),
    V(gemm_s8_f32_256, 256, 1, false, true), V(gemm_s8_f32_192, 192, 1, false, true), V(gemm_s8_f32_128, 128, 1, false, true),
    V(gemm_bf16_256, 256, 2, false, false), V(gemm_bf16_192, 192, 2, false, false), V(gemm_bf16_128, 128, 2, false, false),
    V(gemm_bf16_f32_256, 256, 2, false, true), V(gemm_bf16_f32_192, 192, 2, false, true), V(gemm_bf16_f32_128, 128, 2, false, true),
    V(gemm_bf16_nn_256, 256, 2, true, false), V(gemm_bf16_nn_128, 128, 2, true, false),
    V(gemm_bf16_nn_f32_256, 256, 2, true, true), V(gemm_bf16_nn_f32_128, 128, 2, true, true)};

static int processors;

template <class T> struct Problem {
  int n, out, k, r;
  Device<T> x, w;
  Device<bf> u, b, residual, y;
  Device<float> sx, sw, yf;
  Problem(int n, int out, int k, int r) : n(n), out(out), k(k), r(r), x((size_t)n * k), w((size_t)out * k), u((size_t)n * r), b((size_t)out * r),
        residual((size_t)n * out), y((size_t)n * out), sx(n), sw(out), yf((size_t)n * out) {
    uint32_t seed = n * 31 + out * 7 + k;
    fill(x, sizeof(T) == 1 ? 40 : 1, seed + 1); fill(w, sizeof(T) == 1 ? 40 : 0.05f, seed + 2);
    fill(u, 1, seed + 3); fill(b, 0.3f, seed + 4); fill(residual, 3, seed + 5);
    fill(sx, 0.01f, seed + 6); fill(sw, 0.001f, seed + 7);
  }
  void launch(const Variant& v, bool scales, bool res, bool adapter) {
    auto type = sizeof(T) == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    auto half = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    auto swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
    cuuint64_t s = sizeof(T), N = n, O = out, K = k, R = r;
    cuuint32_t span = 128 / s, bn = v.bn;
    TensorMap mx = tensorMap(x.p, type, {K, N}, {K * s}, {span, 128}, swizzle), mw;
    if (v.nn) mw = tensorMap(w.p, half, {64, K, O / 64}, {2 * O, 128}, {64, 64, bn / 128}, swizzle);
    else mw = tensorMap(w.p, type, {K, O}, {K * s}, {span, bn / 2}, swizzle);
    TensorMap mu = mx, mb = mw, my = mx, mr = tensorMap(residual.p, half, {O, N}, {O * 2}, {64, 128}, swizzle);
    if (adapter) mu = tensorMap(u.p, half, {R, N}, {R * 2}, {64, 128}, swizzle), mb = tensorMap(b.p, half, {R, O}, {R * 2}, {64, bn / 2}, swizzle);
    if (!v.f32) my = tensorMap(y.p, half, {O, N}, {O * 2}, {64, 64}, swizzle);
    int tiles = (n + 255) / 256 * ((out + v.bn - 1) / v.bn), grid = 2 * std::min(tiles, processors / 2);
    v.kernel<<<grid, 384, v.shared>>>(mx, mw, mu, mb, mr, my, yf.p, scales ? sx.p : nullptr, scales ? sw.p : nullptr, n, out, k, adapter ? r : 0, res);
    CHECK(cudaGetLastError());
  }
};

static float scaleInt(double sum, float x, float w) {
  volatile float f = (float)(int)sum, s = x * w, p = f * s;
  return p;
}

// expect builds what a variant must give, in double; for int8 without an adapter, in the kernel's own float32 steps.
template <class T> std::vector<double> expect(Problem<T>& p, const std::vector<double>& base, const std::vector<double>& lora, bool scales, bool res, bool adapter) {
  auto sx = p.sx.host(), sw = p.sw.host();
  auto residual = p.residual.host();
  std::vector<double> e(base.size());
  for (size_t i = 0; i < e.size(); i++) {
    double v = base[i];
    if (sizeof(T) == 1 && scales) v = scaleInt(base[i], sx[i / p.out], sw[i % p.out]);
    if (adapter) v += lora[i];
    if (res) v = sizeof(T) == 1 && !adapter ? (double)((float)v + (float)residual[i]) : v + (double)(float)residual[i];
    e[i] = v;
  }
  return e;
}

template <class T> void check(int n, int out, int k, int r) {
  Problem<T> p(n, out, k, r);
  auto lora = product(p.u, p.b, n, out, r);
  for (int layout = 0; layout < 2; layout++) {
    if (layout == 1 && (sizeof(T) == 1 || out % 64)) break;
    auto base = product(p.x, p.w, n, out, k, layout == 1);
    for (const Variant& v : variants) {
      if (v.size != (int)sizeof(T) || v.nn != (layout == 1)) continue;
      for (int mode = 0; mode < 8; mode++) {
        bool scales = mode & 1, res = mode & 2, adapter = mode & 4;
        if (sizeof(T) == 2 && scales) continue;
        p.y.poison(); p.yf.poison();
        p.launch(v, scales, res, adapter);
        CHECK(cudaDeviceSynchronize());
        char what[128], detail[160];
        snprintf(what, sizeof what, "%s %dx%dx%d%s%s%s", v.name, n, out, k, scales ? " scales" : "", res ? " residual" : "", adapter ? " adapter" : "");
        auto e = expect(p, base, lora, scales, res, adapter);
        bool exact = sizeof(T) == 1 && !adapter;
        if (v.f32) {
          auto y = p.yf.host();
          if (sizeof(T) == 1 && mode == 0) for (auto& f : y) { int32_t bits; memcpy(&bits, &f, 4); f = bits; }
          if (exact) for (auto& d : e) d = (float)d;
          Gap g = gap(y, e);
          bool ok = g.bad == 0 && (exact ? g.worst == 0 : g.relative < 2e-6 * std::sqrt(k / 64.0));
          snprintf(detail, sizeof detail, "relative %.2e worst %.2e nan %zu", g.relative, g.worst, g.bad);
          if (!ok || mode == 0) verdict(ok, what, detail);
          continue;
        }
        auto y = p.y.host();
        if (exact) for (auto& d : e) d = (float)bf((float)d);
        Gap g = gap(y, e);
        bool ok = g.bad == 0 && (exact ? g.worst == 0 : g.relative < 2.5e-3);
        snprintf(detail, sizeof detail, "relative %.2e worst %.2e nan %zu", g.relative, g.worst, g.bad);
        if (!ok || mode == 0 || mode == 7 || mode == 6) verdict(ok, what, detail);
      }
    }
  }
}

static void checkTranspose(int rows, int cols) {
  Device<int8_t> w((size_t)rows * cols), t((size_t)rows * cols);
  fill(w, 40, 5);
  gemm_transpose_s8<<<dim3(cols / 128, rows / 128), 256>>>(w.p, t.p, rows, cols);
  CHECK(cudaGetLastError());
  auto a = w.host(), b = t.host();
  size_t bad = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < cols; j++) bad += a[(size_t)i * cols + j] != b[(size_t)j * rows + i];
  char detail[80];
  snprintf(detail, sizeof detail, "%zu wrong", bad);
  verdict(bad == 0, "gemm_transpose_s8", detail);
}

static double ceilingOf(void (*kernel)(int*, int), double perRound) {
  Device<int> sink(128);
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 40960));
  int rounds = 20000; // long enough for the clocks to settle
  float ms = median([&] { kernel<<<processors, 256, 40960>>>(sink.p, rounds); }, 5, 1);
  return perRound * rounds * processors / ms / 1e9;
}

template <class T> void bench(int n, int out, int k, double ceiling, bool nn = false) {
  Problem<T> p(n, out, k, 64);
  for (const Variant& v : variants) {
    if (v.size != (int)sizeof(T) || v.f32 || v.nn != nn) continue;
    float plain = median([&] { p.launch(v, true, false, false); }), res = median([&] { p.launch(v, true, true, false); }), lora = median([&] { p.launch(v, true, false, true); }),
          full = median([&] { p.launch(v, true, true, true); });
    double ops = 2.0 * n * out * k;
    printf("%-20s %5d x %5d x %5d  %8.1f us %7.1f T (%4.1f %%)  +residual %.1f +adapter %.1f both %8.1f us %7.1f T\n", v.name, n, out, k, plain * 1e3, ops / plain / 1e9,
           100 * ops / plain / 1e9 / ceiling, res * 1e3, lora * 1e3, full * 1e3, ops / full / 1e9);
    fflush(stdout);
  }
}

int main(int argc, char** argv) {
  bool quick = argc > 1;
  cudaDeviceProp prop;
  CHECK(cudaGetDeviceProperties(&prop, 0));
  processors = prop.multiProcessorCount;
  printf("%s, %d multiprocessors\n", prop.name, processors);
  for (const Variant& v : variants) CHECK(cudaFuncSetAttribute(v.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, v.shared));
  check<int8_t>(256, 512, 256, 64);
  check<bf>(256, 512, 256, 64);
  if (!quick) {
    check<int8_t>(100, 72, 400, 8);
    check<int8_t>(333, 1000, 1040, 24);
    check<bf>(333, 1000, 1032, 24);
    check<bf>(333, 1088, 1032, 16);
    check<int8_t>(2048, 3072, 3072, 64);
    check<bf>(2048, 3072, 3072, 64);
  }
  checkTranspose(512, 384);
  if (quick) {
    printf(failures ? "%d FAILED\n" : "all passed\n", failures);
    return failures != 0;
  }
  double s8 = ceilingOf(gemm_ceiling_s8, 2.0 * 128 * 256 * 128), b16 = ceilingOf(gemm_ceiling_bf16, 2.0 * 128 * 256 * 64);
  printf("ceiling: int8 %.0f TOP/s, bf16 %.0f TFLOP/s\n", s8, b16);
  int shapes[4][2] = {{9216, 3072}, {3072, 3072}, {16384, 3072}, {3072, 8192}};
  for (int n : {2048, 8192})
    for (auto& s : shapes) bench<int8_t>(n, s[0], s[1], s8);
  for (auto& s : shapes) bench<int8_t>(8192, s[1], s[0], s8); // the input gradients
  for (auto& s : shapes) bench<bf>(8192, s[0], s[1], b16);
  bench<bf>(2048, 32064, 3072, b16);
  bench<bf>(2048, 3072, 32064, b16, true);
  bench<bf>(8192, 3072, 3072, b16, true);
  {
    Device<int8_t> w((size_t)16384 * 3072), t((size_t)16384 * 3072);
    fill(w, 40, 1);
    float ms = median([&] { gemm_transpose_s8<<<dim3(24, 128), 256>>>(w.p, t.p, 16384, 3072); });
    printf("transpose 16384x3072 %.1f us, %.0f GB/s\n", ms * 1e3, 2.0 * 16384 * 3072 / ms / 1e6);
  }
  printf(failures ? "%d FAILED\n" : "all passed\n", failures);
  return failures != 0;
}
