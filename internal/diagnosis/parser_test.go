package diagnosis

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func utf16leBytes(s string, mark bool) []byte {
	var b []byte
	if mark {
		b = []byte{0xFF, 0xFE}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func TestALineIsTakenApart(t *testing.T) {
	at := time.Date(2021, 8, 30, 11, 24, 24, 0, time.UTC)
	for name, test := range map[string]struct {
		text string
		want Line
	}{
		"with code and last error": {
			"2021-08-30 11:24:24, Error      [0x0f0070] SYSPRP RunExternalDlls:An error occurred, halting sysprep execution. dwRet = 0x2[gle=0x00000006]",
			Line{Time: at, Level: Error, Code: 0x0f0070, Component: "SYSPRP", Message: "RunExternalDlls:An error occurred, halting sysprep execution. dwRet = 0x2", GLE: "0x00000006"},
		},
		"without code": {
			"2021-08-30 11:24:24, Warning               SYSPRP WinMain: File operations pending",
			Line{Time: at, Level: Warning, Component: "SYSPRP", Message: "WinMain: File operations pending"},
		},
		"without component": {
			"2021-08-30 11:24:24, Info                         [setup.exe] OrchestrateUpdateImageState: Updating",
			Line{Time: at, Level: Info, Message: "[setup.exe] OrchestrateUpdateImageState: Updating"},
		},
		"of the servicing stack": {
			"2021-08-30 11:24:24, Info                  CSI    00000001 Shim considered",
			Line{Time: at, Level: Info, Component: "CSI", Message: "00000001 Shim considered"},
		},
		"as a log viewer exports it": {
			"08-30-2021 11:24:24.000 SYSPRP 983152 (0xf0070) RunDlls:An error occurred",
			Line{Time: at, Code: 0xf0070, Component: "SYSPRP", Message: "RunDlls:An error occurred"},
		},
		"without time, as documents print it": {
			"Error [0x0f0082] SYSPRP LaunchDll: Failure",
			Line{Level: Error, Code: 0x0f0082, Component: "SYSPRP", Message: "LaunchDll: Failure"},
		},
		"without time, of a program": {
			"Error [Shell Unattend] CopyProfile failed (0x80070003) [gle=0x00000003]",
			Line{Level: Error, Message: "[Shell Unattend] CopyProfile failed (0x80070003)", GLE: "0x00000003"},
		},
		"with placeholders for the time": {
			"<Date> <Time>, Error SYSPRP Exit code",
			Line{Level: Error, Component: "SYSPRP", Message: "Exit code"},
		},
		"with an impossible time": {
			"2021-99-30 11:24:24, Info                  SYSPRP x",
			Line{Level: Info, Component: "SYSPRP", Message: "x"},
		},
		"without level": {
			"SYSPRP WinMain: x; GLE = 0x0",
			Line{Component: "SYSPRP", Message: "WinMain: x; GLE = 0x0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.Raw = test.text
			got := Parse([]byte(test.text + "\r\n"))
			if len(got) != 1 || !reflect.DeepEqual(got[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

const twoLines = "2024-01-02 03:04:05, Error                 SYSPRP café one\r\n" +
	"   continued\r\n\r\ngle=0x00000001\r\n" +
	"2024-01-02 03:04:06, Info                  SYSPRP two €\r\n"

func TestEveryEncodingInPiecesOfEverySizeGivesTheSameLines(t *testing.T) {
	want := Parse([]byte(twoLines))
	if len(want) != 2 || want[0].Message != "café one continued" || want[0].GLE != "0x00000001" || want[1].Message != "two €" {
		t.Fatalf("UTF-8: %+v", want)
	}
	if !strings.HasSuffix(want[0].Raw, "café one\n   continued\ngle=0x00000001") {
		t.Errorf("raw text lost: %q", want[0].Raw)
	}
	for name, b := range map[string][]byte{
		"UTF-8":                     []byte(twoLines),
		"UTF-8 with mark":           []byte("\uFEFF" + twoLines),
		"UTF-8, LF only":            []byte(strings.ReplaceAll(twoLines, "\r", "")),
		"UTF-16LE with mark":        utf16leBytes(twoLines, true),
		"UTF-16LE without mark":     utf16leBytes(twoLines, false),
		"Windows-1252":              []byte(strings.NewReplacer("é", "\xe9", "€", "\x80").Replace(twoLines)),
		"mark of an appended run":   []byte(strings.Replace(twoLines, "2024-01-02 03:04:06", "\uFEFF2024-01-02 03:04:06", 1)),
		"last line without an end":  []byte(strings.TrimSuffix(twoLines, "\r\n")),
		"UTF-16LE, end cut in half": utf16leBytes(twoLines, true)[:2*len(utf16.Encode([]rune(twoLines)))+1],
	} {
		for _, size := range []int{1, 2, 3, 7, 64, len(b)} {
			var p Parser
			var got []Line
			for rest := b; len(rest) > 0; {
				n := min(size, len(rest))
				got = append(got, p.Feed(rest[:n])...)
				rest = rest[n:]
			}
			got = append(got, p.Flush()...)
			if strings.HasPrefix(name, "mark") {
				got[1].Raw = strings.TrimPrefix(got[1].Raw, "\uFEFF")
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s in pieces of %d: got %+v", name, size, got)
			}
		}
	}
}

func TestHalfALineIsHeldBack(t *testing.T) {
	var p Parser
	if got := p.Feed([]byte("2024-01-02 03:04:05, Info   SYSPRP half")); got != nil {
		t.Fatalf("half a line came out: %+v", got)
	}
	if got := p.Feed([]byte(" a line\r\n")); got != nil {
		t.Fatalf("a line that may be continued came out: %+v", got)
	}
	got := p.Feed([]byte("2024-01-02 03:04:05, Info   SYSPRP next\r\n"))
	if len(got) != 1 || got[0].Message != "half a line" {
		t.Fatalf("got %+v", got)
	}
	if got = p.Flush(); len(got) != 1 || got[0].Message != "next" {
		t.Fatalf("flush gave %+v", got)
	}
	if got = p.Flush(); got != nil {
		t.Fatalf("second flush gave %+v", got)
	}
}

func TestLineLengthAndControlCharactersAreBounded(t *testing.T) {
	long := "2024-01-02 03:04:05, Info   SYSPRP " + strings.Repeat("é", maxLine) + "\n" + strings.Repeat("continued\n", maxLine)
	got := Parse([]byte(long + "2024-01-02 03:04:06, Info   SYSPRP \x1b[31mred\x00\n"))
	if len(got) != 2 || len(got[0].Raw) > 2*maxLine || strings.ContainsRune(got[0].Message, 'Ã') {
		t.Fatalf("%d lines, first has %d bytes", len(got), len(got[0].Raw))
	}
	if strings.ContainsAny(got[1].Raw, "\x1b\x00") {
		t.Errorf("control characters came through: %q", got[1].Raw)
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte(twoLines), 3)
	f.Add([]byte("\uFEFF"+twoLines), 5)
	f.Add(utf16leBytes(twoLines, true), 1)
	f.Add(utf16leBytes(twoLines, false), 7)
	f.Add([]byte("\xff\xfe\n"), 1)
	f.Add([]byte(refusedRun), 100)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		whole := Parse(b)
		if size <= 0 || size > len(b) {
			return
		}
		var tr Tracker
		var pieces []Line
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			pieces = append(pieces, tr.Feed(rest[:n])...)
			rest = rest[n:]
		}
		pieces = append(pieces, tr.Flush()...)
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("pieces of %d differ:\n%+v\n%+v", size, pieces, whole)
		}
		if runs := Split(whole); len(runs) > 0 && !reflect.DeepEqual(runs[len(runs)-1].Progress, tr.Progress()) {
			t.Fatalf("tracker says %+v, Split %+v", tr.Progress(), runs[len(runs)-1].Progress)
		}
		for _, l := range whole {
			if len(l.Raw) > 4*maxLine {
				t.Fatalf("line of %d bytes", len(l.Raw))
			}
			Milestone(l)
		}
		Diagnose(tr.Run())
	})
}
