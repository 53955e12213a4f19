package diskimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sumOf is the digest of a file by a plain read.
func sumOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sum(b)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// TestTheDigestsAreThoseOfAPlainRead: of each format, made with the conversion and
// afterwards, the digests are what sha256sum says of the file and of a raw image of it.
func TestTheDigestsAreThoseOfAPlainRead(t *testing.T) {
	for _, size := range []int64{64 << 10, 3<<20 + 512, 23<<20 + 1024} {
		disk := pattern(size)
		src := writeFile(t, "src.raw", disk)
		for _, o := range outputs {
			dst := filepath.Join(t.TempDir(), "disk")
			o.Digest = true
			got := convertTo(t, src, dst, o).Digests
			if want := (Digests{File: sumOf(t, dst), Content: sum(disk)}); got != want {
				t.Errorf("%d bytes, %s %s: written with %+v, want %+v", size, o.Type, o.Format, got, want)
			}
			after, err := Digest(t.Context(), dst, nil, As(o.Format))
			if err != nil || after != got {
				t.Errorf("%d bytes, %s %s: %+v, %v; want %+v", size, o.Type, o.Format, after, err, got)
			}
			if (o.Format == Raw) != (got.File == got.Content) {
				t.Errorf("%s: %+v", o.Format, got)
			}
		}
	}
}

// TestADigestSeesEveryByte: one that is changed anywhere, in what was a hole as well.
func TestADigestSeesEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.vhd")
	disk := make([]byte, 24<<20)
	copy(disk[5<<20:], "data")
	convertTo(t, writeFile(t, "src.raw", disk), path, Options{Format: VHD})
	was, err := Digest(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int64{"data": 5<<20 + 1, "hole": 17 << 20, "the last byte of the disk": 24<<20 - 1} {
		old := flip(t, path, at)
		is, err := Digest(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if is.File == was.File || is.Content == was.Content {
			t.Errorf("%s: %+v became %+v", name, was, is)
		}
		write(t, path, at, old)
	}
	old := flip(t, path, 24<<20+80) // the footer has a checksum of its own
	if is, err := Digest(t.Context(), path, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a changed footer: %+v, %v", is, err)
	}
	write(t, path, 24<<20+80, old)
	if is, err := Digest(t.Context(), path, nil); err != nil || is != was {
		t.Errorf("the same bytes again: %+v, %v", is, err)
	}
}

func flip(t *testing.T, path string, at int64) (old byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	write(t, path, at, b[0]^1)
	return b[0]
}

func write(t *testing.T, path string, at int64, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{b}, at); err != nil {
		t.Fatal(err)
	}
}

// TestADigestOfAnImageInUse: it would be of bytes that never were together.
func TestADigestOfAnImageInUse(t *testing.T) {
	path := writeFile(t, "disk.raw", pattern(8<<20))
	once := false
	_, err := Digest(t.Context(), path, func(done, total int64) {
		if !once {
			once = true
			write(t, path, 4<<20, 'x')
			later := time.Now().Add(time.Hour) // some clocks are coarse
			if err := os.Chtimes(path, later, later); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("%v", err)
	}
}

func TestADigestCanBeCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	total := int64(0)
	_, err := Digest(ctx, path, func(_, of int64) {
		total = of
		cancel()
	})
	if !errors.Is(err, context.Canceled) || total != 1<<30 {
		t.Errorf("%v, of %d", err, total)
	}
}

// TestAFailedConversionLeavesNoFollower: the file is closed, so that it can be removed.
func TestAFailedConversionLeavesNoFollower(t *testing.T) {
	src := writeFile(t, "src.raw", pattern(9<<20))
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Convert(ctx, open(t, src), filepath.Join(dir, "disk.vhd"), Options{Format: VHD, Digest: true, Progress: func(int64, int64) { cancel() }})
	if err == nil {
		t.Fatal("it was cancelled")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// BenchmarkDigest hashes a sparse disk of 8 GiB with 384 MiB of data, once with the
// holes skipped and once by a plain read, in turns. ratio is the time of the plain read
// over ours.
func BenchmarkDigest(b *testing.B) {
	src := sparseDisk(b, filepath.Join(b.TempDir(), "src.raw"))
	plain := func() string {
		f, err := os.Open(src)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	var ours, theirs time.Duration
	for b.Loop() {
		t := time.Now()
		got, err := Digest(b.Context(), src, nil)
		ours += time.Since(t)
		t = time.Now()
		want := plain()
		theirs += time.Since(t)
		if err != nil || got.File != want {
			b.Fatalf("%+v, %v; want %s", got, err, want)
		}
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "ours-s/op")
	b.ReportMetric(theirs.Seconds()/float64(b.N), "plain-s/op")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}
