// A case of attention over packed documents, its reference in float64, checks
// and timings for any implementation of forward and backward.
#pragma once
#include "check.cuh"

struct Case {
  int n, heads, kv, d, width;
  bool turn;
  float scale;
  Device<bf> qkv, out, dout, dqkv;
  Device<float> lse, delta, cos, sin;
  Device<int> start, row;

  // lengths of documents are repeated until n is full.
  Case(int n, int heads, int kv, int d, std::vector<int> lengths, bool turn = false)
      : n(n), heads(heads), kv(kv), d(d), width((heads + 2 * kv) * d), turn(turn), scale(1 / std::sqrt((float)d)), qkv((size_t)n * width),
        out((size_t)n * heads * d), dout((size_t)n * heads * d), dqkv((size_t)n * width), lse((size_t)n * heads), delta((size_t)n * heads),
        cos((size_t)n * d / 2), sin((size_t)n * d / 2), start(n), row(n) {
    fill(qkv, 1.2f, 1);
    fill(dout, 1, 2);
    fill(cos, 0.7f, 3);
    fill(sin, 0.7f, 4);
    std::vector<int> s(n), r(n);
    for (int t = 0, i = 0; t < n; i++) {
      int first = t, length = lengths[i % lengths.size()];
      for (; t < n && t < first + length; t++) s[t] = first, r[t] = t - first;
    }
    start.set(s);
    row.set(r);
  }
};

struct Implementation {
  const char* name = "";
  bool keys = true; // has a kernel for dk and dv
  virtual void prepare(Case&) {}
  virtual void forward(Case&) = 0;
  virtual void delta(Case&) = 0;
  virtual void backwardQuery(Case&) = 0;
  virtual void backwardKey(Case&) = 0;
};

struct View { const bf *qkv, *dout; const int* start; int n, heads, kv, d, width; double scale; };

static __device__ double dot(const bf* a, const bf* b, int d) {
  double s = 0;
  for (int i = 0; i < d; i++) s += (double)(float)a[i] * (double)(float)b[i];
  return s;
}

__global__ void attentionRef(View v, double* out, double* lse, double* delta) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, t = i / v.heads, h = i % v.heads, g = h / (v.heads / v.kv);
  if (t >= v.n) return;
  const bf* q = v.qkv + (size_t)t * v.width + h * v.d;
  double o[128] = {}, most = -1e300, sum = 0;
  for (int j = v.start[t]; j <= t; j++) {
    const bf* k = v.qkv + (size_t)j * v.width + (v.heads + g) * v.d;
    double s = v.scale * dot(q, k, v.d);
    if (s > most) {
      double f = exp(most - s);
      for (int e = 0; e < v.d; e++) o[e] *= f;
      sum *= f;
      most = s;
    }
    double p = exp(s - most);
    sum += p;
    for (int e = 0; e < v.d; e++) o[e] += p * (double)(float)k[v.kv * v.d + e];
  }
  double dl = 0;
  for (int e = 0; e < v.d; e++) {
    out[(size_t)i * v.d + e] = o[e] / sum;
    dl += o[e] / sum * (double)(float)v.dout[(size_t)i * v.d + e];
  }
  lse[i] = most + log(sum);
  delta[i] = dl;
}

__global__ void queryRef(View v, const double* lse, const double* delta, double* d) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, t = i / v.heads, h = i % v.heads, g = h / (v.heads / v.kv);
  if (t >= v.n) return;
  const bf *q = v.qkv + (size_t)t * v.width + h * v.d, *dout = v.dout + (size_t)i * v.d;
  double o[128] = {};
  for (int j = v.start[t]; j <= t; j++) {
    const bf* k = v.qkv + (size_t)j * v.width + (v.heads + g) * v.d;
    double p = exp(v.scale * dot(q, k, v.d) - lse[i]), ds = v.scale * p * (dot(dout, k + v.kv * v.d, v.d) - delta[i]);
    for (int e = 0; e < v.d; e++) o[e] += ds * (double)(float)k[e];
  }
  for (int e = 0; e < v.d; e++) d[(size_t)t * v.width + h * v.d + e] = o[e];
}

__global__ void keyRef(View v, const double* lse, const double* delta, double* d) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, j = i / v.kv, g = i % v.kv;
  if (j >= v.n) return;
  const bf* k = v.qkv + (size_t)j * v.width + (v.heads + g) * v.d;
  double dk[128] = {}, dv[128] = {};
  for (int h = g * (v.heads / v.kv); h < (g + 1) * (v.heads / v.kv); h++)
    for (int t = j; t < v.n && v.start[t] <= j; t++) {
      const bf *q = v.qkv + (size_t)t * v.width + h * v.d, *dout = v.dout + ((size_t)t * v.heads + h) * v.d;
      double p = exp(v.scale * dot(q, k, v.d) - lse[t * v.heads + h]);
      double ds = v.scale * p * (dot(dout, k + v.kv * v.d, v.d) - delta[t * v.heads + h]);
      for (int e = 0; e < v.d; e++) dk[e] += ds * (double)(float)q[e], dv[e] += p * (double)(float)dout[e];
    }
  double* to = d + (size_t)j * v.width + (v.heads + g) * v.d;
  for (int e = 0; e < v.d; e++) to[e] = dk[e], to[v.kv * v.d + e] = dv[e];
}

