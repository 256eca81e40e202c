package cpu

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/borea-go/borea/qlora/internal/compute"
)

var _ compute.Mapper = (*Device)(nil)

// MappedWeight implements compute.Mapper: float32 and bfloat16 are stored as files
// store them.
func (d *Device) MappedWeight(f compute.Format, rows, cols int, raw []byte) (compute.Weight, error) {
	if d.err != nil {
		return nil, d.err
	}
	w, ok := &weight{owner: d, rows: rows, cols: cols, format: f}, false
	switch f {
	case compute.FormatF32:
		w.f, ok = numbers[float32](raw, rows, cols)
	case compute.FormatBF16:
		w.h, ok = numbers[uint16](raw, rows, cols)
	}
	if !ok {
		return nil, fmt.Errorf("cpu: %s weight of %d rows and %d columns in %d bytes where they lie: %w", f, rows, cols, len(raw), compute.ErrUnsupported)
	}
	return w, nil
}

// Mappable reports whether a device takes a matrix where it lies.
func Mappable(f compute.Format, rows, cols int, raw []byte) bool {
	_, err := new(Device).MappedWeight(f, rows, cols, raw)
	return err == nil
}

// numbers returns raw as rows × cols numbers, if that is what it is here.
func numbers[T float32 | uint16](raw []byte, rows, cols int) ([]T, bool) {
	var t T
	size := int(unsafe.Sizeof(t))
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if !little || rows < 1 || cols < 1 || len(raw)%size != 0 || len(raw)/size/cols != rows || len(raw)/size%cols != 0 {
		return nil, false
	}
	p := unsafe.Pointer(unsafe.SliceData(raw))
	if uintptr(p)%uintptr(size) != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(p), rows*cols), true
}
