package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint"
)

// TestMain lets the test binary be the program, so that exit codes are real.
func TestMain(m *testing.M) {
	if os.Getenv("FULLPIPELINE_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the program, ready to start, and what it will say.
func command(args []string) (*exec.Cmd, *bytes.Buffer) {
	cmd, said := exec.Command(os.Args[0], append(args, "-notify", "off")...), &bytes.Buffer{}
	cmd.Env = append(os.Environ(), "FULLPIPELINE_RUN=1")
	cmd.Stdout, cmd.Stderr = said, said
	return cmd, said
}

// program runs the command and returns its exit code and what it said.
func program(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd, said := command(args)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

func refused(t *testing.T, says []string, args ...string) {
	t.Helper()
	code, said := program(t, args...)
	require.Equal(t, 1, code, said)
	for _, s := range says {
		require.Contains(t, said, s)
	}
	require.NotContains(t, said, "goroutine ", "a stack trace is no message")
}

// broken is a copy of the bundled model with one file replaced; nil removes it.
func broken(t *testing.T, name string, change func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	files, err := os.ReadDir("model")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join("model", f.Name()))
		require.NoError(t, err)
		if f.Name() == name {
			if b = change(b); b == nil {
				continue
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name()), b, 0o644))
	}
	return dir
}

const shard = "model-00002-of-00002.safetensors"

// tensor finds a tensor's bytes in a safetensors file.
func tensor(t *testing.T, file []byte, name string) (header map[string]any, data []byte) {
	t.Helper()
	n := binary.LittleEndian.Uint64(file)
	require.NoError(t, json.Unmarshal(file[8:8+n], &header))
	span := header[name].(map[string]any)["data_offsets"].([]any)
	return header, file[8+n:][int(span[0].(float64)):int(span[1].(float64))]
}

func TestBadModel(t *testing.T) {
	const norm = "model.layers.1.input_layernorm.weight"
	for what, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		says   []string
	}{
		"missing shard":   {shard, func([]byte) []byte { return nil }, []string{shard, "no such file"}},
		"truncated shard": {shard, func(b []byte) []byte { return b[:len(b)-1000] }, []string{shard}},
		"NaN weight": {shard, func(b []byte) []byte {
			_, data := tensor(t, b, norm)
			data[6], data[7] = 0xc0, 0x7f
			return b
		}, []string{"blk.1.attn_norm.weight", "element 3", "NaN"}},
		"wrong shape": {shard, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"shape":[192]`), []byte(`"shape":[191]`), 1)
		}, []string{shard, "norm.weight"}},
		"another architecture": {"config.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"phi3"`), []byte(`"llama"`), 1)
		}, []string{"config.json", "llama"}},
		"no tokenizer": {"tokenizer.json", func([]byte) []byte { return []byte("{") }, []string{"tokenizer.json"}},
	} {
		t.Run(what, func(t *testing.T) {
			refused(t, c.says, "-model", broken(t, c.file, c.change), "-out", t.TempDir(), "-phase", "base_gguf")
		})
	}
}

func TestBadCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	file := write("file", "")
	for what, c := range map[string]struct {
		says []string
		args []string
	}{
		"unknown phase":        {[]string{"-phase tune", "finetune"}, []string{"-phase", "tune"}},
		"unknown key":          {[]string{"a.yaml", "rnak", "training"}, []string{"-config", write("a.yaml", "training:\n  rnak: 8\n")}},
		"wrong type":           {[]string{"b.yaml", "rank"}, []string{"-config", write("b.yaml", "training:\n  rank: eight\n")}},
		"value out of range":   {[]string{"c.yaml", "repeat.crawl = 0"}, []string{"-config", write("c.yaml", "repeat:\n  crawl: 0\n")}},
		"judge's unknown key":  {[]string{"d.yaml", "gama"}, []string{"-classifier-config", write("d.yaml", "training:\n  gama: 8\n")}},
		"unwritable directory": {[]string{"-out", "not a directory"}, []string{"-out", filepath.Join(file, "run")}},
		"missing model":        {[]string{"-model", "config.json", "Hugging Face layout"}, []string{"-model", dir}},
		"source not read":      {[]string{"oscar", "wikipedia"}, []string{"-sources", "synthetic,oscar"}},
		"source without files": {[]string{"c4", "collect.files.c4"}, []string{"-sources", "synthetic,c4"}},
		"unknown preset":       {[]string{"e.yaml", "mars", "aerospace"}, []string{"-config", write("e.yaml", "collect:\n  crawl:\n    presets: [mars]\n")}},
		"phase without input":  {[]string{"data_cleaning", "run -phase data_collection first"}, []string{"-phase", "data_cleaning"}},
	} {
		t.Run(what, func(t *testing.T) {
			args := c.args
			if what != "unwritable directory" {
				args = append(args, "-out", filepath.Join(t.TempDir(), "run"))
			}
			refused(t, c.says, args...)
		})
	}
}

