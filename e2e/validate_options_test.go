//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Templates around the options of one component.
func builderTemplate(options string) string {
	return "source \"sysprep-vhd\" \"x\" {\n" + options + "\n}\nbuild {\n  sources = [\"sysprep-vhd.x\"]\n}\n"
}

func nullTemplate(blocks string) string {
	return "source \"null\" \"x\" {\n  communicator = \"none\"\n}\nbuild {\n  sources = [\"null.x\"]\n" + blocks + "\n}\n"
}

func provisionerTemplate(options string) string {
	return nullTemplate("  provisioner \"sysprep\" {\n" + options + "\n  }")
}

func imageTemplate(options string) string {
	return nullTemplate("  post-processor \"sysprep-image\" {\n" + options + "\n  }")
}

// Options that are right, for rows about others.
const (
	login    = "winrm_username = \"packer\"\nwinrm_password = \"Build-0nly\"\n"
	disk     = "source_path = \"disk.vhd\"\n"
	existing = login + "hypervisor = \"existing\"\ndisk_path = \"disk.vhd\"\nwinrm_host = \"192.0.2.1\"\n"
)

// TestWrongConfigurationsAreRefused holds Packer's words for wrong options
// against the table: all that is wrong is said at once, and nothing else.
func TestWrongConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		template string
		want     []string
	}{
		// The builder.
		"a builder without anything": {builderTemplate(""), []string{
			"source_path or source_url: one of them is required; set the disk to start from",
			"winrm_username must be specified."}},
		"two disks to start from": {builderTemplate(disk + login + `source_url = "https://example.com/x.vhdx"`), []string{
			"source_path and source_url: both are set, but a build starts from one disk; remove one of them"}},
		"a disk that is not there": {builderTemplate(`source_path = "gone.vhd"` + "\n" + login), []string{
			"source_path: stat gone.vhd: no such file or directory; name an existing file, by its full path or relative to the folder packer runs in"}},
		"a folder for a disk": {builderTemplate(`source_path = "."` + "\n" + login), []string{
			"source_path: . is not a regular file but a folder: name a regular file"}},
		"a download that nobody can check": {builderTemplate(login + `source_url = "https://example.com/x.vhdx"`), []string{
			`source_checksum: required with source_url; set it to "sha256:...", or to "none" to skip the check`}},
		"a checksum with digits missing": {builderTemplate(login + `
			source_url = "https://example.com/x.vhdx"
			source_checksum = "sha256:1234"`), []string{
			`source_checksum: "sha256:1234" is not a checksum; write "sha256:" and 64 hexadecimal digits, "file:" and the path or URL of a list of checksums, or "none"`}},
		"a checksum of a local disk": {builderTemplate(disk + login + `source_checksum = "none"`), []string{
			"source_checksum: only checked for source_url; remove it, or use source_url"}},
		"a hypervisor by the wrong name": {builderTemplate(disk + login + `hypervisor = "hyperv"`), []string{
			`hypervisor: "hyperv" is not one of qemu, existing`}},
		"machine options that do not exist": {builderTemplate(disk + login + `
			cpus = 512
			memory = 8
			accelerator = "fast"
			firmware = "efi"
			disk_interface = "scsi"
			network_interface = "rtl8139"`), []string{
			"cpus: 512 is not between 1 and 255",
			"memory: 8 MiB is too little for Windows; give the size in MiB, for instance 4096",
			`firmware: "efi" is not one of auto, bios, uefi`,
			`accelerator: "fast" is not one of auto, kvm, hvf, whpx, tcg`,
			`disk_interface: "scsi" is not one of auto, ide, sata, nvme, virtio`,
			`network_interface: "rtl8139" is not one of auto, e1000, e1000e, virtio`}},
		"an IDE disk where there is no IDE": {builderTemplate(disk + login + `
			machine_type = "q35"
			disk_interface = "ide"`), []string{
			`disk_interface: machine type q35 has no IDE controller; use "sata", or machine_type = "pc"`}},
		"half a firmware, and that for BIOS": {builderTemplate(disk + login + `
			firmware = "bios"
			efi_firmware_code = "disk.vhd"`), []string{
			"efi_firmware_code and efi_firmware_vars belong together: set both or neither",
			`efi_firmware_code: firmware is "bios"; remove one of them`}},
		"QEMU's name of the format": {builderTemplate(disk + login + `
			format = "vpc"
			vhd_type = "fixed"`), []string{
			`format: "vpc" is not one of vhd, vhdx, qcow2, raw`}},
		"a type of VHD for another format": {builderTemplate(disk + login + `
			format = "qcow2"
			vhd_type = "fixed"`), []string{
			`vhd_type: only valid with format = "vhd", not "qcow2"; remove one of them`}},
		"a path and an extension in the name": {builderTemplate(disk + login + `output_name = "images/server.vhd"`), []string{
			`output_name: "images/server.vhd" is not a plain file name; put folders into output_directory`,
			`output_name: "images/server.vhd": leave the extension out, it follows format`}},
		"a communicator by the wrong name": {builderTemplate(disk + login + `communicator = "winrn"`), []string{
			`communicator: "winrn" is not one of winrm, ssh, none`}},
		"ports that do not exist, and a host": {builderTemplate(disk + login + `
			winrm_port = 99999
			winrm_host = "192.0.2.1"`), []string{
			"winrm_port: 99999 is not between 1 and 65535",
			`winrm_host: QEMU's guest is reached through a forwarded port of this host; remove it, or use hypervisor = "existing"`}},
		"SSH without a user": {builderTemplate(disk + `communicator = "ssh"`), []string{
			`An ssh_username must be specified Note: some builders used to default ssh_username to "root".`}},
		"a shutdown that cannot be sent, and no time for it": {builderTemplate(disk + `
			communicator = "none"
			shutdown_command = "shutdown /s"
			shutdown_timeout = "-5m"`), []string{
			`shutdown_timeout: -5m0s is negative; write a duration such as "5m"`,
			"shutdown_command: there is no communicator to send it with; remove it or set communicator"}},
		"an option of the existing machine for QEMU": {builderTemplate(disk + login + `
			disk_path = "disk.vhd"
			power_off_settle = "1m"`), []string{
			`disk_path, power_off_settle: only valid with hypervisor = "existing"; remove it or change hypervisor`}},
		"an existing machine without its disk and address": {builderTemplate(login + `hypervisor = "existing"`), []string{
			`disk_path: required with hypervisor = "existing"; set the path of the machine's disk`,
			`winrm_host: required with hypervisor = "existing"; set the machine's address`}},
		"an existing machine with QEMU's options": {builderTemplate(existing + `
			source_path = "disk.vhd"
			cpus = 4
			headless = false
			accelerator = "kvm"`), []string{
			`accelerator, cpus, headless, source_path: only valid with hypervisor = "qemu"; remove it or change hypervisor`}},
		"an existing machine that is never seen to be off": {builderTemplate(existing + `
			shutdown_timeout = "1m"
			power_off_settle = "2m"`), []string{
			"shutdown_timeout: 1m0s is not longer than power_off_settle (2m0s), so the machine could never be seen to be off; raise it"}},
		"a proof of what does not exist": {builderTemplate(disk + login + `
			verify {
				expect = "desktop"
				severities = {
					windows = "off"
					secrets = "error"
				}
			}`), []string{
			`verify.expect: "desktop" is not one of oobe, audit`,
			`verify.severities: secrets = "error" is not one of fail, warn, info, off`,
			`verify.severities: windows cannot be "off", because nothing can be asserted without Windows; remove it, or set verify.enabled = false`}},

		// The provisioner.
		"an answer file twice": {provisionerTemplate(`
			answer_file = "unattend.xml"
			answer_file_content = "<unattend/>"`), []string{
			"answer_file and answer_file_content are both set; keep one of them"}},
		"an answer file that is not there": {provisionerTemplate(`answer_file = "gone.xml"`), []string{
			"answer_file: reading gone.xml: stat gone.xml: no such file or directory; name an answer file on the machine that runs packer, relative to the folder packer runs in, or to the template with ${path.root}/"}},
		"an answer file that breaks off": {provisionerTemplate(`answer_file_content = "<unattend"`), []string{
			"answer file answer_file_content, line 1: the file ends inside an element, tag or comment; close what is open; check that the file was copied whole"}},
		"values that do not exist": {provisionerTemplate(`
			mode = "OOBE"
			action = "poweroff"
			run_as = "SYSTEM"
			poll_interval = "1h"`), []string{
			`mode: "OOBE" is not one of oobe, audit`,
			`action: "poweroff" is not one of auto, quit, shutdown, reboot`,
			`run_as: "SYSTEM" is not one of build_user, elevated_user, system`,
			"poll_interval: 1h0m0s is not between 100ms and 30s; the default is 2s"}},
		"/mode:vm without what it needs": {provisionerTemplate(`
			vm_mode = true
			generalize = false
			mode = "audit"`), []string{
			"vm_mode: sysprep accepts /mode:vm only together with /generalize; set generalize = true or remove vm_mode",
			`vm_mode: sysprep accepts /mode:vm only together with /oobe; set mode = "oobe" or remove vm_mode`}},
		"times that contradict each other": {provisionerTemplate(`
			generalize_timeout = "20s"
			stall_timeout = "30s"
			poll_interval = "20s"`), []string{
			"stall_timeout: 30s is longer than generalize_timeout (20s) and would never be reached; shorten it or raise generalize_timeout",
			"poll_interval: 20s is more than half of stall_timeout (30s), so a stall could not be told from a pause; shorten it"}},
		"an elevated user who is not named": {provisionerTemplate(`
			run_as = "elevated_user"
			elevated_password = "Build-0nly"`), []string{
			`run_as: "elevated_user" needs the option elevated_user: the name of a local administrator`,
			"elevated_password: it needs elevated_user; add that, or remove the password"}},
		"SYSTEM as the elevated user": {provisionerTemplate(`elevated_user = "NT AUTHORITY\\SYSTEM"`), []string{
			`elevated_user: sysprep as SYSTEM is not supported by Microsoft; name an administrator, or opt in with run_as = "system"`}},
		"arguments that sysprep does not take": {provisionerTemplate(`extra_arguments = ["oobe", "/Generalize", "/a b"]`), []string{
			`extra_arguments[0]: "oobe" does not begin with /; sysprep would stop in a usage dialog that nobody sees`,
			`extra_arguments[1]: "/Generalize" is what the option generalize is for; remove it and set generalize`,
			`extra_arguments[2]: "/a b" contains a space, a quote or another character that cmd.exe and sysprep do not accept; give one switch per element and use a path without spaces`}},
		"a restart that undoes the work": {builderTemplate(disk+login) + `
			build {
				sources = ["sysprep-vhd.x"]
				provisioner "sysprep" { action = "reboot" }
			}`, []string{
			`action: "reboot" with generalize = true boots the image and so undoes what was asked for, and sysprep-vhd would have to refuse the disk; use "shutdown"`}},

		// The post-processor.
		"options of a conversion without one": {imageTemplate(`
			compact = true
			vhd_type = "fixed"
			output = "x.vhd"`), []string{
			`vhd_type: only valid with format = "vhd"; set format or remove vhd_type`,
			"compact: only valid with format, because the builder's disk is never changed; set format or remove compact",
			"output: only valid with format; set format or remove output"}},
		"an image in a format and type that do not exist": {imageTemplate(`
			format = "vmdk"
			vhd_type = "thin"`), []string{
			`format: "vmdk" is not one of vhd, vhdx, qcow2, raw, wim`,
			`vhd_type: "thin" is not one of fixed, dynamic`}},
		"an image whose name says another format": {imageTemplate(`
			format = "vhdx"
			vhd_type = "dynamic"
			output = "x.vhd"`), []string{
			`vhd_type: only valid with format = "vhd", not "vhdx"; remove one of them`,
			`output: "x.vhd" must end in .vhdx, as format says`}},
		"an image that nothing is done with": {imageTemplate("verify {\n enabled = false\n}"), []string{
			"verify.enabled, format: nothing is left to do without a proof and a conversion; set format or remove the post-processor"}},
		"an image held against what does not exist": {imageTemplate(`
			verify {
				expect = "<oobe>"
				severities = { log = "never" }
			}`), []string{
			`verify.expect: "<oobe>" is not one of oobe, audit`,
			`verify.severities: log = "never" is not one of fail, warn, info, off`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := refused(t, "t.pkr.hcl", c.template)
			want := fmt.Sprintf("%d error(s) occurred: * %s", len(c.want), strings.Join(c.want, " * "))
			if got := listed(out); got != want {
				t.Errorf("packer said  %s\nand not      %s", got, want)
			}
		})
	}
}

