package diagnosis

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// The same log is the same whatever its bytes are.
func TestALogIsReadInAllEncodingsOfWindows(t *testing.T) {
	want := Parse([]byte(refusedRun))
	utf8Form := func(text string) []byte { return []byte(text) }
	for name, log := range map[string][]byte{
		"UTF-8 with a mark":    utf8Form("\ufeff" + refusedRun),
		"LF":                   utf8Form(strings.ReplaceAll(refusedRun, "\r\n", "\n")),
		"CR":                   utf8Form(strings.ReplaceAll(refusedRun, "\r\n", "\r")),
		"CR CR LF":             utf8Form(strings.ReplaceAll(refusedRun, "\r\n", "\r\r\n")),
		"UTF-16":               inUTF16(refusedRun, 0),
		"UTF-16 big-endian":    inUTF16(refusedRun, 1),
		"UTF-16 without mark":  inUTF16(refusedRun, 0)[2:],
		"UTF-16 BE, no mark":   inUTF16(refusedRun, 1)[2:],
		"UTF-16 with CR only":  inUTF16(strings.ReplaceAll(refusedRun, "\r\n", "\r"), 0),
		"a tail of NULs":       utf8Form(refusedRun + strings.Repeat("\x00", 4096)),
		"UTF-16, tail of NULs": append(inUTF16(refusedRun, 0), make([]byte, 4096)...),
		"NULs, then more": utf8Form(strings.Replace(refusedRun, "\r\n2025-07-22 21:00:05", "\r\n"+strings.Repeat("\x00", 100)+
			"2025-07-22 21:00:05", 1)),
	} {
		for _, size := range []int{1, 2, 3, 1 << 20} {
			var p Parser
			var got []Line
			for piece := range slices.Chunk(log, size) {
				got = append(got, p.Feed(piece)...)
			}
			got = append(got, p.Flush()...)
			if !slices.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("%s in pieces of %d: %d lines, want %d; line %d is %q", name, size, len(got), len(want), at, got[min(at, len(got)-1)].Raw)
				break
			}
		}
	}
}

func TestAnANSILogIsReadInTheCodePageOfTheGuest(t *testing.T) {
	japaneseText, err := japanese.ShiftJIS.NewEncoder().String("設定が見つかりません。")
	if err != nil {
		t.Fatal(err)
	}
	russianText, err := charmap.Windows1251.NewEncoder().String("Параметр не определён.")
	if err != nil {
		t.Fatal(err)
	}
	for locale, test := range map[string]struct{ bytes, text string }{
		"ja-JP": {japaneseText, "設定が見つかりません。"},
		"ru-RU": {russianText, "Параметр не определён."},
		"de-DE": {"nicht g\xfcltig", "nicht gültig"},
		"":      {"nicht g\xfcltig", "nicht gültig"},
	} {
		var p Parser
		if locale != "" {
			page, err := CodePage(locale)
			if err != nil {
				t.Fatal(err)
			}
			p.SetCodePage(page)
		}
		p.Feed([]byte("2025-01-02 03:04:05, Error                 SYSPRP SMI data results dump: Description = " + test.bytes + "\r\n"))
		if lines := p.Flush(); len(lines) != 1 || !strings.HasSuffix(lines[0].Message, test.text) {
			t.Errorf("%s: %q", locale, lines)
		}
	}
}

