package boot

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// initrd writes a gzip-compressed cpio archive of the kind "newc"
// (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
type initrd struct {
	out  *gzip.Writer
	ino  int
	dirs map[string]bool
	err  error
}

func newInitrd(w io.Writer) *initrd {
	return &initrd{out: gzip.NewWriter(w), dirs: map[string]bool{"": true, ".": true, "/": true}}
}

func (a *initrd) entry(name string, mode uint32, body []byte) {
	if a.err != nil {
		return
	}
	a.ino++
	nlink := 1
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, nlink, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
	a.padded([]byte(header + name + "\x00"))
	a.padded(body)
}

// padded writes b and fills up to a multiple of four bytes.
func (a *initrd) padded(b []byte) {
	if a.err == nil {
		_, a.err = a.out.Write(append(b, make([]byte, (4-len(b)%4)%4)...))
	}
}

// file adds a regular file and the folders above it.
func (a *initrd) file(name string, mode uint32, body []byte) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	a.dir(path.Dir(name))
	a.entry(name, 0o100000|mode, body)
}

func (a *initrd) dir(name string) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if a.dirs[name] {
		return
	}
	a.dir(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, 0o040755, nil)
}

func (a *initrd) close() error {
	a.entry("TRAILER!!!", 0, nil)
	if a.err != nil {
		return a.err
	}
	return a.out.Close()
}

// program adds an executable of this machine with the libraries it is linked
// to, each at its own path.
func (a *initrd) program(ctx context.Context, name string) error {
	file, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s is needed in the guest: %w (`make tools` installs it)", name, err)
	}
	out, err := exec.CommandContext(ctx, "ldd", file).Output()
	if err != nil {
		return fmt.Errorf("listing the libraries of %s: %w", file, err)
	}
	want := map[string]string{"/sbin/" + path.Base(name): file}
	for _, field := range strings.Fields(string(out)) {
		if strings.HasPrefix(field, "/") {
			want[field] = field
		}
	}
	for target, source := range want {
		body, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		a.file(target, 0o755, body)
	}
	return nil
}

// WriteInitrd writes the initial RAM disk of the guest: self is the program
// that becomes PID 1.
func WriteInitrd(ctx context.Context, w io.Writer, self string, modules []Module) error {
	a := newInitrd(w)
	program, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	a.file("init", 0o755, program)
	var list strings.Builder
	for _, m := range modules {
		name := "modules/" + m.Name + ".ko"
		a.file(name, 0o644, m.Content)
		list.WriteString("/" + name + "\n")
	}
	a.file("modules.load", 0o644, []byte(list.String()))
	for _, dir := range []string{"proc", "sys", "dev", "win/C", "tmp"} {
		a.dir(dir)
	}
	if err := a.program(ctx, "lowntfs-3g"); err != nil {
		return err
	}
	return a.close()
}
