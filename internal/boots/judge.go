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

// warns reports whether something is looked for that has no say in the verdict.
func (t row) warns() bool {
	return len(t.besides) > 0 || t.signer || t.azure || len(t.ways) > 0 // third-party filters
}

// judgement is an answer that is being made.
type judgement struct {
	row
	Image
	*winimage.Starting
	reasons, besides []Reason
}

func (j *judgement) no(remedy, format string, args ...any) {
	j.reasons = append(j.reasons, Reason{fmt.Sprintf(format, args...), true, remedy})
}

func (j *judgement) doubt(remedy, format string, args ...any) {
	j.reasons = append(j.reasons, Reason{fmt.Sprintf(format, args...), false, remedy})
}

func (j *judgement) warn(remedy, format string, args ...any) {
	j.besides = append(j.besides, Reason{fmt.Sprintf(format, args...), false, remedy})
}

// judge holds an image against a row.
func (t row) judge(i Image) Answer {
	j := &judgement{row: t, Image: i}
	if i.Windows != nil {
		j.Starting = i.Windows.Starting
	}
	switch {
	case t.authority != "":
		j.secureBoot()
	case j.Starting == nil:
		j.doubt("", "what the Windows has was not read")
	default:
		j.firmware()
		j.disk()
		j.filters()
		if t.card != nil && j.nothingOf(*t.card) {
			j.no(fromAmazon, "there is no driver of the network card (%s): nobody reaches the machine", strings.Join(t.card.services, ", "))
		}
		j.azureFile()
		j.others()
	}
	// What refuses comes first: it is what to do first.
	slices.SortStableFunc(j.reasons, func(a, b Reason) int {
		switch {
		case a.Refuses == b.Refuses:
			return 0
		case a.Refuses:
			return -1
		}
		return 1
	})
	a := Answer{Verdict: Yes, Reasons: j.reasons, Besides: j.besides, title: t.title, sources: t.sources, unconfirmed: t.unconfirmed, warns: t.warns()}
	switch {
	case len(j.reasons) > 0 && j.reasons[0].Refuses:
		a.Verdict = No
	case len(j.reasons) > 0:
		a.Verdict = Unknown
	}
	return a
}

// firmware asks whether the machine's firmware finds the boot manager, and that the
// Windows that it starts.
func (j *judgement) firmware() {
	disk, b := j.Facts.Disk, j.Facts.Boot
	scheme := windows.StartupOf(disk.Scheme, disk.Generation != 0)
	const convert = "take a source disk for that firmware; in the guest mbr2gpt /convert makes one for UEFI of one for BIOS"
	switch {
	case j.start == bios && disk.Generation != 1:
		j.no(convert, "such a machine starts an MBR disk with an active partition; this one has %s", tableOf(disk))
		return
	case j.start == uefi && disk.Generation != 2:
		j.no(convert, "such a machine starts a GPT disk with an EFI system partition; this one has %s", tableOf(disk))
		return
	case j.start == mostlyUEFI && disk.Generation == 1:
		j.doubt("", "such machines start with UEFI as a rule, and the disk is for BIOS")
	case disk.Generation == 0:
		j.doubt("check that the system partition is there and, on an MBR disk, active", "no firmware starts the disk: it lacks %s", scheme.Missing)
		return
	}
	if b == nil {
		j.doubt("", "the partition that the firmware starts from could not be read")
		return
	}
	const rewrite = `write the boot files anew in the guest before sysprep (bcdboot C:\Windows)`
	switch missing := strings.Join(b.Missing, ", "); {
	case j.start == uefi && b.Loader == "" && b.Manager == "" && b.Problem == "":
		j.no(rewrite, "neither bootmgfw.efi nor a boot*.efi is in the EFI system partition %d", b.Partition)
	case missing != "":
		j.doubt(rewrite, "partition %d lacks %s", b.Partition, missing)
	case j.start == uefi && b.Manager == "":
		j.doubt(rewrite, "bootmgfw.efi is not in the EFI system partition %d", b.Partition)
	}
	j.bootEntry(b, rewrite)
}

func tableOf(d winimage.Disk) string {
	switch {
	case d.Generation == 1:
		return "an MBR with an active partition"
	case d.Generation == 2:
		return "a GPT with an EFI system partition"
	case d.Scheme == "mbr":
		return "an MBR without an active partition"
	case d.Scheme == "gpt":
		return "a GPT without an EFI system partition"
	}
	return "no partition table"
}

func (j *judgement) bootEntry(b *winimage.Boot, rewrite string) {
	switch e := b.Default; {
	case b.Problem != "":
		j.doubt("", "the boot files could not be read: %s", b.Problem)
	case b.Store == nil: // told among what is missing
	case e == nil:
		j.doubt(rewrite, "the boot configuration names no default entry")
	case e.Device == "partition" && e.Partition == 0:
		j.doubt(rewrite, "the default boot entry %s names a partition that is not on the disk", strings.TrimSpace(e.Name+" "+e.ID))
	case e.Device == "other" || e.Device == "none":
		j.doubt(rewrite, "where the default boot entry %s finds Windows is not known", strings.TrimSpace(e.Name+" "+e.ID))
	}
}

