"""Times PyTorch's products and attention at the shapes of gemm_check and flash_hopper_check, for the same run."""
import statistics
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


def median(f, reps=9, batch=4):
    for _ in range(3):
        f()
    times = []
    for _ in range(reps):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        for _ in range(batch):
            f()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b) / batch)
    return statistics.median(times)


def main():
    print(torch.__version__, torch.cuda.get_device_name())
    for out, k in ((9216, 3072), (3072, 3072), (16384, 3072), (3072, 8192)):
        x = (torch.randn(8192, k, device="cuda") * 40).clamp(-127, 127).to(torch.int8)
        w = (torch.randn(out, k, device="cuda") * 40).clamp(-127, 127).to(torch.int8)
        ms = median(lambda: torch._int_mm(x, w.t()))
        xb, wb = torch.randn(8192, k, device="cuda").bfloat16(), torch.randn(out, k, device="cuda").bfloat16()
        mb = median(lambda: xb @ wb.t())
        ops = 2 * 8192 * out * k / 1e9
        print(f"8192 x {out} x {k}: int8 {ms * 1e3:.0f} us {ops / ms:.0f} TOP/s, bf16 {mb * 1e3:.0f} us {ops / mb:.0f} TFLOP/s")
    for d in (64, 96, 128):
        q, k, v = (torch.randn(4, 3072 // d, 2048, d, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
        g = torch.randn_like(q)
        ops = 2.0 * 2048 * 2048 * 4 * 3072 / 1e9
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            try:
                with sdpa_kernel(backend):
                    f = median(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
                    o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                    b = median(lambda: torch.autograd.grad(o, (q, k, v), g, retain_graph=True))
                print(f"{backend.name} D {d}: forward {f * 1e3:.0f} us {ops / f:.0f} TFLOP/s, backward {b * 1e3:.0f} us {2.5 * ops / b:.0f} TFLOP/s")
            except RuntimeError as e:
                print(backend.name, d, e)


main()
