package boots

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

func judged(name string, i Image) Answer {
	list := Judge([]string{name}, i)
	if len(list) != 1 {
		panic(fmt.Sprintf("%s: %d answers", name, len(list)))
	}
	return list[0]
}

func TestEachRowSaysWhatTheReferenceSays(t *testing.T) {
	seen := map[string]map[Verdict]bool{}
	for _, c := range verdicts {
		t.Run(c.target+", "+c.name, func(t *testing.T) {
			i := good(c.generation)
			c.change(&i)
			a := judged(c.target, i)
			var texts []string
			for _, r := range a.Reasons {
				texts = append(texts, r.Text)
			}
			said := strings.Join(texts, "; ")
			if a.Verdict != c.want || c.reason == "" && said != "" || !strings.Contains(said, c.reason) {
				t.Errorf("%s because %q, want %s because of %q", a.Verdict, said, c.want, c.reason)
			}
			if seen[c.target] == nil {
				seen[c.target] = map[Verdict]bool{}
			}
			seen[c.target][c.want] = true
		})
	}
	// By the reference no disk is refused for these.
	never := []string{"qemu-ide", "qemu-ahci", "vmware-pvscsi", "vmware-lsisas", "vmware-sata", "vmware-nvme", "aws-xen"}
	for _, name := range Names() {
		if !seen[name][Yes] || !seen[name][Unknown] || seen[name][No] == slices.Contains(never, name) {
			t.Errorf("%s has cases for %v", name, slices.Sorted(maps.Keys(seen[name])))
		}
	}
}

// What holds for each machine that has to reach its disk.
func TestWhatEachMachineNeeds(t *testing.T) {
	third := dangling
	third.Presence, third.FileIs = winimage.There, winimage.There
	lost, unreadable := third, third
	lost.FileIs, unreadable.FileIs = winimage.Absent, winimage.Unread
	for name, c := range map[string]struct {
		change change
		want   Verdict
		reason string
	}{
		"a filter without a service":            {filter(dangling), No, "there is no driver of the filter gonefilter (LowerFilters of the class DiskDrive)"},
		"a filter without a file":               {filter(lost), No, "the file of the filter gonefilter"},
		"a filter that cannot be read":          {filter(unreadable), Unknown, "the filter gonefilter"},
		"a filter of somebody else":             {filter(third), Yes, ""},
		"filters that cannot be read":           {func(i *Image) { i.Windows.Starting.FiltersUnread = true }, Unknown, "some filters"},
		"disk.sys is missing":                   {noFile("disk"), Unknown, "the file of the driver disk is missing"},
		"partmgr does not start":                {start("partmgr", 4), Unknown, "Start of the driver partmgr is 4"},
		"acpi is overridden":                    {overridden("acpi"), Unknown, "acpi"},
		"volmgr is gone":                        {gone("volmgr"), Unknown, "there is no driver volmgr"},
		"mountmgr is gone":                      {gone("mountmgr"), Unknown, "there is no driver mountmgr"},
		"an entry for a partition of elsewhere": {boot(func(b *winimage.Boot) { b.Default.Partition = 0 }), Unknown, "the default boot entry Windows {a} names a partition that is not on the disk"},
		"an entry of an unknown kind":           {boot(func(b *winimage.Boot) { b.Default.Device = "other" }), Unknown, "is not known"},
		"an entry without a device":             {boot(func(b *winimage.Boot) { b.Default.Device = "none" }), Unknown, "is not known"},
		"an entry for the boot partition":       {boot(func(b *winimage.Boot) { b.Default = &winimage.DefaultEntry{Device: "boot"} }), Yes, ""},
		"an entry that is to be located":        {boot(func(b *winimage.Boot) { b.Default = &winimage.DefaultEntry{Device: "locate"} }), Yes, ""},
		"no default entry":                      {boot(func(b *winimage.Boot) { b.Default = nil }), Unknown, "names no default entry"},
		"boot files that cannot be read":        {boot(func(b *winimage.Boot) { b.Problem = "corrupt" }), Unknown, "corrupt"},
		"a boot partition that cannot be read":  {func(i *Image) { i.Facts.Boot = nil }, Unknown, "could not be read"},
		"drivers that were not read":            {func(i *Image) { i.Windows.Starting = nil }, Unknown, "was not read"},
		"a Windows that was not read":           {func(i *Image) { i.Windows = nil }, Unknown, "was not read"},
		"a hive that cannot be read": {func(i *Image) {
			for n := range i.Windows.Starting.Services {
				s := &i.Windows.Starting.Services[n]
				*s = winimage.Service{Name: s.Name, Presence: winimage.Unread}
			}
			for n := range i.Windows.Starting.Devices {
				d := &i.Windows.Starting.Devices[n]
				d.Presence, d.Bound = winimage.Unread, nil
			}
		}, Unknown, "could not be read"},
		"facts that nobody asked for": {func(i *Image) { i.Windows.Starting = &winimage.Starting{} }, Unknown, "could not be read"},
	} {
		for _, row := range targets {
			if row.authority != "" {
				continue
			}
			generation := 2
			if row.start == bios {
				generation = 1
			}
			i := good(generation)
			c.change(&i)
			a := judged(row.id, i)
			found := slices.ContainsFunc(a.Reasons, func(r Reason) bool { return strings.Contains(r.Text, c.reason) })
			if a.Verdict != c.want || found != (c.reason != "") {
				t.Errorf("%s on %s: %s, %+v", name, row.id, a.Verdict, a.Reasons)
			}
		}
	}
}