func TestTheCodePageOfALocale(t *testing.T) {
	for text, want := range map[string]int{"ja-JP": 932, "zh-CN": 936, "zh-TW": 950, "zh-Hant-TW": 950, "zh_HK": 950, "ko-KR": 949, "ru": 1251, "sr-Cyrl-RS": 1251, "sr-Latn-RS": 1250,
		"en-US": 1252, "1251": 1251, "cp932": 932, "tr-TR": 1254, "th-TH": 874} {
		if got, err := CodePage(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "65001", "x", "english", "C:\\"} {
		if got, err := CodePage(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// The clock of a machine that finds its time server jumps, back as well.
func TestClocksThatJumpChangeNothing(t *testing.T) {
	jump := strings.ReplaceAll(refusedRun, "2025-07-22 21:00:1", "2019-01-01 00:00:1")
	runs := Split(Parse([]byte(jump)))
	d, ok := Diagnose(runs[0])
	if len(runs) != 1 || !ok || d.ID != "F06" {
		t.Errorf("%d runs, %s", len(runs), d.ID)
	}
	open := stamp(append(slices.Clone(opening), `Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'X' from C:\Windows\System32\x.dll`)...)
	p := Split(Parse([]byte(strings.ReplaceAll(open, "21:00:13", "23:00:13"))))[0].Progress
	if want := time.Date(2025, 7, 22, 23, 0, 13, 0, time.UTC); !p.Working.Since.Equal(want) || !p.Last.Equal(want) {
		t.Errorf("%+v", p)
	}
}

// The forms that are read without a regular expression are those it reads.
func TestALineIsReadTheSameWithoutARegularExpression(t *testing.T) {
	for _, text := range []string{
		"2025-07-22 21:55:35, Info       [0x0f004d] SYSPRP The time is now", "2025-07-22 21:55:35, Error                 SYSPRP x[gle=0x00000006]",
		"2025-07-22 21:55:35, Error                        [setup.exe] y", "2025-07-22 21:55:35, Info                  CSI    00000001 Shim", "2025-07-22 21:55:35, Warning               SYSPRP ",
		"2025-07-22 21:55:35.123, Info SYSPRP z", "2025-02-30 21:55:35, Info SYSPRP z", "2025-07-22 21:55:35, Information SYSPRP", "2025-07-22 21:55:35,", "2025-07-22 21:55:35, Error [0x0g] SYSPRP",
	} {
		l, ok := timed(text)
		if !ok {
			continue
		}
		m := timedLine.FindStringSubmatch(text)
		var want Line
		want.set("2006-01-02 15:04:05", m[1], m[2], m[3], m[4], m[5])
		want.Raw = text
		if l != want {
			t.Errorf("%q: %+v, want %+v", text, l, want)
		}
	}
	if _, ok := timed("2025-07-22 21:55:35, Info       [0x0f004d] SYSPRP The time is now"); !ok {
		t.Error("the usual form is left to the regular expression")
	}
}

// A program that joins the lines of a log into one makes it longer than a line may
// be, in whatever encoding; no line of it is lost.
func TestALongLineOfManyLinesIsTakenApartInEachEncoding(t *testing.T) {
	joined := strings.Repeat("2025-07-22 21:00:00, Info                  SYSPRP ActionPlatform::GetValue: é a line before ", 600) + strings.ReplaceAll(refusedRun, "\r\n", " ")
	for name, log := range map[string][]byte{
		"UTF-8": []byte(joined), "UTF-16": inUTF16(joined, 0), "UTF-16 big-endian": inUTF16(joined, 1), "UTF-16 without mark": inUTF16(joined, 0)[2:],
		"UTF-16 with half a character": inUTF16(strings.Replace(joined, "é", "\U0001F600", 300), 0),
	} {
		found := Collect([]Log{ReadLog("setupact.log", log)})
		if found.Outcome != Failed || found.Diagnosis.ID != "F06" {
			t.Errorf("%s: %s, %d lines", name, found.Outcome, found.Log.Run.Progress.Lines)
		}
		// In pieces it is the same.
		var p Parser
		var lines []Line
		for rest := log; len(rest) > 0; {
			n := min(999, len(rest))
			lines = append(lines, p.Feed(rest[:n])...)
			rest = rest[n:]
		}
		lines = append(lines, p.Flush()...)
		if whole := Parse(log); !reflect.DeepEqual(lines, whole) || len(whole) < 600 {
			t.Errorf("%s: %d lines in pieces, %d at once", name, len(lines), len(whole))
		}
	}
}
