package diagnosis

import (
	"slices"
	"strings"
	"testing"
)

// Every pattern of the catalogue has a text that lines without it are told by.
func TestEveryPatternIsTriedOnlyWhereItCanMatch(t *testing.T) {
	patterns := []pattern{launchModule, launchDll, anyPackage, executing}
	for _, f := range noise {
		patterns = append(patterns, f.pattern)
	}
	for _, m := range milestones {
		patterns = append(patterns, m.re)
	}
	for _, c := range catalogue() {
		for _, p := range []*pattern{c.re, c.weakly} {
			if p != nil {
				patterns = append(patterns, *p)
			}
		}
	}
	for _, p := range patterns {
		if shortest(p.needs()) < 4 {
			t.Errorf("%s: needs %q", p.String(), p.needs())
		}
	}
}

func TestWhatAPatternNeeds(t *testing.T) {
	for text, want := range map[string][]string{
		`Abc`: {"abc"}, `(?:abcd|Bef)g`: {"abcd", "bef"}, `abcd|.*`: nil, `(abcd)+x?`: {"abcd"}, `(?:abcd)*`: nil, `x{2,3}`: {"x"},
	} {
		if p := compile(text); !slices.Equal(p.needs(), want) {
			t.Errorf("%s: needs %q, want %q", text, p.needs(), want)
		}
	}
}

// hostile is a log of n lines, each as long as a line may be and as near to
// the catalogue's causes as a line can come.
func hostile(n int) []byte {
	var near strings.Builder
	for _, c := range catalogue() {
		if c.re != nil && len(c.re.needs()) > 0 {
			near.WriteString(c.re.needs()[0] + " ")
		}
	}
	line := "2026-11-23 12:00:00, Error                 SYSPRP " + strings.Repeat(near.String(), maxLine/near.Len()) + "\r\n"
	banner := "2026-11-23 12:00:00, Info                  SYSPRP ===          Beginning of a new sysprep run          ===\r\n"
	return []byte(banner + strings.Repeat(line, n))
}

func TestRegularExpressionsReadABoundedPartOfALog(t *testing.T) {
	run := Split(Parse(hostile(400)))[0]
	a := analyse(run)
	a.find()
	a.findWeak(weak)
	a.findWeak(notice)
	if a.left < 0 {
		t.Errorf("%d bytes more than allowed were read", -a.left)
	}
	d, ok := Diagnose(run)
	if !ok {
		return
	}
	for _, text := range append(append(d.Evidence, d.Summary), d.Remedy...) {
		if len(text) > 2*maxShown {
			t.Errorf("a text of %d bytes would be shown", len(text))
		}
	}
}

func TestALongLineIsHeldAgainstTheCatalogueByItsBeginning(t *testing.T) {
	const cause = "Package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe was installed for a user, but not provisioned for all users."
	line := func(message string) []byte {
		return []byte("2026-11-23 12:00:00, Error                 SYSPRP " + message + "\r\n")
	}
	pad := strings.Repeat("x", maxMatch)
	if d, ok := Diagnose(Split(Parse(line(cause + pad)))[0]); !ok || d.ID == "F00" {
		t.Errorf("the beginning of a long line is not searched: %+v", d)
	}
	if d, ok := Diagnose(Split(Parse(line(pad + cause)))[0]); ok {
		t.Errorf("what lies behind %d bytes is searched: %+v", maxMatch, d)
	}
}

// The text that is kept of a run is bounded, however long its lines are and
// whatever they continue.
func TestTheLinesOfARunAreBoundedInBytes(t *testing.T) {
	const begin = "2026-11-23 12:00:00, Error SYSPRP x\n"
	for name, text := range map[string]string{
		"lines of 16 KiB":         strings.Repeat("2026-11-23 12:00:00, Error SYSPRP "+strings.Repeat("y", maxLine)+"\n", 400),
		"lines that go on":        strings.Repeat(begin+strings.Repeat("c\n", maxLine/2), 400),
		"NULs":                    strings.Repeat(begin+strings.Repeat("\x00", maxLine)+"\n", 400),
		"one line without an end": begin + strings.Repeat("z", 8<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			for piece := range slices.Chunk([]byte(text), 64<<10) {
				tracker.Feed(piece)
			}
			run := tracker.Run()
			if size := sizeOf(run.Lines); size > maxKeptBytes+maxLine {
				t.Errorf("%d bytes are kept in %d lines", size, len(run.Lines))
			}
			for _, l := range run.Lines {
				if len(l.Raw) > maxLine || len(l.Message) > maxLine {
					t.Fatalf("a line of %d bytes", len(l.Raw))
				}
			}
		})
	}
}
