package diagnosis

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// seeds are whole logs of the simulated guest, and in all encodings that Windows
// has; real logs beside the project are added where they are there.
func seeds(f *testing.F) {
	f.Helper()
	for _, failure := range setuplog.All() {
		f.Add([]byte(wholeLog(failure)), 7)
	}
	for _, messages := range samples {
		for _, m := range messages {
			f.Add([]byte("2025-01-02 03:04:05, Error                 SYSPRP "+m+"\r\n"), 64)
		}
	}
	f.Add(inUTF16(refusedRun, 0), 3)
	f.Add(inUTF16(refusedRun, 1), 3)
	f.Add([]byte(strings.ReplaceAll(goodRun, "\r\n", "\r")), 1)
	f.Add([]byte(goodRun+strings.Repeat("\x00", 512)), 100)
	f.Add([]byte("[setup.exe] \x81\x40 \xff\xfe\r\n<Date> <Time>, Error x"), 2)
	for _, pattern := range []string{"corpus/logs/*.log", "cases/sysprep/*.log"} {
		files, _ := filepath.Glob(filepath.Join("../../../shared", pattern))
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil {
				f.Add(b, 61)
			}
		}
	}
}

// inUTF16 is a text with its mark; low is the place of the low byte.
func inUTF16(text string, low int) []byte {
	var b []byte
	for _, u := range append([]uint16{0xFEFF}, utf16.Encode([]rune(text))...) {
		unit := []byte{byte(u), byte(u >> 8)}
		if low == 1 {
			slices.Reverse(unit)
		}
		b = append(b, unit...)
	}
	return b
}

// Whatever the bytes are and however they arrive: the same lines come out, and
// what is said of them is bounded and printable.
func FuzzDiagnose(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, log []byte, piece int) {
		if len(log) > 1<<20 {
			return
		}
		whole := Parse(log)
		var p Parser
		var parts []Line
		for chunk := range slices.Chunk(log, max(1, min(piece, 1<<16))) {
			parts = append(parts, p.Feed(chunk)...)
		}
		parts = append(parts, p.Flush()...)
		if !slices.Equal(whole, parts) {
			t.Fatalf("%d lines in one piece, %d in pieces of %d", len(whole), len(parts), piece)
		}
		for _, run := range Split(whole) {
			for _, judge := range []func() (Diagnosis, bool){func() (Diagnosis, bool) { return Diagnose(run) }, func() (Diagnosis, bool) { return Hang(run.Progress) }} {
				d, ok := judge()
				if !ok {
					continue
				}
				if d.ID == "" || d.Summary == "" || d.Phase == "" || len(d.Remedy) == 0 {
					t.Fatalf("%+v", d)
				}
				for _, text := range append(append([]string{d.Summary, d.Note}, d.Remedy...), d.Evidence...) {
					if len(text) > 4*maxShown+maxEvidence*maxName || strings.ContainsAny(text, "\x00\x1b\r") {
						t.Fatalf("shown: %q", text)
					}
				}
			}
		}
	})
}

func FuzzCodePages(f *testing.F) {
	for _, text := range []string{"ja-JP", "ru", "zh-Hant-TW", "1252", "cp932", "x", "65001", "-"} {
		f.Add(text, []byte("\x83\x65\x83\x58\x83\x67"))
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		page, err := CodePage(name)
		if err != nil {
			return
		}
		if codePages[page] == nil {
			t.Fatalf("%s: %d", name, page)
		}
		var p Parser
		p.SetCodePage(page)
		p.Feed(text)
		for _, l := range p.Flush() {
			if len(l.Raw) > maxLine {
				t.Fatal("a line is too long")
			}
		}
	})
}
