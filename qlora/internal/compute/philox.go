package compute

import "math/bits"

// SiteRounding marks the random streams of stochastic rounding: it is set in the
// site of the linear whose gradient is rounded.
const SiteRounding = 1 << 31

// Philox returns four random words for a counter and a key: Philox-4x32-10 of
// Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011). Devices agree on its use:
//
//	key     = seed low, seed high
//	counter = element/4, step low, step high, site
//
// and element%4 selects the word. A uniform number in [0,1) is word>>8 × 2^-24.
func Philox(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		hi0, lo0 := bits.Mul32(0xD2511F53, c[0])
		hi1, lo1 := bits.Mul32(0xCD9E8D57, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0}
		k[0] += 0x9E3779B9
		k[1] += 0xBB67AE85
	}
	return c
}

// Uniform maps a word to [0,1) in steps of 2^-24.
func Uniform(word uint32) float32 { return float32(word>>8) * (1.0 / (1 << 24)) }

// SiteNEFTune is the random site of the embedding noise; adapters use the
// sites from SiteAdapters on.
const (
	SiteNEFTune  uint32 = 1
	SiteAdapters uint32 = 16
)
