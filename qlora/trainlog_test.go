package qlora

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMaskedCRC: CRC-32C of "123456789" is e3069283 (RFC 3720, B.4 uses the same
// polynomial); the mask is TFRecord's.
func TestMaskedCRC(t *testing.T) {
	c := uint32(0xe3069283)
	require.Equal(t, (c>>15|c<<17)+0xa282ead8, maskedCRC([]byte("123456789")))
}

// event is what a scalar event holds.
type event struct {
	tag   string
	step  uint64
	value float32
	wall  float64
	file  string // file_version
}

// readEvents parses TFRecord frames with Event messages, written from the format
// and not from the encoder.
func readEvents(t *testing.T, b []byte) []event {
	t.Helper()
	var out []event
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), 16)
		n := int(binary.LittleEndian.Uint64(b))
		require.Equal(t, maskedCRC(b[:8]), binary.LittleEndian.Uint32(b[8:]), "length checksum")
		data := b[12 : 12+n]
		require.Equal(t, maskedCRC(data), binary.LittleEndian.Uint32(b[12+n:]), "data checksum")
		out = append(out, parseEvent(t, data))
		b = b[16+n:]
	}
	return out
}

func parseEvent(t *testing.T, b []byte) event {
	var e event
	protoFields(t, b, func(number int, varint uint64, data []byte) {
		switch number {
		case 1:
			e.wall = math.Float64frombits(varint)
		case 2:
			e.step = varint
		case 3:
			e.file = string(data)
		case 5: // summary, whose field 1 is a value
			protoFields(t, data, func(_ int, _ uint64, value []byte) {
				protoFields(t, value, func(number int, varint uint64, data []byte) {
					if number == 1 {
						e.tag = string(data)
					} else {
						e.value = math.Float32frombits(uint32(varint))
					}
				})
			})
		}
	})
	return e
}

// protoFields walks a message of the wire types 0, 1, 2 and 5.
func protoFields(t *testing.T, b []byte, use func(number int, varint uint64, data []byte)) {
	t.Helper()
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		require.Positive(t, n)
		b = b[n:]
		number := int(key >> 3)
		switch key & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			require.Positive(t, n)
			use(number, v, nil)
			b = b[n:]
		case 1:
			use(number, binary.LittleEndian.Uint64(b), nil)
			b = b[8:]
		case 2:
			v, n := binary.Uvarint(b)
			require.Positive(t, n)
			use(number, 0, b[n:n+int(v)])
			b = b[n+int(v):]
		case 5:
			use(number, uint64(binary.LittleEndian.Uint32(b)), nil)
			b = b[4:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
	}
}

func TestEventFile(t *testing.T) {
	var b bytes.Buffer
	at := time.Unix(1700000000, 500_000_000)
	w, err := newEventWriter(&b, func() time.Time { return at })
	require.NoError(t, err)
	require.NoError(t, w.scalar("train/loss", 1, 3.25))
	require.NoError(t, w.scalar(strings.Repeat("é", 100), 1<<40, math.Inf(1)))
	require.NoError(t, w.flush())
	const wall = 1700000000.5
	require.Equal(t, []event{
		{file: "brain.Event:2", wall: wall},
		{tag: "train/loss", step: 1, value: 3.25, wall: wall},
		{tag: strings.Repeat("é", 100), step: 1 << 40, value: float32(math.Inf(1)), wall: wall},
	}, readEvents(t, b.Bytes()))
}

func writeLog(t *testing.T, dir string, from, to int) {
	t.Helper()
	l, err := openTrainLog(dir, from)
	require.NoError(t, err)
	for i := from + 1; i <= to; i++ {
		require.NoError(t, l.step(stepRecord{Step: i, Loss: 1 / float64(i), LR: 1e-4, GradNorm: 2, Tokens: 7}))
		if i%4 == 0 {
			require.NoError(t, l.eval(i, 0.5))
		}
	}
	require.NoError(t, l.close())
}

func TestTrainLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	writeLog(t, dir, 0, 5)
	b, err := os.ReadFile(filepath.Join(dir, "train.jsonl"))
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	require.Len(t, lines, 6)
	var step stepRecord
	require.NoError(t, json.Unmarshal(lines[4-1], &step))
	require.Equal(t, stepRecord{Step: 4, Loss: 0.25, LR: 1e-4, GradNorm: 2, Tokens: 7}, step)
	require.JSONEq(t, `{"step":4,"eval_nll":0.5}`, string(lines[4]))

	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err = os.ReadFile(files[0])
	require.NoError(t, err)
	events := readEvents(t, b)
	require.Len(t, events, 1+5*3+1)
	require.Equal(t, "train/lr", events[2].tag)
	require.Equal(t, "eval/nll", events[13].tag)
}

// TestTrainLogDropsWhatACrashLeft: later steps, half a line, and rubbish.
func TestTrainLogDropsWhatACrashLeft(t *testing.T) {
	whole := t.TempDir()
	writeLog(t, whole, 0, 9)
	want, err := os.ReadFile(filepath.Join(whole, "train.jsonl"))
	require.NoError(t, err)
	for name, tail := range map[string]string{"nothing": "", "half a line": `{"step":8,"lo`, "rubbish": "\x00\x00\x00\n\n"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeLog(t, dir, 0, 7)
			path := filepath.Join(dir, "train.jsonl")
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString(tail)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			writeLog(t, dir, 5, 9)
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}

func TestNoTrainLog(t *testing.T) {
	l, err := openTrainLog("", 0)
	require.NoError(t, err)
	require.NoError(t, l.step(stepRecord{}))
	require.NoError(t, l.eval(1, 2))
	require.NoError(t, l.close())
}
