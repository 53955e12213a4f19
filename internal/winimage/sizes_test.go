package winimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// sized is a drive that gives one file another size than its content has.
type sized struct {
	fs.FS
	name string
	size int64
}

func (s sized) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil || name != s.name {
		return f, err
	}
	return sizedFile{f, f.(io.ReaderAt), s.size}, nil
}

type sizedFile struct {
	fs.File
	io.ReaderAt
	size int64
}

func (f sizedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return sizedInfo{info, f.size}, err
}

type sizedInfo struct {
	fs.FileInfo
	size int64
}

func (i sizedInfo) Size() int64 { return i.size }

// ends fails where the work goes on for ever.
func ends(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

func TestASizeThatIsNotThatOfTheContentIsAProblem(t *testing.T) {
	drive := winimagetest.Spec{Generalized: true}.FS(t)
	for _, path := range []string{actLog, cachedAnswerFile, `\Windows\Setup\State\State.ini`, hivePath("SYSTEM")} {
		info, err := fs.Stat(drive, named(path))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{-1, info.Size() + 10} {
			if size > 0 && path == hivePath("SYSTEM") {
				continue // a hive says itself how long it is
			}
			ends(t, func() {
				w := Look(context.Background(), sized{drive, named(path), size})
				told := slices.Concat(w.Problems, w.Limits)
				for _, h := range w.Hives {
					told = append(told, h.Problem)
				}
				for _, a := range w.AnswerFiles {
					told = append(told, a.Problem)
				}
				if !slices.ContainsFunc(told, func(text string) bool { return text != "" }) {
					t.Errorf("%s of %d bytes: nothing is said", path, size)
				}
			})
		}
	}
}

// Every content that lies outside its record, with a size that cannot be.
func TestASizeThatCannotBeIsNoPanic(t *testing.T) {
	image, err := os.ReadFile(winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{
		cachedAnswerFile: `<unattend xmlns="urn:schemas-microsoft-com:unattend">` + strings.Repeat(" ", 9000) + `</unattend>`,
		actLog:           winimagetest.GoodLog + strings.Repeat("\r\n2026-11-23 12:00:00, Info x", 400),
	}}))
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for record := 0; record+1024 <= len(image); record += 512 {
		for _, at := range contents(image[record : record+1024]) {
			size := image[record+at+48:][:8]
			was := bytes.Clone(size)
			for _, value := range []uint64{1<<64 - 1, 1 << 63, 1 << 62} {
				binary.LittleEndian.PutUint64(size, value)
				ends(t, func() { _, _ = judge(&patched{image: image, budget: readBudget}) })
				changed++
			}
			copy(size, was)
		}
	}
	if changed < 12 {
		t.Errorf("only %d sizes were changed", changed)
	}
}

// contents finds the attributes $DATA without a name that are not resident in
// a record of the MFT.
func contents(record []byte) (at []int) {
	le := binary.LittleEndian
	if string(record[:4]) != "FILE" || le.Uint32(record[44:]) < 24 {
		return nil
	}
	for a := int(le.Uint16(record[20:])); a+64 < len(record) && le.Uint32(record[a:]) != 1<<32-1; {
		length := int(le.Uint32(record[a+4:]))
		if length == 0 {
			break
		}
		if le.Uint32(record[a:]) == 0x80 && record[a+8] == 1 && record[a+9] == 0 {
			at = append(at, a)
		}
		a += length
	}
	return at
}
