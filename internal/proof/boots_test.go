package proof

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func ofIDE() winimagetest.Spec {
	return winimagetest.Spec{
		Generalized: true, Drivers: []string{"acpi", "disk", "partmgr", "volmgr", "mountmgr", "pci", "intelide", "atapi", "netvsc", "E1G60"},
		Devices: []string{`PCI\VEN_8086&DEV_7111`},
	}
}

func TestAnImageIsRefusedOnlyWhereItsWindowsDoesNotStart(t *testing.T) {
	overridden := ofIDE()
	overridden.System = func(root *hivewrite.Key) {
		root.Path(`ControlSet001\Services\atapi\StartOverride`).SetDWord("0", 3)
	}
	good, doubtful := winimagetest.Disk(t, ofIDE()), winimagetest.Disk(t, overridden)
	for name, c := range map[string]struct {
		disk       string
		config     Config
		unfinished bool
		proven     bool
		said       string // part of what the Ui is told
	}{
		"nothing is asked":       {doubtful, Config{}, false, true, "Proven"},
		"yes":                    {good, Config{BootsOn: []string{"hyperv-gen1", "qemu-ide"}}, false, true, "starts on: hyperv-gen1 yes, qemu-ide yes"},
		"unknown":                {doubtful, Config{BootsOn: []string{"hyperv-gen1"}}, false, true, `warning: Windows starts on Hyper-V, generation 1: expected yes, found unknown: StartOverride\0 of the driver atapi is 3`},
		"unknown, strict":        {doubtful, Config{BootsOn: []string{"hyperv-gen1"}, BootsOnStrict: true}, false, false, "boots-on-hyperv-gen1 is unknown"},
		"no":                     {good, Config{BootsOn: []string{"qemu-virtio"}}, false, false, "boots-on-qemu-virtio is no: there is no driver viostor; no driver is bound to the controller"},
		"no, but a warning":      {good, Config{BootsOn: []string{"qemu-virtio"}, Severities: map[string]string{"boots-on-qemu-virtio": "warn"}}, false, true, "starts on: qemu-virtio no"},
		"another generation":     {good, Config{BootsOn: []string{"hyperv-gen2"}}, false, false, "this one has an MBR with an active partition"},
		"a raw disk for Azure":   {good, Config{BootsOn: []string{"azure"}}, false, false, "Azure does not take the file: the file is a VHD"},
		"one that is not it yet": {good, Config{BootsOn: []string{"azure"}}, true, true, "starts on: azure yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ui, said := recorder()
			report := filepath.Join(t.TempDir(), "report.json")
			if errs := c.config.Prepare(); errs != nil {
				t.Fatal(errs)
			}
			r, err := Run(context.Background(), ui, Options{Config: c.config, Disk: File(c.disk), Report: report, PlacedLater: c.unfinished})
			var refused *NotProven
			if (err == nil) != c.proven || err != nil && !errors.As(err, &refused) {
				t.Errorf("%v\n%s", err, said)
			}
			if !strings.Contains(said.String(), c.said) {
				t.Errorf("nobody is told %q:\n%s", c.said, said)
			}
			if r.ReportPath == "" {
				return
			}
			content, err := os.ReadFile(r.ReportPath)
			if err != nil {
				t.Fatal(err)
			}
			schematest.Valid(t, content)
			if asked := strings.Contains(string(content), `"starting"`); asked != (c.config.BootsOn != nil) {
				t.Errorf("the report has what decides where it starts: %t", asked)
			}
		})
	}
}

func TestTargetsToStartOnAreChecked(t *testing.T) {
	c := Config{BootsOn: []string{"moon", unknown.Value, "azure"}, Severities: map[string]string{"boots-on-azure-besides": "off", "boots-on-moon": "warn"}}
	var all []string
	for _, err := range c.Prepare() {
		all = append(all, err.Error())
	}
	said := strings.Join(all, "\n")
	if len(all) != 2 || !strings.Contains(said, `verify.boots_on: "moon" is not one of hyperv, hyperv-gen1,`) || !strings.Contains(said, "no assertion is called boots-on-moon") {
		t.Errorf("%s", said)
	}
}

// A format that Azure does not take is refused before the build, not after it.
func TestAFormatThatATargetDoesNotTakeIsRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		on           []string
		format, kind string
		want         string
	}{
		{[]string{"hyperv", "azure-gen2"}, "vhdx", "", "verify.boots_on has azure-gen2, format: azure takes"},
		{[]string{"azure"}, "vhd", "dynamic", "verify.boots_on has azure, format: azure takes fixed"},
		{[]string{"azure"}, "vhd", "fixed", ""}, {[]string{"hyperv", "qemu-ide"}, "vhdx", "", ""}, {[]string{"azure"}, unknown.Value, "", ""}, {[]string{"azure"}, "vhd", unknown.Value, ""},
	} {
		said := ""
		for _, err := range (&Config{BootsOn: c.on}).PrepareTarget(c.format, c.kind) {
			said += err.Error()
		}
		if (said != "") != (c.want != "") || !strings.Contains(said, c.want) {
			t.Errorf("%q as %s %s: %q", c.on, c.format, c.kind, said)
		}
	}
}

func TestEachInstallationIsAskedWhereItStarts(t *testing.T) {
	beside := ofIDE()
	beside.Drivers = slices.DeleteFunc(beside.Drivers, func(name string) bool { return name == "disk" })
	both := ofIDE()
	both.Beside = &beside
	ui, said := recorder()
	r, err := Run(context.Background(), ui, Options{
		Config: Config{BootsOn: []string{"hyperv-gen1"}, Windows: allWindows}, Disk: File(winimagetest.Disk(t, both)), Report: filepath.Join(t.TempDir(), "r.json"),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	var got []string
	for _, f := range finding.Failed(r.Findings, finding.Warn) {
		if f.ID == "boots-on-hyperv-gen1" {
			got = append(got, strings.Join(f.Where.Path, " ")+" "+f.Found)
		}
	}
	if len(got) != 1 || got[0] != "partition 2 unknown: there is no driver disk" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(said.String(), "starts on: hyperv-gen1 (partition 1) yes, hyperv-gen1 (partition 2) unknown") {
		t.Errorf("%s", said)
	}
}
