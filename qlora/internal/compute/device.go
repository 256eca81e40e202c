package compute

// Device runs the operations of a Phi-3 model. Buffers and weights belong to
// the device that made them. Tokens, the argument n of most operations, may be
// smaller than the buffers are.
type Device interface {
	memory
	forward
	backward
	update
	// Name identifies the device and its path, for logs and reports.
	Name() string
	// Sync waits and returns the first error since the last Sync.
	Sync() error
	Close() error
}

type memory interface {
	// Real is the type of activations and their gradients.
	Real() Type
	// Alloc returns n zeroed elements. Failure is sticky and the Buffer unusable.
	Alloc(t Type, n int) Buffer
	// Mark and Release free, in one go, everything allocated since the mark.
	Mark() int
	Release(mark int)
	// Weight stores a matrix in format f, reading each row once.
	Weight(f Format, rows, cols int, src RowSource) (Weight, error)
	// Activation allocates [n, cols] with codes if a weight of format f wants them.
	Activation(f Format, n, cols int) Activation
	// Upload copies a host slice ([]float32, []int32, []int8 or []uint8) to dst;
	// float32 converts to BF16 where dst has it. The slice may be reused at once.
	Upload(dst Buffer, src any)
	// Download waits and copies src to a host slice of the same length and
	// type ([]float32 also takes BF16). It returns a sticky error.
	Download(dst any, src Buffer) error
	// Copy and Zero work on device memory; types and lengths agree.
	Copy(dst, src Buffer)
	Zero(b Buffer)
}

type forward interface {
	// Embed writes h[t] = table[ids[t]]. With noise alpha > 0 and a live Random
	// it adds NEFTune noise (arXiv 2310.05914): uniform in ±alpha/sqrt(L*C),
	// L the length of the token's document, taken from seq and length.
	Embed(h Buffer, table Weight, ids Buffer, n int, alpha float32, seq Sequence, rnd Random)
	// RMSNorm writes out = x * rstd * w with rstd[t] = 1/sqrt(mean(x²)+eps).
	RMSNorm(out Activation, rstd, x, w Buffer, n int, eps float32)
	// Linear writes y = x Wᵀ (+ residual) (+ adapter). y is Real [n, out],
	// residual Real [n, out] or nil, and may be y itself. u, Real [n, R],
	// receives A dropout(x) when ad is not nil, unless it is known.
	Linear(y, residual Buffer, x Activation, w Weight, ad *Adapter, u Buffer, n int, rnd Random)
	// Attention rotates the queries and keys inside qkv [n, QKV] in place and
	// writes causal attention within each document to out [n, H*D]; logits are
	// scaled by D^-½. lse, F32 [n, H], receives the log-sum-exp of each row.
	Attention(out Activation, lse, qkv Buffer, heads Heads, rope Rope, seq Sequence, n int)
	// AttentionCached is Attention for n tokens that follow past earlier ones of
	// the same document: it appends to the cache and keeps nothing for backward.
	AttentionCached(out Activation, qkv Buffer, heads Heads, rope Rope, row Buffer, kv Cache, past, n int)
	// SwiGLU writes out[n, F] = silu(gu[:, :F]) * gu[:, F:].
	SwiGLU(out Activation, gu Buffer, n, f int)
	// Rotate writes out[t, 8b+i] = Σ_j R[b, i, j] x[t, 8b+j]; r is F32 [C/8, 8, 8].
	// out.X may be x.
	Rotate(out Activation, x, r Buffer, n, cols int)
	// RotationExp writes R = exp(θ-θᵀ) for each block; theta is F32 [blocks, 28],
	// the strict upper triangle of θ row by row (θ[i,j], i<j).
	RotationExp(r, theta Buffer, blocks int)
	// CrossEntropy writes nll[t] = weight[t] * -ln softmax(h[t] headᵀ)[target[t]]
	// (0 where the weight is 0), and, unless dh is nil, the gradient of Σ nll with
	// respect to h. It never holds n×V logits. nll and weight are F32 [n].
	CrossEntropy(nll, dh, h Buffer, head Weight, target, weight Buffer, n int)
	// Gather writes out[i] = x[index[i]] for n rows.
	Gather(out, x, index Buffer, n, cols int)
	// MeanPool writes out[b] = mean of h[offset[b]:offset[b+1]]; offset is I32 [batch+1].
	MeanPool(out, h, offset Buffer, batch, cols int)
}

type backward interface {
	// RMSNormBackward adds the gradient with respect to x to dx.
	RMSNormBackward(dx, dout, x, w, rstd Buffer, n int)
	// LinearBackward writes dx = dy W (+ adapter path), unless dx is nil, and adds
	// to the adapter's gradients. x, ad, u and rnd are those of the forward call.
	LinearBackward(dx, dy Buffer, x Activation, w Weight, ad *Adapter, g AdapterGrad, u Buffer, n int, rnd Random)
	// AttentionBackward writes dqkv, the gradient before rotation, from dout; qkv
	// (rotated), out and lse are as Attention left them.
	AttentionBackward(dqkv, dout Buffer, out Activation, lse, qkv Buffer, heads Heads, rope Rope, seq Sequence, n int)
	// SwiGLUBackward writes dgu [n, 2F] from dm [n, F]; dgu may be gu itself.
	SwiGLUBackward(dgu, dm, gu Buffer, n, f int)
	// RotateBackward writes dx = Rᵀ dout and adds Σ_t dout xᵀ to dr, F32 like r.
	RotateBackward(dx, dr, dout, x, r Buffer, n, cols int)
	// RotationExpBackward adds to dtheta the gradient that dr carries.
	RotationExpBackward(dtheta, dr, theta Buffer, blocks int)
	// ScatterAdd adds din[i] to dx[index[i]]; indices are distinct.
	ScatterAdd(dx, din, index Buffer, n, cols int)
	// MeanPoolBackward adds dout[b]/len to each row of its span.
	MeanPoolBackward(dh, dout, offset Buffer, batch, cols int)
	// PET adds coef[0]·Σ_{t,c} e² to loss[0], e = h[t+2]-2h[t+1]+h[t] over triples
	// inside one document, and its gradient to dh (nil: loss only). With
	// delta > 0, e² is replaced by Huber's function: e²/2 within ±delta, linear outside.
	PET(loss, dh, h Buffer, seq Sequence, coef Buffer, delta float32, n, cols int)
}

type update interface {
	// SumSquares adds Σ x² to acc[0], F32, in a fixed order.
	SumSquares(acc, x Buffer)
	// ClipScale writes hyper[HyperClip] = min(1, max/sqrt(acc[0])), or 1 if max is 0.
	ClipScale(hyper, acc Buffer, max float32)
	// AdamW updates p from gradient g times hyper[HyperClip].
	AdamW(p, g Buffer, m Moments, hyper Buffer, a Adam)
}