// refused runs `packer validate` on a template that is wrong, and returns what
// it says without its line breaks, which depend on the component.
func refused(t *testing.T, name, template string) string {
	t.Helper()
	dir := folder(t, "disk.vhd")
	write(t, filepath.Join(dir, name), template)
	out, _, code := runPacker(t, dir, nil, "validate", name)
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
	if strings.Contains(out, "Build-0nly") {
		t.Errorf("packer shows a password:\n%s", out)
	}
	return strings.Join(strings.Fields(out), " ")
}

var listOfErrors = regexp.MustCompile(`\d+ error\(s\) occurred: .*`)

// listed is the list of errors in what `packer validate` says, without the
// place in the template that follows a builder's.
func listed(out string) string {
	list, _, _ := strings.Cut(listOfErrors.FindString(out), " on t.pkr.hcl line")
	return list
}

// TestOptionsThatPackerItselfRefuses covers what never reaches a component, or
// not as an option that can be judged.
func TestOptionsThatPackerItselfRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, template string
		want           []string
	}{
		"a builder's option misspelt": {"t.pkr.hcl", builderTemplate(disk + login + `output_dir = "x"`), []string{
			"Error: Unsupported argument on t.pkr.hcl line 5:", `An argument named "output_dir" is not expected here.`}},
		"a provisioner's option misspelt": {"t.pkr.hcl", provisionerTemplate(`stall_timout = "5m"`), []string{
			"Unsupported argument", `An argument named "stall_timout" is not expected here. Did you mean "stall_timeout"?`}},
		"a post-processor's option misspelt": {"t.pkr.hcl", imageTemplate(`formt = "vhd"`), []string{
			"Unsupported argument", `An argument named "formt" is not expected here. Did you mean "format"?`}},
		"an option of the block verify misspelt": {"t.pkr.hcl", imageTemplate("verify {\n expct = \"oobe\"\n}"), []string{
			"Unsupported argument", `An argument named "expct" is not expected here. Did you mean "expect"?`}},
		"a value of another type": {"t.pkr.hcl", builderTemplate(disk + login + `cpus = "four"`), []string{
			`Inappropriate value for attribute "cpus": a number is required.`}},
		"two proofs": {"t.pkr.hcl", builderTemplate(disk + login + "verify {}\nverify {}"), []string{
			"Error: Duplicate verify block"}},
		"a duration without a unit, in the builder": {"t.pkr.hcl", builderTemplate(disk + login + `shutdown_timeout = "5"`), []string{
			`shutdown_timeout: "5" has no unit; write "5s", "5m" or "5h"`}},
		"a duration without a unit, in the provisioner": {"t.pkr.hcl", provisionerTemplate(`generalize_timeout = "30"`), []string{
			`generalize_timeout: "30" has no unit; write "30s", "30m" or "30h"`}},
		"a builder's option misspelt, in JSON": {"t.json", `{"builders": [{"type": "sysprep-vhd", "source_pth": "disk.vhd"}]}`, []string{
			`source_pth: there is no such option; did you mean source_path?`}},
		"contradictions in JSON": {"t.json", `{"builders": [{"type": "sysprep-vhd", "winrm_username": "packer", "format": "vpc"}]}`, []string{
			"2 error(s) occurred: * source_path or source_url: one of them is required; set the disk to start from * format: \"vpc\" is not one of vhd, vhdx, qcow2, raw"}},
		"a provisioner in JSON": {"t.json", `{"builders": [{"type": "null", "communicator": "none"}],
			"provisioners": [{"type": "sysprep", "mode": "OOBE", "elevated_password": "Build-0nly"}]}`, []string{
			"2 error(s) occurred: * mode: \"OOBE\" is not one of oobe, audit * elevated_password: it needs elevated_user; add that, or remove the password"}},
		"a post-processor in JSON": {"t.json", `{"builders": [{"type": "null", "communicator": "none"}],
			"post-processors": [{"type": "sysprep-image", "compact": true, "verify": {"expect": "x"}}]}`, []string{
			"2 error(s) occurred: * verify.expect: \"x\" is not one of oobe, audit * compact: only valid with format, because the builder's disk is never changed; set format or remove compact"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := refused(t, c.file, c.template)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("packer did not say %q, but:\n%s", want, out)
				}
			}
		})
	}
}
