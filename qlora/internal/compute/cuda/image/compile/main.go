// Command compile makes the kernel images of the working folder: each x.cu
// becomes x.image, unless that is there and its sources have not changed. nvcc
// 13.0.88 must be on the PATH (testdata/install.sh installs it).
//
// Sources whose name ends in _hopper are built for sm_90a only; the others as
// machine code for sm_90 and PTX for sm_80 and later.
//
// What it does not do: it installs no compiler and runs no kernel.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/borea-go/borea/qlora/internal/compute/cuda/image"
)

func main() {
	sources, err := filepath.Glob("*.cu")
	for _, s := range sources {
		if err == nil {
			err = update(s)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func update(source string) error {
	hash, err := image.Hash(os.DirFS("."), source)
	if err != nil {
		return err
	}
	target := strings.TrimSuffix(source, ".cu") + ".image"
	if old, err := os.ReadFile(target); err == nil {
		if have, _, err := image.Open(old); err == nil && have == hash {
			return nil
		}
	}
	tmp, err := os.CreateTemp("", "*.fatbin")
	if err != nil {
		return err
	}
	tmp.Close()
	defer os.Remove(tmp.Name())
	cmd := exec.Command("nvcc", append(flags(source), "-o", tmp.Name(), source)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nvcc %s: %w", source, err)
	}
	bin, err := os.ReadFile(tmp.Name())
	if err != nil {
		return err
	}
	fmt.Println(target)
	return os.WriteFile(target, image.Make(hash, bin), 0o644)
}

func flags(source string) []string {
	f := []string{"-fatbin", "-O3", "-std=c++17", "--compress-mode=size"}
	if strings.HasSuffix(source, "_hopper.cu") {
		return append(f, "-gencode", "arch=compute_90a,code=sm_90a")
	}
	return append(f, "-gencode", "arch=compute_90,code=sm_90", "-gencode", "arch=compute_80,code=compute_80")
}
