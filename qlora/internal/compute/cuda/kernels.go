//go:build cuda && cgo && linux && amd64

package cuda

import (
	"embed"
	"fmt"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/driver"
	"github.com/borea-go/borea/qlora/internal/compute/cuda/image"
)

//go:embed *.image
var images embed.FS

// genericShared is the most shared memory that a block of a generic kernel may
// take: what every device of compute capability 8.6 has.
const genericShared = 99 << 10

// kernelNames lists the kernels of each image; % stands for f32 and bf16. A
// number after a colon is the dynamic shared memory in bytes.
var kernelNames = map[string]string{
	"norm":            "rmsnorm_% rmsnorm_backward_% quantise_%",
	"swiglu":          "swiglu_% swiglu_backward_%",
	"rotate":          "rotate_% rotate_back_% rotation_grad_% rotation_exp rotation_exp_backward",
	"weight":          "store_bf16 store_nf4 widen_% embed_% cast_% cast_transposed_% transpose_i8 fold_quantise",
	"product":         "product_fff product_bbf product_bbb product_i8_%",
	"dropout":         "drop_%",
	"loss":            "cross_entropy_%",
	"adamw":           "adamw adamw8 squares total clip_scale",
	"group":           "sum_ranks digest",
	"pool":            "gather_% scatter_% mean_% mean_backward_% pet_%",
	"rope":            "rope_% append_%",
	"attention":       "attention_%:101376 attention_few_% attention_delta_% attention_dq_%:101376 attention_dkv_%:101376",
	"gemm":            "mma_i8_%:65536 mma_bf16_nn_%:65536 mma_bf16_nt_bf16:65536 mma_bf16_tt_f32:65536 mma_narrow:73728 mma_outer:73728 mma_reduce_%",
	"flash_attention": "flash_forward_64:36864 flash_forward_96:53248 flash_forward_128:69632",
	"flash_backward": "flash_delta flash_dq_64:55296 flash_dq_96:79872 flash_dq_128:69632 " +
		"flash_dkv_64:75776 flash_dkv_96:80896 flash_dkv_128:70656",
}

// loadKernels loads every image that the device can run.
func loadKernels(c *driver.Context, hopper bool) (map[string]driver.Function, error) {
	all := map[string]driver.Function{}
	for file, names := range kernelNames {
		if err := loadImage(c, all, file, names, genericShared); err != nil {
			return nil, err
		}
	}
	if !hopper {
		return all, nil
	}
	for file, names := range map[string]string{
		"gemm_hopper":          hopperNames(),
		"flash_forward_hopper": "flash_forward_hopper_64:83072 flash_forward_hopper_96:124032 flash_forward_hopper_128:164992",
		"flash_backward_hopper": "flash_stats_hopper flash_dq_hopper_64:132152 flash_dq_hopper_96:197688 " +
			"flash_dkv_hopper_64:101448 flash_dkv_hopper_96:150600",
	} {
		if err := loadImage(c, all, file, names, c.Shared); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func loadImage(c *driver.Context, all map[string]driver.Function, file, names string, most int) error {
	img, err := images.ReadFile(file + ".image")
	if err != nil {
		return fmt.Errorf("cuda: kernels: %w", err)
	}
	_, bin, err := image.Open(img)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	m, err := c.Load(bin)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, n := range strings.Fields(names) {
		for _, typ := range []string{"f32", "bf16"} {
			name, shared := strings.ReplaceAll(n, "%", typ), 0
			if at := strings.IndexByte(name, ':'); at >= 0 {
				if _, err := fmt.Sscan(name[at+1:], &shared); err != nil || shared > most {
					return fmt.Errorf("cuda: kernel %s: %d bytes of shared memory, %d at most", name, shared, most)
				}
				name = name[:at]
			}
			if all[name], err = m.Function(name, shared); err != nil {
				return err
			}
		}
	}
	return nil
}

// typed appends the suffix of a type.
func typed(name string, t compute.Type) string { return name + "_" + t.String() }

// launch queues a kernel; it does nothing once the device holds an error.
func (d *Device) launch(name string, g driver.Grid, threads, shared int, a *driver.Args) {
	if d.err != nil {
		return
	}
	f, ok := d.kern[name]
	if !ok {
		d.fail(fmt.Errorf("cuda: no kernel %s", name))
		return
	}
	if d.profile != nil {
		d.run(d.profile.timed(name, g, func() error { return d.ctx.Launch(f, g, threads, shared, a) }))
		return
	}
	d.run(d.ctx.Launch(f, g, threads, shared, a))
}

// rows queues a kernel of 256 threads with one block a row.
func (d *Device) rows(name string, n int, a *driver.Args) {
	d.launch(name, driver.Grid{X: n, Y: 1, Z: 1}, 256, 0, a)
}

// flat queues a kernel of 256 threads with one thread an element, at most many
// blocks.
func (d *Device) flat(name string, n int, a *driver.Args) {
	d.rows(name, min((n+255)/256, 1<<30), a)
}

// vec is 1 where rows of cols elements start on 16 bytes: the kernels then move
// 8 elements at once.
func vec(cols int, ptrs ...uint64) int {
	if cols%8 != 0 || !aligned(ptrs...) {
		return 0
	}
	return 1
}

func aligned(ptrs ...uint64) bool {
	for _, p := range ptrs {
		if p%16 != 0 {
			return false
		}
	}
	return true
}