// part copies columns [from, to) of a matrix.
template <class T> std::vector<T> part(const std::vector<T>& m, int width, int from, int to) {
  std::vector<T> r;
  for (size_t i = 0; i < m.size(); i += width) r.insert(r.end(), m.begin() + i + from, m.begin() + i + to);
  return r;
}

static void unrotateRef(std::vector<double>& d, Case& c) {
  auto cos = c.cos.host(), sin = c.sin.host();
  auto row = c.row.host();
  int half = c.d / 2;
  for (int t = 0; t < c.n; t++)
    for (int h = 0; h < c.heads + c.kv; h++)
      for (int i = 0; i < half; i++) {
        double &x = d[(size_t)t * c.width + h * c.d + i], &y = d[(size_t)t * c.width + h * c.d + half + i], a = x, b = y;
        double cs = cos[(size_t)row[t] * half + i], sn = sin[(size_t)row[t] * half + i];
        x = a * cs + b * sn;
        y = b * cs - a * sn;
      }
}

template <class A, class B> void compare(const std::vector<A>& a, const std::vector<B>& b, double limit, const char* name, const char* what, const Case& c) {
  Gap g = gap(a, b);
  char title[128], detail[128];
  snprintf(title, sizeof title, "%s %s D%d n%d heads %d/%d", name, what, c.d, c.n, c.heads, c.kv);
  snprintf(detail, sizeof detail, "relative %.2e worst %.2e nan %zu", g.relative, g.worst, g.bad);
  verdict(g.bad == 0 && (g.relative < limit || g.worst < 1e-6), title, detail); // one key: the gradient of the scores is 0
}

static void check(Implementation& imp, Case& c) {
  Device<double> out((size_t)c.n * c.heads * c.d), lse((size_t)c.n * c.heads), delta(lse.n), d((size_t)c.n * c.width);
  View v{c.qkv.p, c.dout.p, c.start.p, c.n, c.heads, c.kv, c.d, c.width, c.scale};
  attentionRef<<<(c.n * c.heads + 63) / 64, 64>>>(v, out.p, lse.p, delta.p);
  queryRef<<<(c.n * c.heads + 63) / 64, 64>>>(v, lse.p, delta.p, d.p);
  keyRef<<<(c.n * c.kv + 63) / 64, 64>>>(v, lse.p, delta.p, d.p);
  CHECK(cudaDeviceSynchronize());
  c.out.poison(), c.lse.poison(), c.delta.poison(), c.dqkv.poison();
  imp.prepare(c);
  imp.forward(c);
  CHECK(cudaGetLastError());
  imp.delta(c);
  imp.backwardQuery(c);
  CHECK(cudaGetLastError());
  if (imp.keys) imp.backwardKey(c);
  CHECK(cudaGetLastError());
  CHECK(cudaDeviceSynchronize());
  compare(c.out.host(), out.host(), 4e-3, imp.name, "out", c);
  compare(c.lse.host(), lse.host(), 1e-5, imp.name, "lse", c);
  auto want = d.host();
  if (c.turn) unrotateRef(want, c);
  auto got = c.dqkv.host();
  int q = c.heads * c.d, k = q + c.kv * c.d;
  compare(part(got, c.width, 0, q), part(want, c.width, 0, q), 8e-3, imp.name, "dq", c);
  if (!imp.keys) return;
  compare(part(got, c.width, q, k), part(want, c.width, q, k), 8e-3, imp.name, "dk", c);
  compare(part(got, c.width, k, c.width), part(want, c.width, k, c.width), 8e-3, imp.name, "dv", c);
  // The same input must give the same bits.
  imp.backwardKey(c);
  imp.backwardQuery(c);
  auto again = c.dqkv.host();
  if (memcmp(again.data(), got.data(), got.size() * sizeof(bf))) verdict(false, imp.name, "second run differs");
}

static void checkAll(Implementation& imp, int d, bool quick) {
  {
    Case c(300, 2, 1, d, {300});
    check(imp, c);
  }
  if (quick) return;
  {
    Case c(1, 1, 1, d, {1});
    check(imp, c);
  }
  {
    Case c(1021, 6, 3, d, {1, 1, 130, 7, 64, 256, 33, 500}, true);
    check(imp, c);
  }
  {
    Case c(2048, 4, 4, d, {2048}, true);
    check(imp, c);
  }
}

static void bench(Implementation& imp, int d) {
  int heads = 3072 / d;
  for (int docs : {1, 4}) {
    Case c(2048 * docs, heads, heads, d, {2048}, true);
    imp.prepare(c);
    double ops = 2.0 * 2048 * 2048 * docs * 3072;
    float f = median([&] { imp.forward(c); }), dl = median([&] { imp.delta(c); }), q = median([&] { imp.backwardQuery(c); }), k = imp.keys ? median([&] { imp.backwardKey(c); }) : 0;
    float b = imp.keys ? dl + q + k : NAN;
    printf("%s D%-3d %d x 2048 tokens, %d heads: forward %7.1f us %6.1f TFLOP/s; backward %7.1f us %6.1f TFLOP/s (delta %.1f, dq %.1f, dkv %.1f)\n", imp.name, d,
           docs, heads, f * 1e3, ops / f / 1e9, b * 1e3, 2.5 * ops / b / 1e9, dl * 1e3, q * 1e3, k * 1e3);
    fflush(stdout);
  }
}
