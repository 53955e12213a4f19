// Package boots says on which machines the Windows of a disk would start: yes, no, or
// that it is not known, with the reasons. It is a pure table of the places that images
// go to (targets.go) and of what each needs; what the disk has is read by winimage.
//
// No machine was started for it. A disk is refused only for what cannot be made up
// for: a driver that is not there, a filter driver that is not there, another
// firmware. What Windows may still put right when it starts is a doubt.
package boots

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const (
	productionCA = windows.ProductionCA
	uefiCA       = windows.UEFICA
)

// Verdict is whether Windows starts.
type Verdict string

// Verdicts. Unknown: what is known neither shows that it does nor that it does not.
const (
	Yes     Verdict = "yes"
	No      Verdict = "no"
	Unknown Verdict = "unknown"
)

// Reason is why a verdict is not yes, or a warning.
type Reason struct {
	// Text is for a person; Refuses: it makes the verdict no.
	Text    string
	Refuses bool
	// Remedy is what to do; empty where nothing helps.
	Remedy string
}

// Answer is what is known of one target.
type Answer struct {
	// Target is the name that was asked for.
	Target  string
	Verdict Verdict
	Reasons []Reason
	// Besides are what to know of a machine that has started: its network card, its
	// agent. They have no say in the verdict.
	Besides []Reason
	title   string
	sources []string
	// unconfirmed: part of the row has no source of its own.
	unconfirmed bool
	warns       bool // the row has something besides
}

// Image is what is judged.
type Image struct {
	Facts winimage.Facts
	// Windows is one of its installations.
	Windows *winimage.Windows
	// File is the file as it would be handed over; nil: it is not finished, and
	// nothing is said of its format.
	File *target.Image
}

// Asks are the facts that the targets need. Names that are none are left out.
func Asks(names []string) *winimage.Wanted {
	if len(names) == 0 {
		return nil
	}
	var w winimage.Wanted
	add := func(list *[]string, more []string) {
		for _, one := range more {
			if !slices.Contains(*list, one) {
				*list = append(*list, one)
			}
		}
	}
	add(&w.Services, base)
	for _, name := range names {
		for _, t := range rows(name) {
			ways := t.ways
			if t.card != nil {
				ways = append(slices.Clone(ways), *t.card)
			}
			for _, one := range ways {
				add(&w.Services, one.services)
				add(&w.Devices, one.ids)
			}
			for _, g := range t.besides {
				add(&w.Services, g.services)
				add(&w.Programs, g.programs)
			}
		}
	}
	return &w
}

// OfFile is the first name whose rows ask something of the file as well, and the place
// whose rules those are; "" where there is none.
func OfFile(names []string) (name string, place target.Target) {
	for _, name := range names {
		if slices.ContainsFunc(rows(name), func(t row) bool { return t.azure }) {
			return name, target.Azure
		}
	}
	return "", ""
}

// rows are those that a name stands for.
func rows(name string) (list []row) {
	ids := []string{name}
	if two, ok := either[name]; ok {
		ids = two[:]
	}
	for _, id := range ids {
		if t, ok := find(id); ok {
			list = append(list, t)
		}
	}
	return list
}

// Judge says of each target whether the image starts there. Names that are none, or
// stand there twice, are left out.
func Judge(names []string, i Image) (answers []Answer) {
	for n, name := range names {
		list := rows(name)
		if len(list) == 0 || slices.Contains(names[:n], name) {
			continue
		}
		t := list[0]
		if len(list) == 2 && i.Facts.Disk.Scheme == "gpt" {
			t = list[1]
		}
		a := t.judge(i)
		a.Target = name
		answers = append(answers, a)
	}
	return answers
}

// Prove says of every installation that is judged, and of each target, whether it
// starts there; several says which installation is meant. file is nil where the disk
// is not finished.
func Prove(names []string, facts winimage.Facts, judged []winimage.Windows, file *target.Image, strict bool) (made []finding.Finding) {
	for n := range judged {
		w := &judged[n]
		for _, a := range Judge(names, Image{Facts: facts, Windows: w, File: file}) {
			for _, f := range a.Findings(strict) {
				if len(judged) > 1 {
					f.Where.Path = []string{fmt.Sprintf("partition %d", w.Partition)}
				}
				made = append(made, f)
			}
		}
	}
	return made
}

// idPrefix begins the ids of findings; those on what is besides end with besidesSuffix.
const (
	idPrefix      = "boots-on-"
	besidesSuffix = "-besides"
	nothing       = "nothing is missing"
)

// IDs are the ids of all findings of all targets.
func IDs() (ids []string) {
	for _, name := range Names() {
		ids = append(ids, idPrefix+name)
		if slices.ContainsFunc(rows(name), row.warns) {
			ids = append(ids, idPrefix+name+besidesSuffix)
		}
	}
	return ids
}

// Finding tells the verdict. A no fails; what is unknown warns, or fails where strict
// asks for a yes.
func (a Answer) Finding(strict bool) finding.Finding {
	f := finding.Finding{
		ID: idPrefix + a.Target, Severity: finding.Fail, Holds: a.Verdict == Yes, Subject: finding.Disk,
		Summary: "Windows starts on " + a.title, Expected: string(Yes), Found: string(a.Verdict), Unconfirmed: a.unconfirmed,
	}
	if a.Verdict == Unknown && !strict {
		f.Severity = finding.Warn
	}
	if len(a.Reasons) > 0 {
		f.Found += ": "
	}
	a.tell(&f, a.Reasons)
	return f
}

// Findings are the verdict and, where the target has something besides, what is
// warned of.
func (a Answer) Findings(strict bool) []finding.Finding {
	list := []finding.Finding{a.Finding(strict)}
	if !a.warns {
		return list
	}
	f := finding.Finding{
		ID: idPrefix + a.Target + besidesSuffix, Severity: finding.Warn, Holds: len(a.Besides) == 0, Subject: finding.Disk,
		Summary: "Windows has what else " + a.title + " asks for", Expected: nothing, Found: nothing, Unconfirmed: true,
	}
	if !f.Holds {
		f.Found = ""
	}
	a.tell(&f, a.Besides)
	return append(list, f)
}

// Verdicts are those among findings, in a line: "azure-gen2 yes, qemu-virtio unknown".
func Verdicts(list []finding.Finding) string {
	var said []string
	for _, f := range list {
		name, ok := strings.CutPrefix(f.ID, idPrefix)
		if !ok || strings.HasSuffix(name, besidesSuffix) {
			continue
		}
		verdict, _, _ := strings.Cut(f.Found, ":")
		if len(f.Where.Path) > 0 {
			name += " (" + f.Where.Path[0] + ")"
		}
		said = append(said, name+" "+verdict)
	}
	return strings.Join(said, ", ")
}

// tell adds reasons, and what to do about them, to a finding.
func (a Answer) tell(f *finding.Finding, reasons []Reason) {
	for n, r := range reasons {
		if n > 0 {
			f.Found += "; "
		}
		f.Found += r.Text
		if r.Remedy != "" && !slices.Contains(f.Remedy, r.Remedy) {
			f.Remedy = append(f.Remedy, r.Remedy)
		}
	}
	if !f.Holds && f.Remedy == nil {
		f.Remedy = []string{"see docs/boots-on.md for what the target needs"}
	}
	for n, source := range a.sources {
		if n > 0 {
			f.Source += "; "
		}
		f.Source += source
	}
}
