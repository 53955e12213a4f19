package winimage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Expectation is what an image is held against.
type Expectation struct {
	// Audit: the image must come up in audit mode instead of OOBE.
	Audit bool
	// Source is what the disk that the build started from had; nil where that is
	// not known, and then a tag that came with the source passes.
	Source *Source
	// VMMode says whether /mode:vm was used; nil: not asked.
	VMMode *bool
	// AnswerFile: /unattend was used. Without it an earlier answer file, of the
	// installation, may be cached all the same.
	AnswerFile bool
	// Run is the id of the sysprep run of this build: part of the name of what it
	// brought (footprint); empty where that is not known.
	Run string
	// Partition is that of the one installation that is judged; 0: every one on
	// the disk is, as each has to be generalized.
	Partition int
	// Severities replaces the severity of assertions, but that of windows.
	Severities finding.Overrides
}

// Source is what is known of the disk that a build started from.
type Source struct {
	// Tag is nil where the source had none.
	Tag *File
}

// rule is one line of the table of assertions. check returns what was
// expected, what was found and whether it holds.
type rule struct {
	id, title string
	severity  finding.Severity
	basis     basis // none: the assertion is about what could be read
	remedy    []string
	check     func(w *Windows, r *Facts, e Expectation) result
}

// basis is what an assertion rests on: beliefs by their id, or pages.
type basis struct {
	beliefs []string
	pages   []string
}

func believed(ids ...string) basis { return basis{beliefs: ids} }

func onPage(address string) basis { return basis{pages: []string{address}} }

// cite says where to read it. It is unconfirmed where a belief is reported only,
// or unproven.
func (b basis) cite() (source string, unconfirmed bool) {
	sources := b.pages
	for _, belief := range windows.Beliefs {
		if !slices.Contains(b.beliefs, belief.ID) {
			continue
		}
		unconfirmed = unconfirmed || belief.Standing == windows.Reported || belief.Standing == windows.Unproven
		for _, source := range strings.Split(belief.Source, "; ") {
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
	}
	return strings.Join(sources, "; "), unconfirmed
}

type result struct {
	expected, found string
	ok              bool
	note            string
	// remedy replaces that of the rule.
	remedy []string
	// unasked: nothing is expected, so nothing is asserted.
	unasked bool
}

const (
	// WindowsID is the assertion that all others rest on.
	WindowsID = "windows"
	limitsID  = "limits"
	notRead   = "not read"
	// shadowCopies names them among what was not read.
	shadowCopies = "shadow copies"
)

var (
	rerun    = []string{"run sysprep /generalize again on a fresh copy of the source"}
	booted   = []string{"this image was booted and failed at its first boot: correct the cause below in the source machine or the answer file, and take the image as it was before that boot, or build it again"}
	decrypt  = []string{"decrypt in the guest (manage-bde -off C:) and wait until it is done"}
	damaged  = []string{"copy or download the disk again: a part of it is missing or damaged; where the machine was killed, let it shut down by itself"}
	powerOff = []string{"let the guest shut down by itself (sysprep /shutdown or shutdown /s /t 0) and do not kill the machine"}
)

// AssertionIDs lists every id that Prove knows, for the validation of options.
func AssertionIDs() []string {
	ids := []string{WindowsID}
	for _, r := range rules {
		ids = append(ids, r.id)
	}
	return ids
}

// Prove holds a report against what is expected, and returns every assertion
// that was made. It is a pure function. The image is proven when each of
// severity fail holds. Besides what sysprep leaves it asks what makes a disk fit
// to be believed: hives and a file system that were shut down.
//
// Of several installations each is judged (Microsoft, "Sysprep (Generalize) a
// Windows installation": each has to be generalized), and Where names its
// partition. In which of them this build ran is not known, so nothing is asked
// of any that only a run can tell.
func Prove(r Facts, e Expectation) []finding.Finding {
	r.Windows = e.Judged(r)
	several := len(r.Windows) > 1
	if several {
		e.Source, e.AnswerFile, e.VMMode = nil, false, nil
	}
	var made []finding.Finding
	for _, rule := range rules {
		if slices.Contains(aboutDisk, rule.id) {
			if got := rule.check(nil, &r, e); !got.unasked {
				made = append(made, rule.finding(got))
			}
			continue
		}
		for i := range r.Windows {
			w := &r.Windows[i]
			got := rule.check(w, &r, e)
			if got.unasked {
				continue
			}
			if hive := hiveOf[rule.id]; !got.ok && hive != "" && w.unreadable(hive) {
				got = result{expected: got.expected, found: notRead, remedy: damaged, note: "the registry hive " + hive + " cannot be read"}
			}
			f := rule.finding(got)
			if w.FirstBoot != nil && slices.Equal(f.Remedy, rerun) {
				f.Remedy = booted
			}
			if several {
				f.Where.Path = []string{w.place()}
			}
			made = append(made, f)
		}
	}
	// Whatever is switched off, nothing is proven without a Windows.
	one := oneWindows.finding(oneWindows.check(nil, &r, e))
	marked := func(mark string) bool {
		return len(r.Windows) == 0 && slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, mark) })
	}
	switch {
	case marked(killedMark):
		one.Remedy = powerOff
	case marked(partedMark):
		one.Remedy = damaged
	}
	return append([]finding.Finding{one}, e.Severities.Apply(made)...)
}

