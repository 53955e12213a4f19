package diskimage

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// cases is how many random chains a test run tries, and the seed of the first:
// set SYSPREP_CHAINS for more, SYSPREP_CHAIN_SEED to start at one, alone.
func cases(t *testing.T, preset int) (first int64, n int) {
	number := func(name string, preset int64) int64 {
		s := os.Getenv(name)
		if s == "" {
			return preset
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < 1 {
			t.Fatalf("%s=%q is not a number above 0", name, s)
		}
		return v
	}
	first = number("SYSPREP_CHAIN_SEED", 0)
	if first > 0 {
		preset = 1
	}
	return max(1, first), int(number("SYSPREP_CHAINS", int64(preset)))
}

// sizeOf chooses the size of a disk: small ones as a rule, those that failed in
// the field, and large ones.
func sizeOf(r *rand.Rand, f Format) int64 {
	switch r.Intn(12) {
	case 0:
		return 104865792 // what CHS makes of 100 MiB
	case 1:
		return 512 * mib
	case 2:
		return gib + int64(r.Intn(4096))*512
	case 3:
		if f == QCOW2 && r.Intn(3) == 0 {
			return 64*tib - int64(r.Intn(4))*512
		}
		return 40*gib + int64(r.Intn(4096))*512
	}
	return int64(1+r.Intn(12<<11)) * 512
}

// sizeAbove chooses the size of a child.
func sizeAbove(r *rand.Rand, parent, limit int64) int64 {
	size := roundUp(parent, 512)
	switch r.Intn(4) {
	case 0:
		size = max(512, r.Int63n(size)/512*512)
	case 1:
		size += int64(1+r.Intn(3000)) * 512
	case 2:
		size += gib + int64(r.Intn(3000))*512
	}
	return min(size, limit)
}

// chain is a random disk with all it is based on.
type chain struct {
	model
	levels []level
	// foreign: a level that QEMU does not read.
	foreign bool
}

func (c *chain) top() level { return c.levels[len(c.levels)-1] }

func (c *chain) String() string {
	var s []string
	for _, l := range c.levels {
		s = append(s, l.what)
	}
	return strings.Join(s, " <- ")
}

// newChain writes the images of a chain into a folder.
func newChain(r *rand.Rand, dir string) (*chain, error) {
	base := []Format{Raw, Raw, VHD, VHD, VHDX, QCOW2, VMDK, VMDK}[r.Intn(8)]
	fixed := base == VHD && r.Intn(2) == 0
	c := &chain{model: model{sizeOf(r, base), map[int64][]byte{}}}
	if base == Raw && r.Intn(3) == 0 {
		c.size += int64(r.Intn(512)) // not even whole sectors
	}
	for n := range 1 + 1 + r.Intn(3) {
		path := filepath.Join(dir, fmt.Sprint("disk", n))
		if n == 0 {
			list := writes(r, c.size/512*512+512, 0, 64*kib)
			if c.size%512 != 0 || len(list) == 0 {
				list = []change{{0, 512, false}}
			}
			for i := range list {
				list[i].n = min(list[i].n, c.size-list[i].at)
			}
			c.apply(r, list)
			l, err := writeBase(r, path, base, fixed, c.model, list)
			if err != nil {
				return nil, err
			}
			c.levels = append(c.levels, l)
			continue
		}
		parent := c.top()
		format := QCOW2
		if (parent.format == VHD || parent.format == VHDX || parent.format == VMDK) && r.Intn(2) == 0 {
			format = parent.format
			c.foreign = c.foreign || format != VMDK
		}
		limit := 64 * tib
		if format != QCOW2 {
			limit = 42 * gib
		}
		m := c.child(sizeAbove(r, c.size, limit))
		list := writes(r, m.size, c.size, []int64{512, 4 * kib, 64 * kib, 2 * mib}[r.Intn(4)])
		m.apply(r, list)
		c.model = m
		write := map[Format]func(*rand.Rand, string, model, []change, *level) (level, error){VHD: writeVHD, VHDX: writeVHDX, QCOW2: writeQcow2, VMDK: writeVMDK}[format]
		l, err := write(r, path, m, list, &parent)
		if err != nil {
			return nil, err
		}
		c.levels = append(c.levels, l)
	}
	return c, nil
}

func writeBase(r *rand.Rand, path string, f Format, fixed bool, m model, list []change) (level, error) {
	switch {
	case f == VHDX:
		return writeVHDX(r, path, m, list, nil)
	case f == VHD && !fixed:
		return writeVHD(r, path, m, list, nil)
	case f == QCOW2:
		return writeQcow2(r, path, m, list, nil)
	case f == VMDK:
		return writeVMDK(r, path, m, list, nil)
	}
	l := level{path: path, format: f, size: m.size, id: newID(), what: fmt.Sprintf("flat %s %d bytes", f, m.size)}
	file, err := os.Create(path)
	if err != nil {
		return l, err
	}
	defer file.Close()
	for i, p := range m.pages {
		if _, err := file.WriteAt(p[:min(pageSize, m.size-i*pageSize)], i*pageSize); err != nil {
			return l, err
		}
	}
	if err := file.Truncate(m.size); err != nil || !fixed {
		return l, err
	}
	_, err = file.WriteAt(newVHDFooter(m.size, vhdTypeFixed, l.id).encode(), m.size)
	return l, err
}

// tryChain reads a chain, converts it, and compares both with the model.
func tryChain(r *rand.Rand, dir string, c *chain) (out string, err error) {
	d, err := Open(c.top().path)
	if err != nil {
		return "", err
	}
	defer d.Close()
	if err := c.check(r, d); err != nil {
		return "", fmt.Errorf("reading: %w", err)
	}
	o := []Options{{Format: Raw}, {Format: VHD}, {Format: VHD, Type: Dynamic}, {Format: VHDX}, {Format: QCOW2}}[r.Intn(5)]
	if c.size > 50*gib {
		o = Options{Format: QCOW2}
	}
	o.AlignMiB, o.Compare = r.Intn(2) == 0, r.Intn(4) == 0 && c.size < gib
	out = filepath.Join(dir, "out")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := Convert(ctx, d, out, o); err != nil {
		return "", err
	}
	made, err := Open(out, As(o.Format))
	if err != nil {
		return "", err
	}
	defer made.Close()
	want := c.child(made.Size()) // rounded up
	if made.Size() < c.size {
		return "", fmt.Errorf("the output has %d of %d bytes", made.Size(), c.size)
	}
	if err := want.check(r, made); err != nil {
		return "", fmt.Errorf("converted to %s %s: %w", o.Type, o.Format, err)
	}
	return o.Format.QEMU(), nil
}

// TestChainsReadAsTheirModel tries random chains of every format against a
// model in memory, and those that QEMU reads against qemu-img as well.
func TestChainsReadAsTheirModel(t *testing.T) {
	first, n := cases(t, testutil.Fewer(80))
	qemu := testutil.Tool(t, "qemu-img")
	compared, largest, data := 0, int64(0), 0
	for seed := first; seed < first+int64(n); seed++ {
		r := rand.New(rand.NewSource(seed))
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := newChain(r, dir)
		if err != nil {
			t.Fatalf("seed %d: writing the chain: %v", seed, err)
		}
		format, err := tryChain(r, dir, c)
		if err != nil {
			t.Fatalf("SYSPREP_CHAIN_SEED=%d: %s: %v", seed, c, err)
		}
		largest, data = max(largest, c.size), data+len(c.pages)
		// QEMU takes minutes for 40 GiB in clusters of 512 bytes.
		if !c.foreign && seed%4 == 0 && c.size < 4*gib {
			compared++
			args := []string{"compare", "-f", c.top().format.QEMU(), "-F", format, c.top().path, filepath.Join(dir, "out")}
			if b, err := exec.Command(qemu, args...).CombinedOutput(); err != nil {
				t.Fatalf("SYSPREP_CHAIN_SEED=%d: %s: qemu-img %q: %v: %s", seed, c, args, err, b)
			}
		}
		os.RemoveAll(dir)
	}
	t.Logf("%d chains, the largest disk %d bytes, %d MiB of data, %d compared by qemu-img", n, largest, data>>8, compared)
}

// TestChainsOfQEMUReadAsQEMUReadsThem does the same with overlays that QEMU
// wrote, discarded ranges included.
func TestChainsOfQEMUReadAsQEMUReadsThem(t *testing.T) {
	first, n := cases(t, testutil.Fewer(12))
	testutil.Tool(t, "qemu-img")
	testutil.Tool(t, "qemu-io")
	largest := int64(0)
	for seed := first; seed < first+int64(n); seed++ {
		r := rand.New(rand.NewSource(seed))
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		what, size, err := tryQEMU(r, dir)
		if err != nil {
			t.Fatalf("SYSPREP_CHAIN_SEED=%d: %s: %v", seed, what, err)
		}
		largest = max(largest, size)
		os.RemoveAll(dir)
	}
	t.Logf("%d chains, the largest disk %d bytes", n, largest)
}

func tryQEMU(r *rand.Rand, dir string) (what string, size int64, err error) {
	tool := func(name string, args ...string) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if b, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, b)
		}
		return nil
	}
	size = min(sizeOf(r, Raw), 3*gib)
	m := model{size, map[int64][]byte{}}
	list := writes(r, size, 0, 64*kib)
	m.apply(r, list)
	l, err := writeBase(r, filepath.Join(dir, "disk0"), Raw, false, m, list)
	if err != nil {
		return "", size, err
	}
	what = l.what
	for n := range 1 + r.Intn(2) {
		path := filepath.Join(dir, fmt.Sprint("disk", n+1))
		parent := size
		size = sizeAbove(r, size, 64*tib)
		o := fmt.Sprintf("cluster_size=%d", 512<<r.Intn(13))
		unit := 64 * kib
		switch r.Intn(4) {
		case 0:
			o += ",compat=0.10"
		case 1:
			o = "extended_l2=on,cluster_size=128k"
			unit = 4 * kib
		}
		what += fmt.Sprintf(" <- qcow2 %d bytes %s", size, o)
		if err := tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", o, "-b", filepath.Base(l.path), "-F", l.format.QEMU(), path, fmt.Sprint(size)); err != nil {
			return what, size, err
		}
		args := []string{"-f", "qcow2", path}
		for i, w := range writes(r, size, parent, unit) {
			do := fmt.Sprintf("write -P %d", i+1)
			switch {
			case w.zero:
				do = []string{"write -z", "write -z -u", "discard"}[r.Intn(3)]
			}
			args = append(args, "-c", fmt.Sprintf("%s %d %d", do, w.at, w.n))
		}
		if err := tool("qemu-io", args...); err != nil {
			return what, size, err
		}
		l = level{path: path, format: QCOW2, size: size}
	}
	flat := filepath.Join(dir, "flat")
	if err := tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", l.path, flat); err != nil {
		return what, size, err
	}
	if m, err = modelOf(flat); err != nil {
		return what, size, err
	}
	format, err := tryChain(r, dir, &chain{model: m, levels: []level{l}})
	if err != nil {
		return what, size, err
	}
	return what, size, tool("qemu-img", "compare", "-f", "qcow2", "-F", format, l.path, filepath.Join(dir, "out"))
}

// modelOf reads a raw file by its extents.
func modelOf(path string) (model, error) {
	f, err := os.Open(path)
	if err != nil {
		return model{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return model{}, err
	}
	m := model{st.Size(), map[int64][]byte{}}
	for off := int64(0); off < m.size; {
		start, end, err := nextDataInFile(f, off, m.size)
		if errors.Is(err, errNoExtents) {
			start, end, err = off, m.size, nil
		}
		if err != nil {
			return m, err
		}
		for at := start; at < end; at += mib {
			p := make([]byte, min(mib, end-at))
			if err := readFull(f, p, at); err != nil {
				return m, err
			}
			for i := int64(0); i < int64(len(p)); i += 512 {
				if s := p[i:min(i+512, int64(len(p)))]; !isZero(s) {
					m.write(s, at+i)
				}
			}
		}
		if off = end; start == end {
			break
		}
	}
	return m, nil
}
