// Command hftogguf converts a Phi-3 model directory or a LoRA adapter directory into
// a GGUF file for llama.cpp, or shows what a GGUF file holds.
//
//	go run ./examples/hftogguf -model path/to/model -type Q5_K_M -out model.gguf
//	go run ./examples/hftogguf -lora path/to/adapter -out adapter.gguf
//	go run ./examples/hftogguf -inspect model.gguf -json
//
// The file appears under its name only when it is whole; a file of that name is
// replaced. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the input can not be
// converted or shown, 130 interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/gguf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

var errUsage = errors.New("wrong usage")

// command runs and returns the exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	code := exitCode(err)
	if code == 0 {
		return 0
	}
	if code == 130 {
		fmt.Fprintln(stderr, "hftogguf: interrupted; nothing was written under the final name")
		return code
	}
	fmt.Fprintln(stderr, "hftogguf:", err)
	if h := hint(err); h != "" {
		fmt.Fprintln(stderr, "  "+h)
	}
	return code
}

func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, context.Canceled):
		return 130
	case errors.Is(err, errUsage), errors.Is(err, gguf.ErrOption):
		return 2
	case isAny(err, gguf.ErrFormat, gguf.ErrUnsupported, gguf.ErrNumber, gguf.ErrLimit, gguf.ErrNotFound, gguf.ErrKind):
		return 3
	}
	return 1
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// hint says what to do about an error, where that is known.
func hint(err error) string {
	switch {
	case errors.Is(err, gguf.ErrUnfinished):
		return "An edit of this file was cut off: gguf.RecoverEdit brings the original back."
	case errors.Is(err, gguf.ErrNumber):
		return "The weights or the importance matrix are damaged, or training diverged: NaN and infinities are never written. -type F32 keeps numbers that are too large for another type."
	case errors.Is(err, gguf.ErrMemory):
		return "Raise -memory or lower -workers."
	case errors.Is(err, safetensors.ErrPickleRefused):
		return "Save the model as safetensors, with transformers: model.save_pretrained(dir, safe_serialization=True)."
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "Choose another place with -out."
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "The disk is full: free some space or choose another place with -out."
	case errors.Is(err, fs.ErrNotExist):
		return "A model directory holds config.json, tokenizer files and *.safetensors; an adapter directory adapter_config.json and adapter_model.safetensors."
	}
	return ""
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	a, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if a.inspect != "" {
		return inspect(ctx, stdout, a)
	}
	return convert(ctx, a, stdout, stderr)
}
