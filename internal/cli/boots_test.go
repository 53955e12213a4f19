package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestInspectSaysWhereAnImageStarts(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{
		Generalized: true, Drivers: []string{"acpi", "disk", "partmgr", "volmgr", "mountmgr", "intelide", "atapi"}, Devices: []string{`PCI\VEN_8086&DEV_7111`},
	})
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"nothing is asked", nil, OK, "PROVEN", ""},
		{"yes, and what is missing besides", []string{"--boots-on", "hyperv"}, OK, "\nstarts on:     hyperv yes\n", ""},
		{"what is besides is a warning", []string{"--boots-on", "hyperv"}, OK, "there is no network card of Hyper-V", ""},
		{"no", []string{"--boots-on", "hyperv, qemu-virtio"}, NotOK, "starts on:     hyperv yes, qemu-virtio no", ""},
		{"given twice", []string{"--boots-on", "hyperv", "--boots-on", "qemu-ide,hyperv"}, OK, "starts on:     hyperv yes, qemu-ide yes\n", ""},
		{"unknown", []string{"--boots-on", "qemu-ahci"}, OK, "qemu-ahci unknown", ""},
		{"unknown, strict", []string{"--boots-on", "qemu-ahci", "--boots-on-strict"}, NotOK, "NOT PROVEN", ""},
		{"the raw disk is nothing for Azure", []string{"--boots-on=azure"}, NotOK, "Azure does not take the file", ""},
		{"no such target", []string{"--boots-on", "hyperv,moon"}, CannotDo, "", "--boots-on moon: name some of hyperv, hyperv-gen1"},
		{"a list of nothing, as an empty variable leaves it", []string{"--boots-on", ","}, CannotDo, "", "--boots-on ,: no target is named; name some of hyperv, hyperv-gen1"},
		{"strict about nothing", []string{"--boots-on-strict"}, CannotDo, "", "--boots-on-strict: it is about --boots-on"},
	} {
		code, stdout, stderr := run(t, append([]string{"inspect", disk}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", c.name, code, c.code, stdout, stderr)
		}
		if c.args == nil && strings.Contains(stdout, "starts on") {
			t.Errorf("%s: it is said\n%s", c.name, stdout)
		}
	}
	_, stdout, _ := run(t, "inspect", "--json", "--boots-on", "hyperv,secure-boot-2011", disk)
	schematest.Valid(t, []byte(stdout))
	var got struct{ Facts winimage.Facts }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Facts.Windows[0].Starting; s == nil || s.Found("atapi").FileIs != winimage.There || s.Bound(`PCI\VEN_8086&DEV_7111`).Presence != winimage.There || s.Database != "DriverDatabase" {
		t.Errorf("%+v", s)
	}
}