// hiveOf is the registry hive that an assertion rests on which asks for what
// generalize leaves there.
var hiveOf = map[string]string{"image-state": "SOFTWARE", "generalization-state": "SYSTEM", "setup-type": "SYSTEM", "setup-command": "SYSTEM"}

// unreadable reports whether nothing could be read of a registry hive, so that
// what it would say is not absent.
func (w *Windows) unreadable(hive string) bool {
	return slices.ContainsFunc(w.Hives, func(h Hive) bool { return h.Name == hive && h.Broken })
}

// Judged are the installations of a disk that are held against the expectation.
func (e Expectation) Judged(r Facts) []Windows {
	if e.Partition == 0 {
		return r.Windows
	}
	return slices.DeleteFunc(slices.Clone(r.Windows), func(w Windows) bool { return w.Partition != e.Partition })
}

// Names are the installations in a few words, each with its partition where
// there are several.
func Names(list []Windows) string {
	var names []string
	for _, w := range list {
		name := w.Describe()
		if len(list) > 1 {
			name += " in " + w.place()
		}
		names = append(names, name)
	}
	return strings.Join(names, " and ")
}

func (w Windows) place() string { return fmt.Sprintf("partition %d", w.Partition) }

func (r rule) finding(got result) finding.Finding {
	f := finding.Finding{
		ID: r.id, Severity: r.severity, Holds: got.ok, Subject: finding.Disk, Summary: r.title,
		Expected: got.expected, Found: got.found, Note: got.note,
	}
	f.Source, f.Unconfirmed = r.basis.cite()
	if !got.ok {
		if f.Remedy = r.remedy; got.remedy != nil {
			f.Remedy = got.remedy
		}
	}
	return f
}

// missed reports whether a fact could not be read, so that its absence says
// nothing.
func (w *Windows) missed(what string) bool { return slices.Contains(w.Unread, what) }

// installations says how many there are, and where, if there are several.
func installations(list []Windows) string {
	var places []string
	for _, w := range list {
		places = append(places, w.place())
	}
	switch len(list) {
	case 0:
		return "none"
	case 1:
		return "1"
	}
	return fmt.Sprintf("%d (%s)", len(list), strings.Join(places, ", "))
}

func because(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return " (" + strings.Join(problems, "; ") + ")"
}

func equal(expected, found string) result {
	return result{expected: expected, found: orAbsent(found), ok: expected == found}
}

func orAbsent(s string) string { return cmp.Or(s, "absent") }

func number(n *uint32) string {
	if n == nil {
		return "absent"
	}
	return fmt.Sprint(*n)
}

func zeroOrAbsent(n *uint32) bool { return n == nil || *n == 0 }

// nothing expects an empty list.
func nothing(found []string) result {
	if len(found) == 0 {
		return result{expected: "none", found: "none", ok: true}
	}
	return result{expected: "none", found: strings.Join(found, ", ")}
}

func yesNo(found, expected bool) result {
	text := map[bool]string{true: "yes", false: "no"}
	return result{expected: text[expected], found: text[found], ok: found == expected}
}
