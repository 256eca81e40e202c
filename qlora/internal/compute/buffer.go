package compute

import "errors"

// Type is the element type of a Buffer.
type Type uint8

// The element types that devices store.
const (
	F32 Type = iota
	BF16
	I32
	I8
	U8
	// F16 is IEEE half precision; only a Cache may have it, where the device takes it.
	F16
)

// Size returns the bytes of one element.
func (t Type) Size() int { return [...]int{4, 2, 4, 1, 1, 2}[t] }

// String returns the lower-case name.
func (t Type) String() string { return [...]string{"f32", "bf16", "i32", "i8", "u8", "f16"}[t] }

// Buffer is a typed region of device memory. Only the device that made it can
// look inside; the host uses Upload and Download.
type Buffer interface {
	Type() Type
	Len() int
	// Slice returns a view of n elements from off; it shares memory.
	Slice(off, n int) Buffer
}

// Format is how a frozen matrix is stored.
type Format uint8

// The storage formats of a Weight.
const (
	// FormatF32 keeps float32 and multiplies in float32: the oracle.
	FormatF32 Format = iota
	// FormatBF16 keeps bfloat16.
	FormatBF16
	// FormatInt8 keeps int8 with one scale an output row (absmax/127) and
	// multiplies by activations quantised to int8 with one scale a token.
	FormatInt8
	// FormatInt8W keeps int8 as FormatInt8 and leaves activations unquantised.
	FormatInt8W
	// FormatNF4 keeps 4-bit normal-float codes, absmax per 64 weights.
	FormatNF4
)

// String returns the name used in options and reports.
func (f Format) String() string { return [...]string{"f32", "bf16", "int8", "int8w", "nf4"}[f] }

// Errors that Sync, Weight and Download wrap.
var (
	ErrOutOfMemory = errors.New("compute: out of device memory")
	ErrUnsupported = errors.New("compute: not supported by this device")
	ErrDeviceLost  = errors.New("compute: device lost")
)

// RowSource fills dst with whole rows of a matrix, starting at row first;
// len(dst) is a multiple of the row length. A device may call it from several
// goroutines at once, for rows that do not overlap.
type RowSource func(first int, dst []float32) error

// Weight is a frozen matrix [Rows, Cols] = [out, in] in device memory.
type Weight interface {
	Rows() int
	Cols() int
	Format() Format
	// Bytes is the device memory it holds.
	Bytes() int64
}

// Activation is a [T, C] matrix that feeds a Linear: values X, and where the
// weight format multiplies int8 codes, Q with one scale a token in S. Q and S
// are nil otherwise. Operations that write an Activation fill all that is there,
// so that producing and quantising are one pass.
type Activation struct {
	X Buffer // Real, [T, C]
	Q Buffer // I8, [T, C]
	S Buffer // F32, [T], absmax/127
}

// Adapter is a LoRA pair on one linear: y += Scale * B(A dropout(x)).
type Adapter struct {
	A       Buffer  // F32 [R, in]
	B       Buffer  // F32 [out, R]
	R       int     // rank
	Scale   float32 // alpha/R, or alpha/sqrt(R) for rsLoRA
	Dropout float32 // probability of zeroing an input element of A while training
	Site    uint32  // random stream of this linear, unique in the model
	Known   bool    // the u of Linear holds A dropout(x) already and is read
}

// AdapterGrad receives the gradients of an Adapter; they are added to.
type AdapterGrad struct {
	A Buffer // F32 [R, in]
	B Buffer // F32 [out, R]
}

// Random keys the counter-based generator (see Philox). State is I32[4] in
// device memory: seed low, seed high, step low, step high. A zero Random, State
// nil, turns all randomness off: evaluation.
type Random struct{ State Buffer }

// Sequence describes how T tokens form documents.
type Sequence struct {
	// Start is I32 [T]: index of the first token of the token's document.
	Start Buffer
	// Row is I32 [T]: the row of the rope table for the token.
	Row Buffer
}

// Rope is the table of rotary factors, F32 [rows, D/2] each, the attention
// factor multiplied in.
type Rope struct{ Cos, Sin Buffer }

// Heads is the shape of attention.
type Heads struct {
	H int // query heads
	K int // key/value heads; H is a multiple
	D int // head size, even
}

// QKV returns the row length of the fused projection, (H+2K)D.
func (h Heads) QKV() int { return (h.H + 2*h.K) * h.D }

// Cache holds the rotated keys and the values of one sequence, each [Cap, K, D]:
// Real or, where the device takes it, F16 or I8. Of I8 the scales are F32 [K, Cap],
// absmax/127 of the D numbers of a token and head; otherwise they are nil. A device
// that does not take a type fails with ErrUnsupported.
type Cache struct {
	K, V           Buffer
	KScale, VScale Buffer
	Cap            int
}

// Moments is the state of AdamW for one parameter of n elements. With 32-bit
// state M and V are F32 [n] and the rest nil; with 8-bit state they are U8 [n]
// block-wise codes and AbsM, AbsV are F32, one absmax a block of 256.
type Moments struct{ M, V, AbsM, AbsV Buffer }

// Adam holds what stays constant over a run. The update is decoupled
// (AdamW, arXiv 1711.05101).
type Adam struct {
	Beta1, Beta2, Eps float32
	WeightDecay       float32 // times the learning rate
	LRScale           float32 // multiplies the learning rate (LoRA+), 1 otherwise
}

// Indices into the F32 buffer of per-step numbers that AdamW reads.
const (
	HyperLR    = iota // learning rate
	HyperBias1        // 1 - beta1^t
	HyperBias2        // 1 - beta2^t
	HyperClip         // factor on every gradient; written by ClipScale
	HyperCount
)
