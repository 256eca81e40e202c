//go:build linux && amd64 && !noasm

package cpu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/cpuid"
)

// TestTilesEmulated runs this program's tile tests where the processor does not
// know the instructions: a child is traced, and each one that stops it is decoded
// and carried out on its memory. All else the processor executes itself.
func TestTilesEmulated(t *testing.T) {
	if tileState() || !cpuid.X86.AVX512VNNI {
		t.Skip("for processors with AVX-512-VNNI and without AMX")
	}
	if os.Getenv("BOREA_AMX") != "" {
		t.Skip("this is the child")
	}
	runtime.LockOSThread() // ptrace obeys one thread
	defer runtime.UnlockOSThread()
	c := exec.Command(os.Args[0], "-test.run", "^Test(TilesMatchTheModel|Int8ProductOnTiles|BF16ProductOnTiles)$", "-test.v")
	c.Env = append(os.Environ(), "BOREA_AMX=emulated")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr, c.SysProcAttr = log, log, &syscall.SysProcAttr{Ptrace: true}
	if err := c.Start(); err != nil {
		t.Skipf("cannot trace: %v", err)
	}
	defer c.Process.Release() // trace waits for it
	code, executed, err := trace(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 || bytes.Count(out, []byte("--- PASS")) != 3 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	t.Log(executed, "tile instructions carried out")
}

// trace lets a stopped child run to its end and carries out the tile instructions
// that it cannot; each of its threads has registers of its own.
func trace(pid int) (code, executed int, err error) {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return 0, 0, err
	}
	const exitKill = 0x100000 // the child ends with this process
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return 0, 0, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer memory.Close()
	units, stopped := map[int]*tileUnit{}, pid
	for signal := 0; ; {
		if err := syscall.PtraceCont(stopped, signal); err != nil && err != syscall.ESRCH {
			return 0, 0, err
		}
		for {
			if stopped, err = syscall.Wait4(-1, &status, syscall.WALL, nil); err != nil {
				return 0, 0, err
			}
			if status.Stopped() {
				break
			}
			if stopped == pid {
				return status.ExitStatus(), executed, nil
			}
		}
		signal = int(status.StopSignal())
		switch syscall.Signal(signal) {
		case syscall.SIGTRAP, syscall.SIGSTOP: // a thread began
			signal = 0
		case syscall.SIGILL:
			if units[stopped] == nil {
				units[stopped] = &tileUnit{memory: memory}
			}
			if err := units[stopped].step(stopped); err != nil {
				return 0, 0, err
			}
			signal = 0
			executed++
		}
	}
}

// tileUnit is the tile registers of a thread.
type tileUnit struct {
	memory interface {
		io.ReaderAt
		io.WriterAt
	}
	config tileConfig
	tile   [8][16][64]byte
}

// step carries out the instruction at which thread tid stopped: VEX.128.0F38.W0 of
// Intel's manual, volume 2, chapters 2 and 3.
func (u *tileUnit) step(tid int) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	var c [6]byte
	if _, err := u.memory.ReadAt(c[:], int64(r.Rip)); err != nil {
		return err
	}
	if c[0] != 0xc4 || c[1]&0x9f != 0x82 || c[2]&0x84 != 0 {
		return fmt.Errorf("% x is no tile instruction", c)
	}
	base, index := int(^c[1]>>5&1)<<3, int(^c[1]>>6&1)<<3
	prefix, other, mod, reg, rm := c[2]&3, int(^c[2]>>3&15), c[4]>>6, int(c[4]>>3&7), int(c[4]&7)
	size := 5
	registers := []uint64{
		r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15,
	}
	var err error
	switch {
	case c[3] == 0x49 && mod == 0 && prefix == 0 && reg == 0 && rm != 4 && rm != 5:
		err = u.load(registers[base|rm])
	case c[3] == 0x49 && c[4] == 0xc0 && prefix == 0 && other == 0:
		u.config, u.tile = tileConfig{}, [8][16][64]byte{}
	case c[3] == 0x49 && mod == 3 && prefix == 3 && rm == 0:
		u.tile[reg] = [16][64]byte{}
	case c[3] == 0x4b && mod == 0 && rm == 4 && prefix >= 2 && c[5]&7 != 5 && c[5]>>6 == 0:
		size = 6
		err = u.move(reg, prefix == 2, registers[base|int(c[5]&7)], registers[index|int(c[5]>>3&7)])
	case c[3] == 0x5e && mod == 3 && prefix == 1:
		err = u.product(reg, rm, other, modelInt8)
	case c[3] == 0x5c && mod == 3 && prefix == 2:
		err = u.product(reg, rm, other, modelBF16)
	default:
		err = fmt.Errorf("not known")
	}
	if err != nil {
		return fmt.Errorf("% x: %w", c[:size], err)
	}
	r.Rip += uint64(size)
	return syscall.PtraceSetRegs(tid, &r)
}

// load is LDTILECFG.
func (u *tileUnit) load(at uint64) error {
	u.tile = [8][16][64]byte{}
	if _, err := u.memory.ReadAt(u.config[:], int64(at)); err != nil {
		return err
	}
	for t := range 8 {
		if rows, width := u.shape(t); rows < 1 || rows > 16 || width < 1 || width > 64 || width%4 != 0 {
			return fmt.Errorf("tile %d of %d rows of %d bytes", t, rows, width)
		}
	}
	if u.config[0] != 1 || u.config[1] != 0 {
		return fmt.Errorf("palette %d, row %d", u.config[0], u.config[1])
	}
	return nil
}

func (u *tileUnit) shape(tile int) (rows, width int) {
	return int(u.config[48+tile]), int(binary.LittleEndian.Uint16(u.config[16+2*tile:]))
}

// move is TILELOADD and TILESTORED.
func (u *tileUnit) move(tile int, store bool, base, stride uint64) error {
	rows, width := u.shape(tile)
	if rows == 0 {
		return fmt.Errorf("tile %d is not configured", tile)
	}
	if !store {
		u.tile[tile] = [16][64]byte{}
	}
	for r := range rows {
		at, row := int64(base+uint64(r)*stride), u.tile[tile][r][:width]
		f := u.memory.ReadAt
		if store {
			f = u.memory.WriteAt
		}
		if _, err := f(row, at); err != nil {
			return err
		}
	}
	return nil
}

// product is TDPBUSD and TDPBF16PS, as dot is.
func (u *tileUnit) product(c, a, b int, dot func(c *uint32, a, b []uint32)) error {
	m, wide := u.shape(c)
	rows, depth := u.shape(a)
	words, lanes := u.shape(b)
	if c == a || a == b || b == c || b > 7 || m == 0 || rows != m || lanes != wide || depth != 4*words {
		return fmt.Errorf("tiles %d of %dx%d, %d of %dx%d, %d of %dx%d", c, m, wide, a, rows, depth, b, words, lanes)
	}
	word := func(t, r, w int) []byte { return u.tile[t][r][4*w:] }
	for l := range wide / 4 {
		var column, row [16]uint32
		for k := range words {
			column[k] = binary.LittleEndian.Uint32(word(b, k, l))
		}
		for r := range m {
			for k := range words {
				row[k] = binary.LittleEndian.Uint32(word(a, r, k))
			}
			sum := binary.LittleEndian.Uint32(word(c, r, l))
			dot(&sum, row[:words], column[:words])
			binary.LittleEndian.PutUint32(word(c, r, l), sum)
		}
	}
	return nil
}