// flaw is what is wrong with a driver; the zero value: nothing.
type flaw struct {
	text, remedy string
	missing      bool // it, or its file, is not there
}

// flawOf holds a driver against what loads it before the disk is there.
func (j *judgement) flawOf(name string) flaw {
	s := j.Found(name)
	key := `HKLM\SYSTEM\CurrentControlSet\Services\` + s.Name
	switch o := s.Overridden(); {
	case s.Presence == winimage.Absent:
		return flaw{text: "there is no driver " + s.Name, missing: true}
	case s.FileIs == winimage.Absent:
		return flaw{text: fmt.Sprintf("the file of the driver %s is missing (%s)", s.Name, s.File), missing: true}
	case s.FileIs == winimage.Zeros:
		return flaw{text: fmt.Sprintf("the file of the driver %s is empty (%s)", s.Name, s.File), missing: true}
	case s.Presence == winimage.Unread || s.FileIs == winimage.Unread || s.Start == nil:
		return flaw{text: fmt.Sprintf("the driver %s could not be read", s.Name)}
	case o != nil:
		text := fmt.Sprintf(`StartOverride\%s of the driver %s is %d, so that Windows may not load it before its disk`, o.Name, s.Name, o.Start)
		remedy := fmt.Sprintf(`delete the key StartOverride below %s as the last step before sysprep; generalize does so for drivers of the start, says Microsoft, unless PersistAllDeviceInstalls is true`, key)
		if len(j.KeptBy) > 0 {
			text += fmt.Sprintf("; PersistAllDeviceInstalls in %s has kept it through generalize", strings.Join(j.KeptBy, ", "))
			remedy = "take PersistAllDeviceInstalls out of the answer file; " + remedy
		}
		return flaw{text: text, remedy: remedy}
	case *s.Start != windows.StartBoot:
		return flaw{
			text:   fmt.Sprintf("Start of the driver %s is %d, so that Windows does not load it before its disk", s.Name, *s.Start),
			remedy: fmt.Sprintf("set Start to 0 below %s in the guest before sysprep", key),
		}
	}
	return flaw{}
}

// nothingOf reports whether neither service nor file nor binding of a way is there.
func (j *judgement) nothingOf(w way) bool {
	for _, name := range w.services {
		// pci and the like are part of each Windows.
		if name == "pci" {
			continue
		}
		if s := j.Found(name); s.Presence != winimage.Absent || s.FileIs == winimage.There || s.FileIs == winimage.Unread {
			return false
		}
	}
	return !slices.ContainsFunc(w.ids, func(id string) bool { return j.Bound(id).Presence != winimage.Absent })
}

// disk asks for a way to the disk, and for what every way needs.
func (j *judgement) disk() {
	for _, name := range base {
		if f := j.flawOf(name); f.text != "" {
			j.doubt(f.remedy, "%s", f.text)
		}
	}
	var best []flaw
	for n, w := range j.ways {
		flaws := j.flawsOf(w)
		if len(flaws) == 0 {
			return
		}
		if n == 0 || better(flaws, best) {
			best = flaws
		}
	}
	refused := j.refused()
	for _, f := range best {
		remedy := f.remedy
		if f.missing {
			remedy = j.remedy
		}
		if refused && f.missing {
			j.no(remedy, "%s", f.text)
		} else {
			j.doubt(remedy, "%s", f.text)
		}
	}
}

// flawsOf is what speaks against a way to the disk.
func (j *judgement) flawsOf(w way) (flaws []flaw) {
	for _, name := range w.services {
		if f := j.flawOf(name); f.text != "" {
			flaws = append(flaws, f)
		}
	}
	if len(w.ids) == 0 {
		return flaws
	}
	found := winimage.Absent
	for _, id := range w.ids {
		switch j.Bound(id).Presence {
		case winimage.There:
			return flaws
		case winimage.Unread:
			found = winimage.Unread
		}
	}
	text := "no driver is bound to the controller"
	if found == winimage.Unread {
		text = "which driver is bound to the controller could not be read"
	}
	return append(flaws, flaw{text: fmt.Sprintf("%s (%s)", text, strings.Join(w.ids, ", ")), remedy: j.remedy})
}

// better reports whether flaws are nearer to none: what is there but not in order is
// what a person goes on with.
func better(a, b []flaw) bool {
	missing := func(list []flaw) (n int) {
		for _, f := range list {
			if f.missing {
				n++
			}
		}
		return n
	}
	return missing(a) < missing(b) || missing(a) == missing(b) && len(a) < len(b)
}

// refused reports whether what is missing on the ways to the disk makes the verdict no.
func (j *judgement) refused() bool {
	any, all, bare := false, true, true
	for _, w := range j.ways {
		bare = bare && j.nothingOf(w)
		for _, name := range w.services {
			missing := j.flawOf(name).missing
			any = any || missing
			// Those of buses are everywhere, and are no way by themselves.
			all = all && (missing || name == "pci")
		}
	}
	switch j.missing {
	case failAny:
		return any
	case failAll:
		return all
	case failBare:
		return bare
	}
	return false
}

// filters asks for the drivers that Windows puts above or below each disk.
func (j *judgement) filters() {
	for _, f := range j.Filters {
		what := fmt.Sprintf("%s (%s of the class %s)", f.Service, f.Position, f.Class)
		remedy := fmt.Sprintf(`take %s out of %s in the guest before sysprep (HKLM\SYSTEM\CurrentControlSet\Control\Class, class %s), or repair the program that has put it there`, f.Service, f.Position, f.Class)
		switch {
		case f.Presence == winimage.Absent:
			j.no(remedy, "there is no driver of the filter %s: no device of the class starts", what)
		case f.FileIs == winimage.Absent || f.FileIs == winimage.Zeros:
			j.no(remedy, "the file of the filter %s is missing or empty (%s): no device of the class starts", what, f.File)
		case f.Presence == winimage.Unread || f.FileIs == winimage.Unread:
			j.doubt("", "the filter %s could not be read", what)
		case !f.InBox:
			j.warn(remedy, "the filter %s is not one of Windows", what)
		}
	}
	if j.FiltersUnread {
		j.doubt("", "some filters of the classes of storage could not be read")
	}
}

// azureFile asks what Azure asks of the file.
func (j *judgement) azureFile() {
	if !j.azure || j.File == nil {
		return
	}
	for _, f := range target.Judge(target.Azure, *j.File, finding.Fail) {
		// Which firmware starts the disk was asked before.
		if f.Holds || f.ID == string(target.Azure)+"-generation" {
			continue
		}
		j.no(strings.Join(f.Remedy, ", "), "Azure does not take the file: %s (expected %s, found %s)", f.Summary, f.Expected, f.Found)
	}
}

// others is what to know of a Windows that has started.
func (j *judgement) others() {
	for _, g := range j.row.besides {
		if !j.has(g) {
			names := slices.Concat(g.services, g.programs)
			j.warn(g.remedy, "there is no %s (%s)", g.title, strings.Join(names, ", "))
		}
	}
	const onlineAll = 1
	if p := j.SANPolicy; j.azure && p != nil && *p != onlineAll {
		j.warn("set the SAN policy in the guest before sysprep (diskpart: san policy=onlineall)", "the SAN policy is %d: data disks may stay offline", *p)
	}
	if j.azure && len(j.Facts.Disk.BitLocker) > 0 {
		j.warn("decrypt it in the guest (manage-bde -off)", "a partition is encrypted by BitLocker, which a machine with trusted launch does not open")
	}
	if j.signer && j.Facts.Disk.Generation == 2 {
		if known := signers(j.Facts.Boot); !slices.Contains(known, productionCA) {
			j.warn("see secure-boot-2011 and secure-boot-2023, or leave Secure Boot off", "with Secure Boot, firmware of before 2023 does not start it: the boot manager is signed by %s", orNobody(known))
		}
	}
}

func (j *judgement) has(g group) bool {
	for _, name := range g.services {
		if s := j.Found(name); s.Presence != winimage.Absent && s.FileIs != winimage.Absent && (s.Start == nil || *s.Start != windows.StartDisabled) {
			return true
		}
	}
	return slices.ContainsFunc(g.programs, func(path string) bool { return slices.Contains(j.Programs, path) })
}

// signers are the authorities of signatures that fit the boot manager.
func signers(b *winimage.Boot) (names []string) {
	if b == nil {
		return nil
	}
	for _, s := range b.Signatures {
		if s.Problem == "" && !slices.Contains(names, s.Authority) {
			names = append(names, s.Authority)
		}
	}
	return names
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "nobody that could be made out"
	}
	return strings.Join(names, " and ")
}

// secureBoot asks for a signature by the authority that the firmware knows. What the
// Windows has is asked by the other rows.
func (j *judgement) secureBoot() {
	b := j.Facts.Boot
	const renew = "install the updates that bring a boot manager of that authority in the guest, or give the machine firmware that knows the other one"
	known := signers(b)
	switch {
	case j.Facts.Disk.Generation != 2:
		j.doubt("", "Secure Boot is for disks with a GPT and an EFI system partition; this one has %s", tableOf(j.Facts.Disk))
	case b == nil || b.Loader == "" && b.Manager == "":
		j.doubt("", "no boot manager could be read")
	case slices.Contains(known, j.authority):
	case slices.ContainsFunc(b.Signatures, func(s winimage.Signature) bool { return s.Problem != "" }):
		j.doubt(`write the boot files anew in the guest before sysprep (bcdboot C:\Windows)`, "the signature of the boot manager does not fit it: %s", problemOf(b.Signatures))
	case len(known) == 0:
		j.no(renew, "the boot manager is not signed, and the firmware asks for %s", j.authority)
	default:
		j.no(renew, "the boot manager is signed by %s, and the firmware asks for %s", orNobody(known), j.authority)
	}
}

func problemOf(list []winimage.Signature) string {
	for _, s := range list {
		if s.Problem != "" {
			return s.Problem
		}
	}
	return ""
}