func TestNothingLeftAfterCleaning(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "strict.yaml")
	require.NoError(t, os.WriteFile(config, []byte("collect:\n  target_samples: 20\n  sources: [synthetic]\nclean:\n  min_quality: 1\n  min_runes: 4999\n"), 0o644))
	out := filepath.Join(dir, "run")
	code, said := program(t, "-config", config, "-out", out, "-phase", "data_collection")
	require.Zero(t, code, said)
	refused(t, []string{"data_cleaning", "nothing is left of 20 samples", "too_short:20"}, "-config", config, "-out", out, "-phase", "data_cleaning")
}

func TestAnotherRunHoldsTheLock(t *testing.T) {
	out := t.TempDir()
	unlock, err := checkpoint.Lock(filepath.Join(out, ".lock"))
	require.NoError(t, err)
	refused(t, []string{out, "lock"}, "-out", out)
	require.NoError(t, unlock())
}

func TestConfigsOfTheRealModel(t *testing.T) {
	c, j, err := readConfigs(flags{config: "configs/borea.yaml", judge: "configs/four_class.yaml"})
	require.NoError(t, err)
	require.Equal(t, 100_000, c.Collect.TargetSamples)
	require.NotEmpty(t, c.Collect.Crawl.Presets)
	require.Equal(t, []float64{1, 3, 5, 5}, j.Training.Loss.Weights)
}

func TestPublicCorpora(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "public.yaml")
	text := fmt.Sprintf("collect:\n  target_samples: 1000\n  sources: [wikipedia, cc100, c4]\n  files:\n    wikipedia: [%s]\n    cc100: [%s]\n    c4: [%s]\n",
		abs(t, "../../dataset/public/testdata/wikipedia.parquet"),
		abs(t, "../../dataset/public/testdata/cc100.xz"), abs(t, "../../dataset/public/testdata/c4.json.gz"))
	require.NoError(t, os.WriteFile(config, []byte(text), 0o644))
	code, said := program(t, "-config", config, "-out", filepath.Join(dir, "run"), "-phase", "data_collection")
	require.Zero(t, code, said)
	for _, source := range []string{"wikipedia", "cc100", "c4"} {
		samples, err := readAll(filepath.Join(dir, "run", "data_collection", source+".jsonl"))
		require.NoError(t, err)
		require.NotEmpty(t, samples, source)
	}
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// tiny prepares the phases before training in a configuration that saves every
// two steps.
func tiny(t *testing.T, out string) []string {
	t.Helper()
	args := []string{"-config", "../../.ci/kill.yaml", "-out", out, "-phase"}
	for _, phase := range []string{"data_collection", "data_cleaning", "labeling", "splitting"} {
		code, said := program(t, append(args, phase)...)
		require.Zero(t, code, said)
	}
	return append(args, "finetune")
}

// interrupted runs args until enough checkpoints are there and then sends SIGINT.
func interrupted(t *testing.T, checkpoints string, enough int, args ...string) string {
	t.Helper()
	cmd, said := command(args)
	require.NoError(t, cmd.Start())
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(checkpoints, "ckpt-*")); len(found) >= enough {
			break
		}
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	require.Equal(t, 130, cmd.ProcessState.ExitCode(), said.String())
	return said.String()
}

// A damaged checkpoint is set aside with a word and training goes on from the one
// before; where all are damaged nothing starts over unasked.
func TestCorruptCheckpoint(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGINT")
	}
	out := filepath.Join(t.TempDir(), "run")
	args := tiny(t, out)
	checkpoints := filepath.Join(out, ".partial-finetune", ".checkpoints")
	require.Contains(t, interrupted(t, checkpoints, 2, args...), "run the same command again")
	saved, err := filepath.Glob(filepath.Join(checkpoints, "ckpt-*", "MANIFEST"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(saved), 2)
	damage := func(files []string) {
		for _, f := range files {
			require.NoError(t, os.Truncate(f, 10))
		}
	}
	whole := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(whole, os.DirFS(out)))

	damage(saved[len(saved)-1:])
	code, said := program(t, args...)
	require.Zero(t, code, said)
	require.Contains(t, said, "checkpoint refused")

	args[3] = whole
	saved, err = filepath.Glob(filepath.Join(whole, ".partial-finetune", ".checkpoints", "ckpt-*", "MANIFEST"))
	require.NoError(t, err)
	damage(saved)
	refused(t, []string{"finetune", "quarantine-ckpt", "MANIFEST", "remove that folder"}, args...)
	code, said = program(t, append(args, "-fresh")...)
	require.Zero(t, code, said)
}

// A device is refused before any work, not when the first model is loaded.
func TestUnknownDevice(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	refused(t, []string{`"abacus"`, "cpu"}, "-device", "abacus", "-out", out)
	require.NoDirExists(t, out)
}

// The error names the path; once there is room the same command goes on.
func TestFullDisk(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Mkdir(out, 0o755))
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", out).Run(); err != nil {
		t.Skip("no right to mount a small file system: ", err)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", out).Run()) })
	args := tiny(t, out)
	refused(t, []string{"finetune", "no space left on device", out}, args...)
	require.NoError(t, exec.Command("mount", "-o", "remount,size=100m", out).Run())
	code, said := program(t, args...)
	require.Zero(t, code, said)
}
