package ntfs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// restartPage is the first page of a $LogFile with the given client list and
// flags, sealed by its fixup.
func restartPage(lsn uint64, inUse, flags, major uint16) []byte {
	b := make([]byte, 4096)
	copy(b, "RSTR")
	le.PutUint16(b[4:], 30)
	le.PutUint16(b[6:], 9)
	le.PutUint32(b[16:], 4096)
	le.PutUint32(b[20:], 4096)
	le.PutUint16(b[24:], 48)
	le.PutUint16(b[28:], major)
	le.PutUint64(b[48:], lsn)
	le.PutUint16(b[48+12:], inUse)
	le.PutUint16(b[48+14:], flags)
	b[30] = 7
	for i := 512; i <= len(b); i += 512 {
		b[i-2], b[i-1] = 7, 0
	}
	return b
}

func TestLogFileSaysWhetherWindowsDismounted(t *testing.T) {
	image := fixture(t)
	v := openBytes(t, image)
	f, err := v.find("$LogFile")
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.open("")
	if err != nil {
		t.Fatal(err)
	}
	at := s.runs[0].LCN * v.cluster
	for _, c := range []struct {
		name  string
		pages [][]byte
		clean bool
		says  string
	}{
		{"no client", [][]byte{restartPage(5, 0xffff, 0, 1), restartPage(5, 0xffff, 0, 1)}, true, ""},
		{"clean dismount", [][]byte{restartPage(5, 0, 2, 1), restartPage(5, 0, 2, 1)}, true, ""},
		{"still mounted", [][]byte{restartPage(5, 0, 0, 2), restartPage(4, 0xffff, 0, 1)}, false, ""},
		{"the newer page counts", [][]byte{restartPage(5, 0xffff, 0, 1), restartPage(6, 0, 0, 1)}, false, ""},
		{"not a log", [][]byte{bytes.Repeat([]byte{1}, 4096)}, false, "signature"},
	} {
		b := bytes.Clone(image)
		for i, p := range c.pages {
			copy(b[at+int64(i)*4096:], p)
		}
		v := openBytes(t, b)
		got, err := v.LogClean()
		if c.says != "" {
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || got != c.clean {
			t.Errorf("%s: clean %v, %v", c.name, got, err)
		}
		if _, err := v.FreeMap(t.Context()); got != (err == nil) || !got && !errors.Is(err, ErrUnsettled) {
			t.Errorf("%s: map of free clusters: %v", c.name, err)
		}
	}
}

func TestHibernationIsReadFromItsHeader(t *testing.T) {
	mkntfs, ntfscp := testutil.Tool(t, "mkntfs"), testutil.Tool(t, "ntfscp")
	for _, c := range []struct {
		header string
		want   Hibernation
	}{
		{"HIBR", HibernationActive}, {"hibr", HibernationActive}, {"RSTR", HibernationActive},
		{"WAKE", HibernationResumed}, {"\x00\x00", HibernationNone}, {"what", HibernationUnknown},
	} {
		dir := t.TempDir()
		file, image := filepath.Join(dir, "file"), filepath.Join(dir, "image")
		content := append([]byte(c.header), make([]byte, 8192)...)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(image, make([]byte, 4<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, run := range [][]string{
			{mkntfs, "-F", "-Q", "-q", "-s", "512", "-p", "0", "-H", "16", "-S", "63", image},
			{ntfscp, "-f", image, file, "hiberfil.sys"},
		} {
			if out, err := exec.Command(run[0], run[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", run[0], err, out)
			}
		}
		b, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		v := openBytes(t, b)
		if got, err := v.Hibernation(); err != nil || got != c.want {
			t.Errorf("%q: %s, %v", c.header, got, err)
		}
		unsettled := c.want == HibernationActive || c.want == HibernationUnknown
		if _, err := v.FreeMap(t.Context()); errors.Is(err, ErrUnsettled) != unsettled {
			t.Errorf("%q: map of free clusters: %v", c.header, err)
		}
	}
}

func TestReparsePointsThatAreNotContentAreTold(t *testing.T) {
	for _, c := range []struct {
		name string
		path string
		set  func(reparse []byte)
		says string
	}{
		{"a WIM elsewhere", "wof/lzx", func(b []byte) { b[12] = 1 }, "WOF provider 1"},
		{"deduplicated", "wof/lzx", func(b []byte) { b[0] = 0x13 }, "tag 0x80000013"},
		{"an unknown algorithm", "wof/lzx", func(b []byte) { b[20] = 9 }, "WOF algorithm 9"},
	} {
		image := fixture(t)
		f, err := openBytes(t, image).find(c.path)
		if err != nil {
			t.Fatal(err)
		}
		patchRecord(t, image, f.rec.number, func(r []byte) { c.set(residentValue(r, kindReparsePoint)) })
		if _, err := fs.ReadFile(openBytes(t, image).FS(), c.path); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPathsThroughLinksAreNotFollowed(t *testing.T) {
	image := fixture(t)
	f, err := openBytes(t, image).find("wof")
	if err != nil {
		t.Fatal(err)
	}
	// Append the reparse point of a junction to the directory's record.
	patchRecord(t, image, f.rec.number, func(r []byte) {
		for off := int(le.Uint16(r[20:])); ; off += int(le.Uint32(r[off+4:])) {
			if a := r[off:]; le.Uint32(a) == kindEnd {
				value := []byte{3, 0, 0, 0xa0, 0, 0, 0, 0}
				le.PutUint32(a, kindReparsePoint)
				clear(a[4:32])
				le.PutUint32(a[4:], 32)
				a[14] = 99
				le.PutUint32(a[16:], uint32(len(value)))
				le.PutUint16(a[20:], 24)
				copy(a[24:], value)
				le.PutUint32(a[32:], kindEnd)
				le.PutUint32(r[24:], uint32(off+40))
				return
			}
		}
	})
	v := openBytes(t, image)
	if _, err := v.find("wof/lzx"); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "link") {
		t.Error(err)
	}
	if _, err := v.find("wof"); err != nil {
		t.Errorf("the link itself: %v", err)
	}
}
