package so8t

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// Gates holds the angles of a model's gates, one slice [blocks·28] a layer.
type Gates struct{ Layers [][]float32 }

// New returns gates at the identity for layers of cols input columns.
func New(layers, cols int) (*Gates, error) {
	if cols%Size != 0 || cols < Size || layers < 1 {
		return nil, fmt.Errorf("so8t: %d layers of %d columns; columns must be a multiple of %d", layers, cols, Size)
	}
	g := &Gates{Layers: make([][]float32, layers)}
	for i := range g.Layers {
		g.Layers[i] = make([]float32, cols/Size*Angles)
	}
	return g, nil
}

// Validate reports a layer without whole blocks and the first angle that is not
// finite.
func (g *Gates) Validate() error {
	if len(g.Layers) == 0 {
		return errors.New("so8t: no gates")
	}
	for i, theta := range g.Layers {
		if len(theta) == 0 || len(theta)%Angles != 0 {
			return fmt.Errorf("so8t: tensor %s: %d angles are not whole blocks of %d", tensorName(i), len(theta), Angles)
		}
		if at := safetensors.FirstNotFinite(theta); at >= 0 {
			return fmt.Errorf("so8t: tensor %s: angle %d of block %d is %g; the training diverged or the file is damaged",
				tensorName(i), at%Angles, at/Angles, theta[at])
		}
	}
	return nil
}

// Report describes trained gates.
type Report struct {
	Layers        int       `json:"layers"`
	Blocks        int       `json:"blocks"`        // in all
	Orthogonality float64   `json:"orthogonality"` // largest |RᵀR-I|
	FromIdentity  float64   `json:"from_identity"` // mean ‖R-I‖_F
	PerLayer      []float64 `json:"per_layer"`     // mean ‖R-I‖_F
}

// Report measures the rotations as the devices use them, rounded to float32.
func (g *Gates) Report() Report {
	r := Report{Layers: len(g.Layers)}
	for _, theta := range g.Layers {
		rot := Rotations(theta)
		for i, v := range rot {
			rot[i] = float64(float32(v))
		}
		o, d := Distance(rot)
		r.add(o, d, len(theta)/Angles)
	}
	r.FromIdentity /= math.Max(1, float64(r.Blocks))
	return r
}

// add takes up a layer; FromIdentity stays a sum until all are in.
func (r *Report) add(orthogonality, fromIdentity float64, blocks int) {
	r.Blocks += blocks
	r.Orthogonality = max(r.Orthogonality, orthogonality)
	r.FromIdentity += fromIdentity * float64(blocks)
	r.PerLayer = append(r.PerLayer, fromIdentity)
}

// tensorName is the name of a layer's angles in a file.
func tensorName(layer int) string {
	return fmt.Sprintf("model.layers.%d.self_attn.o_proj.so8t.theta", layer)
}

// FileName is the name that a gates' file has by convention, beside an adapter.
const FileName = "so8t.safetensors"

// fileFormat and fileRotation say in a file's metadata what its numbers mean.
const (
	fileFormat   = "so8t"
	fileRotation = "exp(theta - theta^T)"
)

// Write writes the gates as safetensors: one float32 tensor [blocks, 28] a layer,
// named model.layers.N.self_attn.o_proj.so8t.theta, each row the strict upper
// triangle of θ row by row.
func Write(w io.Writer, g *Gates) error {
	if err := g.Validate(); err != nil {
		return err
	}
	var tensors []safetensors.Tensor
	for i, theta := range g.Layers {
		tensors = append(tensors, safetensors.F32Tensor(tensorName(i), []int{len(theta) / Angles, Angles}, theta))
	}
	return safetensors.Write(w, tensors, map[string]string{
		"format": fileFormat, "rotation": fileRotation, "gate": "y = W(Rx)", "angles": "strict upper triangle, row by row",
	})
}

// Read reads what Write wrote. It refuses files that say another rotation, lack a
// layer, hold foreign tensors, or numbers that are not finite.
func Read(r *safetensors.Reader) (*Gates, error) {
	if m := r.Metadata(); m["format"] != fileFormat || m["rotation"] != fileRotation {
		return nil, fmt.Errorf("so8t: the file's metadata says format %q, rotation %q, want %q, %q", m["format"], m["rotation"], fileFormat, fileRotation)
	}
	g := &Gates{}
	for i := range r.Tensors() {
		info, ok := r.Info(tensorName(i))
		if !ok {
			return nil, fmt.Errorf("so8t: tensor %s is missing among %d", tensorName(i), len(r.Tensors()))
		}
		if len(info.Shape) != 2 || info.Shape[1] != Angles || info.DType != "F32" {
			return nil, fmt.Errorf("so8t: tensor %s is %s %v, want F32 [blocks %d]", info.Name, info.DType, info.Shape, Angles)
		}
		theta, err := r.Float32(info.Name)
		if err != nil {
			return nil, err
		}
		g.Layers = append(g.Layers, theta)
	}
	return g, g.Validate()
}