// Windows 10 overrides the drivers of all controllers that a machine does not have.
// Whether generalize has undone that is not known: it is no reason for a yes.
func TestADriverThatIsOverriddenGivesNoYes(t *testing.T) {
	for _, row := range targets {
		if row.authority != "" {
			continue
		}
		generation := 2
		if row.start == bios {
			generation = 1
		}
		i := good(generation)
		for _, name := range everyDriver {
			overridden(name)(&i)
		}
		a := judged(row.id, i)
		if a.Verdict != Unknown {
			t.Errorf("%s: %s", row.id, a.Verdict)
		}
		i.Windows.Starting.KeptBy = []string{`\Windows\Panther\unattend.xml`}
		kept := judged(row.id, i)
		if r := kept.Reasons[0]; !strings.Contains(r.Text, `PersistAllDeviceInstalls in \Windows\Panther\unattend.xml`) || !strings.Contains(r.Remedy, "take PersistAllDeviceInstalls out") {
			t.Errorf("%s: %+v", row.id, r)
		}
	}
}

func TestWhatIsBesidesIsWarnedOfAndChangesNoVerdict(t *testing.T) {
	for _, c := range []struct {
		target     string
		generation int
		name       string
		change     change
		reason     string
	}{
		{"hyperv-gen1", 1, "no card", gone("netvsc"), "network card of Hyper-V"},
		{"hyperv-gen2", 2, "no card", start("netvsc", 4), "network card of Hyper-V"},
		{"hyperv-gen2", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), "is signed by Windows UEFI CA 2023"},
		{"hyperv-gen2", 2, "not signed", signedBy(), "by nobody that could be made out"},
		{"azure-gen1", 1, "no agent", all(gone("RdAgent"), gone("WindowsAzureGuestAgent")), "agent of Azure"},
		{"azure-gen2", 2, "offline disks", func(i *Image) { n := uint32(3); i.Windows.Starting.SANPolicy = &n }, "SAN policy is 3"},
		{"azure-gen2", 2, "BitLocker", func(i *Image) { i.Facts.Disk.BitLocker = []int{3} }, "BitLocker"},
		{"azure-nvme", 2, "no card", gone("netvsc"), "network card of Hyper-V"},
		{"qemu-ide", 1, "no card", gone("e1iexpress"), "e1000"},
		{"qemu-ahci", 1, "no card", gone("e1iexpress"), "e1000"},
		{"qemu-virtio", 1, "no card", gone("netkvm"), "card of virtio"},
		{"qemu-virtio-scsi", 1, "no card", noFile("netkvm"), "card of virtio"},
		{"gcp", 2, "no card", all(gone("netkvm"), gone("gvnic")), "card of Google"},
		{"gcp", 2, "no agent", all(gone("GCEAgent"), gone("GCEAgentManager")), "agent of Google"},
		{"vmware-nvme", 2, "no card", all(gone("vmxnet3ndis6"), gone("e1iexpress")), "vmxnet3"},
		{"vmware-sata", 2, "no tools", gone("VMTools"), "VMware Tools"},
		{"aws-nvme", 2, "no agent", gone("AmazonSSMAgent"), "agent of Amazon"},
		{"aws-xen", 1, "no card", gone("xennet"), "card of Xen"},
	} {
		i := good(c.generation)
		if a := judged(c.target, i); a.Verdict != Yes || len(a.Besides) > 0 {
			t.Errorf("%s: %+v", c.target, a)
		}
		c.change(&i)
		a := judged(c.target, i)
		if a.Verdict != Yes || len(a.Besides) != 1 || !strings.Contains(a.Besides[0].Text, c.reason) || a.Besides[0].Remedy == "" {
			t.Errorf("%s, %s: %s, %+v", c.target, c.name, a.Verdict, a.Besides)
		}
	}
	// A program of an agent is one as well as a service.
	i := good(2)
	gone("AmazonSSMAgent")(&i)
	i.Windows.Starting.Programs = []string{`\Program Files\Amazon\EC2Launch\EC2Launch.exe`}
	if a := judged("aws-nvme", i); len(a.Besides) > 0 {
		t.Errorf("%+v", a.Besides)
	}
	third := winimage.Filter{Class: "DiskDrive", Position: "LowerFilters", Service: "stdcfltn", Presence: winimage.There, FileIs: winimage.There}
	filter(third)(&i)
	if a := judged("qemu-ahci", i); a.Verdict != Yes || len(a.Besides) != 1 || !strings.Contains(a.Besides[0].Text, "stdcfltn") {
		t.Errorf("%+v", a)
	}
}

