package so8t

import (
	"fmt"
	"io"

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
		blocks := len(theta) / Angles
		r.Blocks += blocks
		r.Orthogonality = max(r.Orthogonality, o)
		r.FromIdentity += d * float64(blocks)
		r.PerLayer = append(r.PerLayer, d)
	}
	r.FromIdentity /= float64(max(1, r.Blocks))
	return r
}

// tensorName is the name of a layer's angles in a file.
func tensorName(layer int) string {
	return fmt.Sprintf("model.layers.%d.self_attn.o_proj.so8t.theta", layer)
}

// Write writes the gates as safetensors: one tensor [blocks, 28] a layer.
func Write(w io.Writer, g *Gates) error {
	var tensors []safetensors.Tensor
	for i, theta := range g.Layers {
		tensors = append(tensors, safetensors.F32Tensor(tensorName(i), []int{len(theta) / Angles, Angles}, theta))
	}
	return safetensors.Write(w, tensors, map[string]string{"format": "so8t", "rotation": "exp(theta - theta^T)"})
}

// Read reads what Write wrote.
func Read(r *safetensors.Reader) (*Gates, error) {
	g := &Gates{}
	for i := range r.Tensors() {
		info, ok := r.Info(tensorName(i))
		if !ok {
			return nil, fmt.Errorf("so8t: tensor %s is missing among %d", tensorName(i), len(r.Tensors()))
		}
		if len(info.Shape) != 2 || info.Shape[1] != Angles {
			return nil, fmt.Errorf("so8t: tensor %s has shape %v, want [blocks %d]", info.Name, info.Shape, Angles)
		}
		theta, err := r.Float32(info.Name)
		if err != nil {
			return nil, err
		}
		g.Layers = append(g.Layers, theta)
	}
	if len(g.Layers) == 0 {
		return nil, fmt.Errorf("so8t: the file holds no gates")
	}
	return g, nil
}
