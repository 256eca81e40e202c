//go:build !amd64 || noasm

package gguf

func widest() route { return portable }

// Without assembly nothing is done here, and the caller goes the portable way.

func vectorScaled(*scaledType, []byte, []float32, []float32) bool { return false }

func vectorQ6K([]byte, []float32, []float32) bool { return false }

func vectorQ8_0([]byte, []float32) bool { return false }

func vectorOld(oldType, []byte, []float32, []float32) bool { return false }

func vectorWithin([]float32, float32) bool { return false }

func vectorEncode(Type, []byte, []float32) int { return 0 }

func vectorDecode(Type, []float32, []byte) int { return 0 }