func TestOnlyANoRefusesUnlessItIsStrict(t *testing.T) {
	for _, c := range []struct {
		change change
		strict bool
		holds  bool
		as     finding.Severity
	}{
		{asItIs, false, true, finding.Fail}, {asItIs, true, true, finding.Fail},
		{overridden("storvsc"), false, false, finding.Warn}, {overridden("storvsc"), true, false, finding.Fail},
		{gone("storvsc"), false, false, finding.Fail}, {gone("storvsc"), true, false, finding.Fail},
	} {
		i := good(2)
		c.change(&i)
		f := judged("azure-gen2", i).Finding(c.strict)
		if f.Holds != c.holds || f.Severity != c.as || f.ID != "boots-on-azure-gen2" || f.Expected != "yes" || f.Source == "" || (f.Remedy == nil) != c.holds {
			t.Errorf("strict %t: %+v", c.strict, f)
		}
		if !slices.Contains(IDs(), f.ID) {
			t.Errorf("%s is not among %q", f.ID, IDs())
		}
	}
	i := good(2)
	gone("netvsc")(&i)
	list := judged("azure-gen2", i).Findings(true)
	if len(list) != 2 || !list[0].Holds || list[1].Holds || list[1].Severity != finding.Warn || list[1].ID != "boots-on-azure-gen2-besides" || list[1].Remedy == nil {
		t.Errorf("%+v", list)
	}
	for _, f := range list {
		if !slices.Contains(IDs(), f.ID) {
			t.Errorf("%s is not among the ids", f.ID)
		}
	}
}

// Which firmware starts the disk is said once, not once more as what Azure asks.
func TestADiskThatNothingStartsIsRefusedForOneReason(t *testing.T) {
	i := good(2)
	i.Facts.Disk.Generation, i.File = 0, fixedVHD(1<<30)
	i.File.Generation = 0
	if a := judged("azure", i); a.Verdict != No || len(a.Reasons) != 1 {
		t.Errorf("%+v", a)
	}
}

func TestANameThatIsNoneIsLeftOut(t *testing.T) {
	if got := Judge([]string{"hyperv", "hyperv"}, good(2)); len(got) != 1 {
		t.Errorf("a name twice: %+v", got)
	}
	if got := Judge([]string{"moon"}, good(2)); got != nil {
		t.Errorf("%+v", got)
	}
	if Asks(nil) != nil {
		t.Error("nothing asks for something")
	}
	w := Asks([]string{"qemu-virtio", "azure", "moon"})
	for _, name := range []string{"viostor", "disk", "storvsc", "atapi", "RdAgent"} {
		if !slices.Contains(w.Services, name) {
			t.Errorf("%s is not asked for", name)
		}
	}
	if len(w.Services) != len(slices.Compact(slices.Sorted(slices.Values(w.Services)))) {
		t.Errorf("asked for twice: %q", w.Services)
	}
}
