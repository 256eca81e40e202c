package qlora

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"time"
)

// eventWriter writes scalars in TensorBoard's format: TFRecord frames (length,
// masked CRC, data, masked CRC) around hand-encoded Event protobufs.
type eventWriter struct {
	w   *bufio.Writer
	now func() time.Time
}

func newEventWriter(w io.Writer, now func() time.Time) (*eventWriter, error) {
	e := &eventWriter{w: bufio.NewWriter(w), now: now}
	version := append(e.wallTime(), field(3, "brain.Event:2")...)
	return e, e.record(version)
}

// scalar writes one value of a tag.
func (e *eventWriter) scalar(tag string, step int, v float64) error {
	value := field(1, tag)
	value = append(value, 0x15) // simple_value, field 2, fixed32
	value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(v)))
	ev := append(e.wallTime(), 0x10) // step, field 2, varint
	ev = binary.AppendUvarint(ev, uint64(step))
	return e.record(append(ev, field(5, string(field(1, string(value))))...))
}

func (e *eventWriter) flush() error { return e.w.Flush() }

// wallTime is field 1, double.
func (e *eventWriter) wallTime() []byte {
	sec := float64(e.now().UnixNano()) / 1e9
	return binary.LittleEndian.AppendUint64([]byte{0x09}, math.Float64bits(sec))
}

// field encodes a length-delimited protobuf field.
func field(number byte, s string) []byte {
	b := binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(s)))
	return append(b, s...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's checksum: CRC-32C rotated right by 15 plus a constant.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func (e *eventWriter) record(data []byte) error {
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	head = binary.LittleEndian.AppendUint32(head, maskedCRC(head))
	tail := binary.LittleEndian.AppendUint32(nil, maskedCRC(data))
	for _, part := range [][]byte{head, data, tail} {
		if _, err := e.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
