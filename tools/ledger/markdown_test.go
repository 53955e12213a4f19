package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

func TestProseIsShownAsItIsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"Then: Get-AppxPackage -Name 'a.*' | Remove-AppxPackage -Package $_.Full":           "Then: `Get-AppxPackage -Name 'a.*' | Remove-AppxPackage -Package $_.Full`",
		"reg add HKLM\\A /v B /f, then restart":                                             "`reg add HKLM\\A /v B /f`, then restart",
		"sc config x start= auto and sc start x: it goes on":                                "`sc config x start= auto` and `sc start x`: it goes on",
		"(Stop-Process -Id <pid> -Force) or not":                                            "(`Stop-Process -Id <pid> -Force`) or not",
		"Add-AppxPackage -Path <its file, from C:\\W> -SkipLicense; and":                    "`Add-AppxPackage -Path <its file, from C:\\W> -SkipLicense`; and",
		"lint <file>, extra_arguments, C:\\W\\*.mof and HKLM\\{key}, {a|b}, [c], $_ and 5*": "lint &lt;file&gt;, extra_arguments, C:\\W\\\\\\*.mof and HKLM\\\\{key}, {a\\|b}, \\[c\\], \\$\\_ and 5\\*",
	} {
		if got := prose(text); got != want {
			t.Errorf("%s\nis  %s\nnot %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"the port": "The port", "sysprep refused": "sysprep refused", "sysprep.exe is": "sysprep.exe is", "EFS is": "EFS is", `C:\a b`: `C:\a b`} {
		if got := sentence(text); got != want {
			t.Errorf("%s is %s", text, got)
		}
	}
}

// Every cause has a section of its own, with what shows it, what to do, and its source.
func TestThePageOfCausesHasAllOfThem(t *testing.T) {
	page := causesPage()
	sections := strings.Split(page, "\n### ")[1:]
	for _, e := range diagnosis.Entries() {
		i := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, e.ID+" "+e.Name+"\n") })
		if i < 0 {
			t.Errorf("%s has no section", e.ID)
			continue
		}
		for _, want := range []string{"\n1. ", fmt.Sprintf("\n%d. ", len(e.Remedy)), "\nSource: " + address(e.Source)} {
			if !strings.Contains(sections[i], want) {
				t.Errorf("%s has no %q:\n%s", e.ID, want, sections[i])
			}
		}
		if !strings.Contains(sections[i], "Shown by") && !strings.Contains(sections[i], "No line of a log") && !strings.Contains(sections[i], "Nothing looks for it") {
			t.Errorf("%s: it is not said what shows it:\n%s", e.ID, sections[i])
		}
		if strings.Contains(sections[i], "certain") != e.Unconfirmed {
			t.Errorf("%s: unconfirmed is %v:\n%s", e.ID, e.Unconfirmed, sections[i])
		}
		if n := strings.Count(page, "](#"+anchor(e)+")"); n != 1 {
			t.Errorf("%s stands in the tables %d times", e.ID, n)
		}
	}
}

// Every assertion is on its page, and rests on beliefs that there are.
func TestThePageOfAssertionsHasAllOfThem(t *testing.T) {
	page := assertionsPage()
	for _, a := range winimage.Assertions() {
		_, section, found := strings.Cut(page, "\n## "+a.ID+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !found || !strings.Contains(section, "**Severity:** "+string(a.Severity)) || !strings.Contains(section, "**Expected:** ") || !strings.Contains(section, "**Otherwise:** ") {
			t.Errorf("%s: %s", a.ID, section)
		}
		for _, id := range a.Beliefs {
			if !slices.ContainsFunc(windows.Beliefs, func(b windows.Belief) bool { return b.ID == id }) || !strings.Contains(section, "["+id+"](windows.md#"+id+")") {
				t.Errorf("%s rests on %s", a.ID, id)
			}
		}
	}
	for _, name := range target.Names() {
		for _, r := range target.Rules(target.Target(name)) {
			if !strings.Contains(page, "\n| `"+r.ID+"` | ") {
				t.Errorf("%s has no row", r.ID)
			}
		}
	}
}

func TestAPatternIsSplitWhereItHasAlternatives(t *testing.T) {
	for pattern, want := range map[string]string{
		`a|b`: "a\nb", `(?P<x>a|b)c|d`: "(a|b)c\nd", `[|)]a|\|b`: "[|)]a\n\\|b", `a`: "a", `(a(b|c))|[^\]|]`: "(a(b|c))\n[^\\]|]",
	} {
		if got := strings.Join(alternatives(pattern), "\n"); got != want {
			t.Errorf("%s is %q", pattern, got)
		}
	}
}
