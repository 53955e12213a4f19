package vhd

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/rpc"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

// valid returns the smallest configuration, with changes laid over it; a nil
// value removes an option.
func valid(t *testing.T, changes map[string]any) map[string]any {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.vhd")
	if err := os.WriteFile(disk, []byte("disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := map[string]any{
		"packer_build_name": "win", "packer_builder_type": "sysprep-vhd",
		"source_path": disk, "winrm_username": "Administrator", "winrm_password": "secret",
	}
	for k, v := range changes {
		if v == nil {
			delete(options, k)
		} else {
			options[k] = v
		}
	}
	return options
}

// existingMachine is the smallest configuration of that kind.
func existingMachine(t *testing.T, changes map[string]any) map[string]any {
	options := valid(t, nil)
	options["hypervisor"], options["disk_path"], options["winrm_host"] = "existing", options["source_path"], "192.0.2.1"
	delete(options, "source_path")
	for k, v := range changes {
		options[k] = v
	}
	return options
}

func TestDefaultsAreComplete(t *testing.T) {
	var c Config
	warnings, err := c.prepare(valid(t, nil))
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	got := []any{c.Hypervisor, c.CPUs, c.Memory, c.Firmware, c.RTCTimeBase,
		c.OutputDirectory, c.OutputName, c.Format, c.VHDType, c.Compact, c.ShutdownTimeout, c.Comm.Type, c.guestPort(), c.outputPath(), c.screenPath()}
	want := []any{"qemu", 2, 4096, "auto", "auto",
		"output-win", "packer-win", "vhd", "fixed", config.TriTrue, 5 * time.Minute, "winrm", 5985, filepath.Join("output-win", "packer-win.vhd"), "output-win-screen.png"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestOtherValidConfigurations(t *testing.T) {
	for name, changes := range map[string]map[string]any{
		"a download":                     {"source_path": nil, "source_url": "https://example.com/x.vhdx", "source_checksum": "sha256:" + strings.Repeat("0", 64)},
		"a download and its list":        {"source_path": nil, "source_url": "https://example.com/x.vhdx", "source_checksum": "file:https://example.com/SHA256SUMS"},
		"a communicator not known yet":   {"communicator": "<unknown>"},
		"a download without checksum":    {"source_path": nil, "source_url": "https://example.com/x.vhdx", "source_checksum": "none"},
		"a clock in small letters":       {"rtc_time_base": "utc"},
		"SSL moves the port":             {"winrm_use_ssl": true},
		"a pin":                          {"winrm_use_ssl": true, "winrm_pin": strings.Repeat("0A:", 31) + "0A"},
		"a CA and a pin not known yet":   {"winrm_use_ssl": true, "winrm_ca_file": "<unknown>", "winrm_pin": "<unknown>"},
		"a pin for another communicator": {"communicator": "none", "winrm_pin": "x"},
		"OpenSSH":                        {"communicator": "ssh", "ssh_username": "a", "ssh_password": "b"},
		"no communicator":                {"communicator": "none"},
		"a dynamic VHD":                  {"vhd_type": "dynamic"},
		"qcow2":                          {"format": "qcow2"},
		"IDE with UEFI on pc":            {"firmware": "uefi", "machine_type": "pc", "disk_interface": "ide"},
		"a window":                       {"headless": false},
		"a path not known yet":           {"source_path": "<unknown>"},
		"part of a path not known yet":   {"source_path": "disks/<unknown>.vhd"},
		"choices not known yet":          {"accelerator": "<unknown>", "format": "<unknown>", "hypervisor": "<unknown>", "vhd_type": "fixed"},
		"strict about targets":           {"verify": map[string]any{"boots_on": []string{"hyperv"}, "boots_on_strict": true}},
		"targets not known yet":          {"verify": map[string]any{"boots_on": "<unknown>", "boots_on_strict": true}},
		"arguments for QEMU":             {"qemu_arguments": []string{"-device", "usb-tablet"}},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			options := valid(t, changes)
			for range 2 { // HCL2 may prepare twice
				if _, err := c.prepare(options); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	var c Config
	warnings, err := c.prepare(existingMachine(t, nil))
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "cannot see whether") {
		t.Errorf("existing: %v, %v", warnings, err)
	}
	warnings, err = c.prepare(valid(t, map[string]any{"winrm_password": nil}))
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "winrm_password is empty") {
		t.Errorf("no password: %v, %v", warnings, err)
	}
}

func TestContradictionsAreRefusedWithTheFix(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]any
		want    []string
	}{
		"strict about no target":         {map[string]any{"verify": map[string]any{"boots_on_strict": true}}, []string{"verify.boots_on_strict: it refuses nothing, because verify.boots_on names no target", `boots_on = ["azure-gen2"], or remove boots_on_strict`}},
		"strict about an empty list":     {map[string]any{"verify": map[string]any{"boots_on": []string{}, "boots_on_strict": true}}, []string{"verify.boots_on_strict: "}},
		"no disk":                        {map[string]any{"source_path": nil}, []string{"source_path or source_url: one of them is required"}},
		"two disks":                      {map[string]any{"source_url": "http://x/y", "source_checksum": "none"}, []string{"source_path and source_url: both are set"}},
		"a download without a word":      {map[string]any{"source_path": nil, "source_url": "http://x/y"}, []string{"source_checksum: required with source_url", `"none"`}},
		"half a checksum":                {map[string]any{"source_path": nil, "source_url": "http://x/y", "source_checksum": "sha256:00"}, []string{`source_checksum: "sha256:00" is not a checksum`, `"none"`}},
		"a port that is none":            {map[string]any{"winrm_port": 99999}, []string{"winrm_port: 99999 is not between 1 and 65535"}},
		"TLS options without TLS":        {map[string]any{"winrm_pin": strings.Repeat("0a", 32)}, []string{"winrm_ca_file and winrm_pin have an effect only with TLS; set winrm_use_ssl = true"}},
		"any certificate and one":        {map[string]any{"winrm_use_ssl": true, "winrm_insecure": true, "winrm_pin": strings.Repeat("0a", 32)}, []string{"winrm_insecure accepts any certificate"}},
		"half a pin":                     {map[string]any{"winrm_use_ssl": true, "winrm_pin": "0a:0b"}, []string{"winrm_pin: it is not a SHA-256 fingerprint; write 64"}},
		"a CA that is not there":         {map[string]any{"winrm_use_ssl": true, "winrm_ca_file": "/no/ca.pem"}, []string{"winrm_ca_file: " + absent("/no/ca.pem")}},
		"a duration without a unit":      {map[string]any{"shutdown_timeout": "5"}, []string{"shutdown_timeout", `has no unit; write "5s", "5m" or "5h"`}},
		"a checksum of a local file":     {map[string]any{"source_checksum": "none"}, []string{"source_checksum: only checked for source_url"}},
		"a disk that is not there":       {map[string]any{"source_path": "/no/such/disk"}, []string{"source_path: ", absent("/no/such/disk")}},
		"a directory as a disk":          {map[string]any{"source_path": "/"}, []string{"is not a regular file"}},
		"an unknown hypervisor":          {map[string]any{"hypervisor": "xen", "cpus": 999, "firmware": "x"}, []string{`hypervisor: "xen" is not one of qemu, existing`, "cpus: 999", "firmware:"}},
		"an unknown accelerator":         {map[string]any{"accelerator": "fast"}, []string{"accelerator: ", "auto, kvm, hvf, whpx, tcg"}},
		"an unknown firmware":            {map[string]any{"firmware": "efi"}, []string{"auto, bios, uefi"}},
		"an unknown disk interface":      {map[string]any{"disk_interface": "scsi"}, []string{"disk_interface: "}},
		"an unknown network interface":   {map[string]any{"network_interface": "rtl8139"}, []string{"network_interface: "}},
		"an unknown clock":               {map[string]any{"rtc_time_base": "gmt"}, []string{`rtc_time_base: "gmt" is not one of auto, local, UTC`}},
		"an unknown format":              {map[string]any{"format": "vmdk"}, []string{"format: ", "vhd, vhdx, qcow2, raw"}},
		"QEMU's name of the format":      {map[string]any{"format": "vpc"}, []string{"vhd, vhdx, qcow2, raw"}},
		"an unknown VHD type":            {map[string]any{"vhd_type": "differencing"}, []string{"fixed, dynamic"}},
		"a VHD type for qcow2":           {map[string]any{"vhd_type": "fixed", "format": "qcow2"}, []string{`vhd_type: only valid with format = "vhd"`}},
		"IDE on q35":                     {map[string]any{"disk_interface": "ide", "machine_type": "q35"}, []string{`use "sata"`}},
		"IDE with UEFI":                  {map[string]any{"disk_interface": "ide", "firmware": "uefi"}, []string{`use "sata"`}},
		"half a firmware":                {map[string]any{"efi_firmware_code": "/no/code.fd"}, []string{"belong together", "efi_firmware_code: " + absent("/no/code.fd")}},
		"UEFI code for BIOS":             {map[string]any{"efi_firmware_code": "<unknown>", "efi_firmware_vars": "<unknown>", "firmware": "bios"}, []string{`firmware is "bios"`}},
		"a path as a name":               {map[string]any{"output_name": "../x"}, []string{"put folders into output_directory"}},
		"an extension in the name":       {map[string]any{"output_name": "x.VHD"}, []string{"leave the extension out"}},
		"memory in GiB":                  {map[string]any{"memory": 8}, []string{"memory: 8 MiB", "in MiB"}},
		"negative processors":            {map[string]any{"cpus": -1}, []string{"cpus: -1"}},
		"a negative timeout":             {map[string]any{"shutdown_timeout": "-1s"}, []string{"is negative"}},
		"no user":                        {map[string]any{"winrm_username": nil}, []string{"winrm_username must be specified"}},
		"a host for QEMU":                {map[string]any{"winrm_host": "192.0.2.1"}, []string{"winrm_host: QEMU's guest"}},
		"a command without communicator": {map[string]any{"communicator": "none", "shutdown_command": "shutdown /s"}, []string{"no communicator to send it"}},
		"a docker communicator":          {map[string]any{"communicator": "docker"}, []string{`communicator: "docker" is not one of winrm, ssh, none`}},
		"a disk of an existing machine":  {map[string]any{"disk_path": "x"}, []string{`disk_path: only valid with hypervisor = "existing"`}},
		"settling of QEMU":               {map[string]any{"power_off_settle": "1m"}, []string{"power_off_settle: only valid with"}},
		"an unknown option":              {map[string]any{"disk_size": 3}, []string{"disk_size"}},
		"everything at once": {map[string]any{"source_path": nil, "accelerator": "fast", "format": "vmdk", "memory": 1, "winrm_username": nil},
			[]string{"source_path", "accelerator", "format", "memory", "winrm_username"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, valid(t, c.changes), c.want) })
	}
	for name, c := range map[string]struct {
		changes map[string]any
		want    []string
	}{
		"existing without a host":       {map[string]any{"winrm_host": ""}, []string{"winrm_host: required"}},
		"existing without its disk":     {map[string]any{"disk_path": ""}, []string{"disk_path: required"}},
		"existing with QEMU's options":  {map[string]any{"cpus": 4, "rtc_time_base": "UTC", "headless": false}, []string{`cpus, rtc_time_base: only valid with`, `headless: only valid with hypervisor = "qemu"; remove it or change hypervisor`}},
		"existing with a source":        {map[string]any{"source_url": "http://x/y"}, []string{`source_url: only valid with hypervisor = "qemu", "layered" or "simulated"; remove it`}},
		"existing out of reach":         {map[string]any{"communicator": "none"}, []string{"has to be reachable"}},
		"existing with too little time": {map[string]any{"shutdown_timeout": "30s"}, []string{"not longer than power_off_settle (1m0s)"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, existingMachine(t, c.changes), c.want) })
	}
}

func refused(t *testing.T, options map[string]any, want []string) {
	t.Helper()
	var c Config
	_, err := c.prepare(options)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is in: %v", err)
	}
}

func TestSchemaCrossesTheWire(t *testing.T) {
	spec := new(Builder).ConfigSpec()
	if len(spec) < 50 || spec["source_path"] == nil || spec["winrm_username"] == nil {
		t.Fatalf("%d options", len(spec))
	}
	for name, s := range spec {
		if _, err := rpc.ToProto(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrepareOfTheBuilder(t *testing.T) {
	var b Builder
	vars, _, err := b.Prepare(valid(t, nil))
	if err != nil || vars != nil {
		t.Errorf("%v, %v", vars, err)
	}
}

// absent is what this system says of a file that is not there.
func absent(path string) string {
	_, err := os.Stat(path)
	return err.Error()
}
