package winimage

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// Describe names the Windows in a few words.
func (w Windows) Describe() string {
	name := w.OS.ProductName
	if name == "" {
		name = "Windows of unknown edition"
	}
	text := name
	if w.OS.Build != "" {
		text += " build " + w.OS.Build
		if w.OS.Revision != 0 {
			text += fmt.Sprintf(".%d", w.OS.Revision)
		}
	}
	if w.OS.Architecture != "" {
		text += " " + w.OS.Architecture
	}
	return text
}

// Describe writes a report and its proof for a human: the judgement first,
// then what speaks against it with the fix, then the facts.
func Describe(r Report, p Proof) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	failed, warned := p.Failed(Fail), p.Failed(Warn)
	switch {
	case p.Proven && len(warned) == 0:
		say("PROVEN: the image is generalized (%d assertions hold)", len(p.Assertions))
	case p.Proven:
		say("PROVEN: the image is generalized, with %d warnings", len(warned))
	default:
		say("NOT PROVEN: %s", summary(failed))
	}
	for _, a := range append(failed, warned...) {
		say("  %-4s %s: %s: expected %s, found %s", a.Severity, a.ID, a.Title, a.Expected, a.Found)
		if a.Note != "" {
			say("       %s", a.Note)
		}
		say("       fix: %s", a.Fix)
	}
	say("disk:          %s, %d MiB, %s, generation %d", r.Disk.Format, r.Disk.VirtualSize>>20, r.Disk.Scheme, r.Disk.Generation)
	if len(r.Disk.Chain) > 1 {
		say("backing chain: %s", diskimage.Lineage(r.Disk.Chain))
	}
	for _, warning := range r.Disk.Warnings {
		say("               %s", warning)
	}
	for _, w := range r.Windows {
		w.describe(say)
	}
	for _, problem := range r.Problems {
		say("problem:       %s", problem)
	}
	return out
}

func summary(failed []Assertion) string {
	if len(failed) == 0 {
		return "nothing could be asserted"
	}
	text := fmt.Sprintf("%s (%s is %s)", failed[0].Title, failed[0].ID, failed[0].Found)
	if len(failed) > 1 {
		text += fmt.Sprintf(" and %d more", len(failed)-1)
	}
	return text
}

func (w Windows) describe(say func(string, ...any)) {
	say("windows:       %s, partition %d", w.Describe(), w.Partition)
	say("image state:   %s, GeneralizationState %s, SetupType %s", orAbsent(w.Setup.ImageState), number(w.Setup.GeneralizationState), number(w.Setup.SetupType))
	say("next boot:     %s", orAbsent(w.Setup.CmdLine))
	if w.Tag != nil {
		say("tag:           %s", w.Tag.Modified.UTC().Format("2006-01-02 15:04:05 UTC"))
	} else {
		say("tag:           absent")
	}
	if w.Log != nil {
		say("last run:      %s, tag created: %t", strings.Join(w.Log.Options, " "), w.Log.TagCreated)
		if d := w.Log.Diagnosis; d != nil {
			say("  cause:       %s %s: %s", d.ID, d.Name, d.Summary)
			for _, step := range d.Remedy {
				say("  remedy:      %s", step)
			}
		}
	}
	for _, f := range w.AnswerFiles {
		text := fmt.Sprintf("%s (passes %s)", f.Path, strings.Join(f.Passes, ", "))
		if f.Problem != "" {
			text = f.Path + ": " + f.Problem
		}
		say("answer file:   %s", text)
	}
	free := ""
	if w.Volume.Free != nil {
		free = fmt.Sprintf(", %d MiB free", *w.Volume.Free>>20)
	}
	say("volume:        %d MiB%s, page file %d MiB", w.Volume.Size>>20, free, (w.Volume.PageFile+w.Volume.SwapFile)>>20)
}
