package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// TestMain makes the test binary the command itself when a script calls it.
func TestMain(m *testing.M) {
	if os.Getenv("HFTOGGUF_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

const bundled = "../fullpipeline/model"

// TestScripts runs testdata/*.txtar: files, and above them a script of lines
//
//	hftogguf ARG…        runs the command; ! before it: the exit code must not be 0
//	interrupt hftogguf … runs it, and interrupts it once it writes
//	exit N               the exit code was N
//	stdout REGEXP        the output matches; ! before it: does not
//	stderr REGEXP
//	exists FILE          ! before it: is not there
//	cmp FILE FILE        the same bytes
//	json                 the output is JSON
//	imatrix FILE         makes an importance matrix for layer 0's attn_output
//	adapter DIR          makes a LoRA adapter of rank 4 for layer 0's o_proj
//	readonly DIR         nobody may write into it
//
// $MODEL is the bundled model, $WORK the folder with the files. As in testscript.
func TestScripts(t *testing.T) {
	if _, err := os.Stat(bundled); err != nil {
		t.Skip("the bundled model is not here")
	}
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			newScript(t, raw).run(t)
		})
	}
}

type script struct {
	dir            string
	lines          []string
	stdout, stderr bytes.Buffer
	code           int
}

var fileMark = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// newScript unpacks an archive into a folder.
func newScript(t *testing.T, raw []byte) *script {
	s := &script{dir: t.TempDir()}
	marks := fileMark.FindAllSubmatchIndex(raw, -1)
	end := len(raw)
	for i := len(marks) - 1; i >= 0; i-- {
		name := filepath.Join(s.dir, filepath.FromSlash(string(raw[marks[i][2]:marks[i][3]])))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, raw[marks[i][1]:end], 0o644))
		end = marks[i][0]
	}
	s.lines = strings.Split(string(raw[:end]), "\n")
	return s
}

func (s *script) run(t *testing.T) {
	model, err := filepath.Abs(bundled)
	require.NoError(t, err)
	expand := strings.NewReplacer("$MODEL", model, "$WORK", s.dir)
	for n, line := range s.lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		negated := strings.HasPrefix(line, "! ")
		verb, rest, _ := strings.Cut(strings.TrimPrefix(line, "! "), " ")
		if err := s.do(t, verb, strings.Trim(expand.Replace(rest), "'"), negated); err != nil {
			t.Fatalf("line %d, %s: %v\nexit code %d\nstdout: %s\nstderr: %s", n+1, line, err, s.code, s.stdout.String(), s.stderr.String())
		}
	}
}

func (s *script) do(t *testing.T, verb, rest string, negated bool) error {
	ok := false
	switch verb {
	case "hftogguf":
		s.command(t, strings.Fields(rest), false)
		ok = s.code == 0
	case "interrupt":
		if runtime.GOOS == "windows" {
			t.Skip("no interrupts between processes")
		}
		s.command(t, strings.Fields(rest)[1:], true)
		ok = true
	case "exit":
		ok = rest == fmt.Sprint(s.code)
	case "stdout":
		ok = regexp.MustCompile(rest).Match(s.stdout.Bytes())
	case "stderr":
		ok = regexp.MustCompile(rest).Match(s.stderr.Bytes())
	case "exists":
		matches, err := filepath.Glob(filepath.Join(s.dir, rest))
		ok = len(matches) > 0 && err == nil
	case "cmp":
		a, b, _ := strings.Cut(rest, " ")
		x, err := os.ReadFile(filepath.Join(s.dir, a))
		require.NoError(t, err)
		y, err := os.ReadFile(filepath.Join(s.dir, b))
		require.NoError(t, err)
		ok = bytes.Equal(x, y)
	case "json":
		ok = json.Valid(s.stdout.Bytes())
	case "imatrix":
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, rest), importance("blk.0.attn_output.weight", 192), 0o644))
		ok = true
	case "adapter":
		writeAdapter(t, filepath.Join(s.dir, rest))
		ok = true
	case "readonly":
		if os.Geteuid() == 0 || runtime.GOOS == "windows" {
			t.Skip("this user may write everywhere")
		}
		require.NoError(t, os.Chmod(filepath.Join(s.dir, rest), 0o555))
		ok = true
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	if ok == negated {
		return fmt.Errorf("got %v", ok)
	}
	return nil
}

// importance is a matrix of one tensor in the older form of llama-imatrix.
func importance(name string, columns int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(name))), name...)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(columns))
	for i := range columns {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(1+float32(i)))
	}
	return b
}

func writeAdapter(t *testing.T, dir string) {
	var w bytes.Buffer
	const linear = "base_model.model.model.layers.0.self_attn.o_proj"
	require.NoError(t, safetensors.Write(&w, []safetensors.Tensor{
		safetensors.F32Tensor(linear+".lora_A.weight", []int{4, 192}, make([]float32, 4*192)),
		safetensors.F32Tensor(linear+".lora_B.weight", []int{192, 4}, make([]float32, 192*4)),
	}, nil))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "adapter_model.safetensors"), w.Bytes(), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(`{"peft_type":"LORA","r":4,"lora_alpha":8}`), 0o644))
}

// command runs the command in the script's folder, and with interrupt stops it as
// soon as it has begun a file.
func (s *script) command(t *testing.T, args []string, interrupt bool) {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, args...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "HFTOGGUF_TEST_COMMAND=1")
	s.stdout.Reset()
	s.stderr.Reset()
	c.Stdout, c.Stderr = &s.stdout, &s.stderr
	require.NoError(t, c.Start())
	if interrupt {
		for begun := false; !begun && c.ProcessState == nil; time.Sleep(time.Millisecond) {
			m, _ := filepath.Glob(filepath.Join(s.dir, ".*.tmp-*"))
			begun = len(m) > 0
		}
		require.NoError(t, c.Process.Signal(os.Interrupt))
	}
	_ = c.Wait() // the code says it
	s.code = c.ProcessState.ExitCode()
}

// Control characters of a strange file must not reach the terminal.
func TestShort(t *testing.T) {
	require.Equal(t, `a\x1b[31m\n`, short("a\x1b[31m\n"))
	require.LessOrEqual(t, len([]rune(short(strings.Repeat("長", 500)))), 72)
}

// Every error that can come has an exit code, a hint where one helps, and the path.
func TestMessages(t *testing.T) {
	var out, errs bytes.Buffer
	require.Equal(t, 0, command(context.Background(), []string{"-help"}, &out, &errs))
	require.Contains(t, errs.String(), "-imatrix")
	require.Empty(t, out.String())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := os.Stat(bundled); err == nil {
		errs.Reset()
		require.Equal(t, 130, command(ctx, []string{"-model", bundled, "-out", filepath.Join(t.TempDir(), "x")}, &out, &errs))
		require.Contains(t, errs.String(), "interrupted")
	}
}
