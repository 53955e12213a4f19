package answerfile

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

const head = `<unattend xmlns="` + Namespace + `">`

func TestATagOfManyAttributesIsRefusedBeforeItIsDecoded(t *testing.T) {
	bomb := `<!-- <a b="c"> --><?x y="z"?>` + "\n" + strings.TrimSuffix(head, ">") + strings.Repeat(` a=">"`, 600_000) + `/>`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Parse([]byte(bomb))
	runtime.ReadMemStats(&after)
	var e *Error
	if !errors.As(err, &e) || e.Rule != ruleLimits || e.Line != 2 {
		t.Errorf("error %v", err)
	}
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 16 {
		t.Errorf("%d MiB were allocated for %d MiB", n, len(bomb)>>20)
	}
}

func TestWhatIsNoTagIsNotCountedAsOne(t *testing.T) {
	many := strings.Repeat(`"a" `, 200)
	for _, text := range []string{
		head + `<!-- ` + many + ` --></unattend>`, head + `<settings pass="specialize"><component name="x">` + many + `</component></settings></unattend>`,
		head + `<settings pass="specialize"><component name="x"><![CDATA[<a ` + many + `>]]></component></settings></unattend>`,
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// The paths of settings are kept for every setting: those that are long and
// deep are cut.
func TestDeepPathsOfLongNamesAreBounded(t *testing.T) {
	name := strings.Repeat("n", 120)
	text := head + `<settings pass="specialize"><component name="c">` + strings.Repeat("<"+name+">", 25) +
		strings.Repeat("<xPassword>secret</xPassword>", 1000) + strings.Repeat("</"+name+">", 25) + `</component></settings></unattend>`
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	places := SecretSettings(f)
	if len(places) != 1000 {
		t.Fatalf("%d secrets are found, want 1000", len(places))
	}
	for _, p := range places {
		if len(p) > 2*maxPath || strings.Contains(p, "secret") {
			t.Fatalf("%d bytes: %.100s", len(p), p)
		}
	}
}

// A file of a mistake in each of its thousands of lines gets as many findings
// as somebody reads, and the worst of the rest counts.
func TestFindingsAreBounded(t *testing.T) {
	text := head + `<settings pass="specialize"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64">` +
		strings.Repeat("<ComputerName>a name that is far too long</ComputerName>", 19_000) + `</component></settings></unattend>`
	report := Lint([]byte(text), Context{})
	last := report[len(report)-1]
	if n := len(report); n != maxFindings+1 || last.ID != ruleLimits || last.Severity != finding.Fail {
		t.Errorf("%d findings, the last is %+v", n, last)
	}
}
