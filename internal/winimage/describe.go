package winimage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
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
	return foreign.Limit(text, describeLimit)
}

// describeLimit is the length of a name in bytes; real ones have a quarter.
const describeLimit = 200

// Describe writes the facts for a human, one a line.
func (r Facts) Describe() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, foreign.Text(fmt.Sprintf(format, args...))) }
	say("disk:          %s, %d MiB, %s, generation %d", r.Disk.Format, r.Disk.VirtualSize>>20, r.Disk.Scheme, r.Disk.Generation)
	if len(r.Disk.Chain) > 1 {
		say("backing chain: %s", diskimage.Lineage(r.Disk.Chain))
	}
	for _, warning := range r.Disk.Warnings {
		say("               %s", warning)
	}
	if b := r.Boot; b != nil && b.Loader != "" {
		signed := ""
		if len(b.SignedBy) > 0 {
			signed = ", signed by " + strings.Join(b.SignedBy, " and ")
		}
		say("boot:          partition %d, %s%s", b.Partition, b.Loader, signed)
		if text := b.unflushed(); text != "" {
			say("               %s", text)
		}
	}
	for _, w := range r.Windows {
		w.describe(say)
	}
	for _, c := range r.Against {
		say("identity:      %s", c.line())
	}
	for _, problem := range slices.Concat(r.Problems, r.Limits) {
		say("problem:       %s", problem)
	}
	if r.Disk.Requests > 0 {
		say("traffic:       %d requests, %.1f MB", r.Disk.Requests, float64(r.Disk.Bytes)/1e6)
	}
	return out
}

// Causes are what the logs of the last runs, and of a first boot, say of their
// failure.
func (r Facts) Causes() (causes []finding.Finding) {
	for _, w := range r.Windows {
		if w.Log != nil && w.Log.Diagnosis != nil {
			causes = append(causes, w.Log.Diagnosis.Finding)
		}
		if w.FirstBoot != nil {
			causes = append(causes, w.FirstBoot.Finding)
		}
	}
	return causes
}

func (w Windows) describe(say func(string, ...any)) {
	say("windows:       %s, partition %d", w.Describe(), w.Partition)
	say("image state:   %s, GeneralizationState %s, SetupType %s", orAbsent(w.Setup.ImageState), number(w.Setup.GeneralizationState), number(w.Setup.SetupType))
	say("next boot:     %s", orAbsent(w.Setup.CmdLine))
	if w.Tag != nil {
		say("tag:           %s by the guest's clock", w.Tag.Modified.UTC().Format("2006-01-02 15:04:05 UTC"))
	} else {
		say("tag:           absent")
	}
	if w.Log != nil {
		say("last run:      %s, tag created: %t", strings.Join(w.Log.Options, " "), w.Log.TagCreated)
	}
	for _, f := range w.AnswerFiles {
		text := fmt.Sprintf("%s (passes %s)", f.Path, strings.Join(f.Passes, ", "))
		if f.Problem != "" {
			text = f.Path + ": " + f.Problem
		}
		say("answer file:   %s", text)
	}
	if len(w.Servicing.Leftovers) > 0 {
		say("upgrade left:  %s", strings.Join(w.Servicing.Leftovers, ", "))
	}
	if i := w.Identity; i.MachineSID != "" || i.ComputerName != "" {
		say("identity:      machine SID %s, computer name %s, accounts: %s", orAbsent(i.MachineSID), orAbsent(i.ComputerName), orAbsent(strings.Join(i.Accounts, ", ")))
	}
	free := ""
	if w.Volume.Free != nil {
		free = fmt.Sprintf(", %d MiB free", *w.Volume.Free>>20)
	}
	say("volume:        %d MiB%s, page file %d MiB", w.Volume.Size>>20, free, (w.Volume.PageFile+w.Volume.SwapFile)>>20)
}
