package vhd

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor/existing"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor/qemu"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// The hypervisors a user can choose.
const (
	hypervisorQEMU     = "qemu"
	hypervisorExisting = "existing"
)

var (
	formats       = []string{"vhd", "vhdx", "qcow2", "raw"}
	communicators = []string{"winrm", "ssh", "none"}
	// checksum is what Packer's downloader takes; without a type, the length
	// tells it.
	checksum = regexp.MustCompile(`^(none|file:.+|((md5:)?[[:xdigit:]]{32}|(sha1:)?[[:xdigit:]]{40}|(sha256:)?[[:xdigit:]]{64}|(sha512:)?[[:xdigit:]]{128}))$`)
)

// prepare decodes and validates. It can be called again, and touches no file
// whose name is not known yet. All errors are returned together.
func (c *Config) prepare(raws ...any) (warnings []string, err error) {
	*c = Config{}
	if err := config.Decode(c, &config.DecodeOpts{
		PluginType: BuilderID, Interpolate: true, InterpolateContext: &c.ctx,
	}, raws...); err != nil {
		if strings.Contains(err.Error(), "duration") {
			err = fmt.Errorf("%w\n\nwrite a duration with its unit, for instance \"5m\"", err)
		}
		return nil, err
	}
	var errs *packersdk.MultiError
	for _, list := range [][]error{c.prepareMachine(), c.prepareSource(), c.prepareOutput(), proof.PrepareBackingFiles(c.BackingFiles), c.prepareCommunicator(), c.Verify.Prepare(), c.preparePaths()} {
		errs = packersdk.MultiErrorAppend(errs, list...)
	}
	if c.ShutdownTimeout < 0 || c.PowerOffSettle < 0 {
		errs = packersdk.MultiErrorAppend(errs, errors.New("shutdown_timeout and power_off_settle: a duration below zero is none; use for instance \"5m\""))
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 5 * time.Minute
	}
	if c.Hypervisor == hypervisorExisting && c.ShutdownTimeout <= c.PowerOffSettle {
		errs = packersdk.MultiErrorAppend(errs, fmt.Errorf("shutdown_timeout: %s is not longer than power_off_settle (%s), so the machine could never be seen to be off; raise it", c.ShutdownTimeout, c.PowerOffSettle))
	}
	if c.Hypervisor == hypervisorExisting {
		warnings = append(warnings, "hypervisor \"existing\": the plugin cannot see whether the machine is off. It takes a machine that has been silent, with its disk unchanged, for power_off_settle to be off; it cannot switch it off or photograph its screen.")
	}
	if c.Comm.Type == "winrm" && c.Comm.WinRMPassword == "" {
		warnings = append(warnings, "winrm_password is empty: Windows refuses an account without a password over the network, unless a policy allows it.")
	}
	if c.Comm.Type == "none" && c.ShutdownCommand != "" {
		errs = packersdk.MultiErrorAppend(errs, errors.New("shutdown_command: there is no communicator to send it with; remove it or set communicator"))
	}
	if errs != nil && len(errs.Errors) > 0 {
		return warnings, errs
	}
	return warnings, nil
}

// choice fills in a default and checks a value against its list. Values that
// are not known yet pass.
func choice(errs *[]error, option string, value *string, preset string, allowed ...string) {
	if *value == "" {
		*value = preset
	}
	if *value != unknown.Value && !slices.Contains(allowed, *value) {
		*errs = append(*errs, fmt.Errorf("%s: %q is not one of %s", option, *value, strings.Join(allowed, ", ")))
	}
}

// onlyWith collects options that mean nothing with the chosen hypervisor.
func onlyWith(errs *[]error, other string, set map[string]bool) {
	var names []string
	for name, is := range set {
		if is {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		*errs = append(*errs, fmt.Errorf("%s: only with hypervisor = %q; remove it or change hypervisor", strings.Join(names, ", "), other))
	}
}

func (c *Config) prepareMachine() (errs []error) {
	choice(&errs, "hypervisor", &c.Hypervisor, hypervisorQEMU, hypervisorQEMU, hypervisorExisting)
	if c.Hypervisor == hypervisorExisting {
		onlyWith(&errs, hypervisorQEMU, map[string]bool{
			"cpus": c.CPUs != 0, "memory": c.Memory != 0, "accelerator": c.Accelerator != "", "firmware": c.Firmware != "",
			"machine_type": c.MachineType != "", "cpu_model": c.CPUModel != "", "disk_interface": c.DiskInterface != "",
			"network_interface": c.NetworkInterface != "", "headless": c.Headless != config.TriUnset, "rtc_time_base": c.RTCTimeBase != "", "qemu_binary": c.QemuBinary != "",
			"qemu_arguments": len(c.QemuArguments) > 0, "efi_firmware_code": c.EFIFirmwareCode != "", "efi_firmware_vars": c.EFIFirmwareVars != "",
		})
		if c.PowerOffSettle == 0 {
			c.PowerOffSettle = existing.DefaultSettle
		}
		return errs
	}
	onlyWith(&errs, hypervisorExisting, map[string]bool{"power_off_settle": c.PowerOffSettle != 0})
	if c.CPUs == 0 {
		c.CPUs = 2
	}
	if c.Memory == 0 {
		c.Memory = 4096
	}
	if c.CPUs < 1 || c.CPUs > 255 {
		errs = append(errs, fmt.Errorf("cpus: %d is not between 1 and 255", c.CPUs))
	}
	if c.Memory < 32 {
		errs = append(errs, fmt.Errorf("memory: %d MiB is too little for any Windows; it is given in MiB, for instance 4096", c.Memory))
	}
	choice(&errs, "accelerator", &c.Accelerator, "auto", qemu.Accelerators...)
	choice(&errs, "firmware", &c.Firmware, "auto", "auto", "bios", "uefi")
	choice(&errs, "disk_interface", &c.DiskInterface, "auto", qemu.DiskInterfaces...)
	choice(&errs, "network_interface", &c.NetworkInterface, "auto", qemu.NetworkInterfaces...)
	if strings.EqualFold(c.RTCTimeBase, rtcUTC) {
		c.RTCTimeBase = rtcUTC
	}
	choice(&errs, "rtc_time_base", &c.RTCTimeBase, rtcAuto, rtcAuto, rtcLocal, rtcUTC)
	if c.MachineType == "" {
		c.MachineType = "auto"
	}
	q35 := c.MachineType == "q35" || strings.HasPrefix(c.MachineType, "pc-q35")
	if c.DiskInterface == "ide" && (q35 || c.MachineType == "auto" && c.Firmware == "uefi") {
		errs = append(errs, errors.New("disk_interface: machine type q35 has no IDE controller; use \"sata\", or machine_type = \"pc\""))
	}
	if (c.EFIFirmwareCode == "") != (c.EFIFirmwareVars == "") {
		errs = append(errs, errors.New("efi_firmware_code and efi_firmware_vars belong together: set both or neither"))
	}
	if c.EFIFirmwareCode != "" && c.Firmware == "bios" {
		errs = append(errs, errors.New("efi_firmware_code: firmware is \"bios\"; remove one of them"))
	}
	errs = append(errs, wantFile("efi_firmware_code", c.EFIFirmwareCode)...)
	errs = append(errs, wantFile("efi_firmware_vars", c.EFIFirmwareVars)...)
	if c.Headless == config.TriUnset {
		c.Headless = config.TriTrue
	}
	return errs
}

// wantFile checks that an option names a regular file, if it names anything
// that is known.
func wantFile(option, path string) []error {
	if path == "" || unknown.In(path) {
		return nil
	}
	if weburl.Scheme(path) != "" {
		fix := "download the file and give its path"
		if option == "source_path" {
			fix = "set source_url and source_checksum instead"
		}
		return []error{fmt.Errorf("%s: %s is an address, not a path; %s", option, weburl.Redact(path), fix)}
	}
	err := hostfile.CheckRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []error{fmt.Errorf("%s: %w; give a file that is there, by its full path or relative to the folder packer runs in", option, err)}
	case err != nil:
		return []error{fmt.Errorf("%s: %w", option, err)}
	}
	return nil
}

func (c *Config) prepareSource() (errs []error) {
	if c.Hypervisor == hypervisorExisting {
		onlyWith(&errs, hypervisorQEMU, map[string]bool{"source_path": c.SourcePath != "", "source_url": c.SourceURL != "", "source_checksum": c.SourceChecksum != ""})
		if c.DiskPath == "" {
			errs = append(errs, errors.New("disk_path: required with hypervisor = \"existing\"; set the path of the machine's disk"))
		}
		return append(errs, wantFile("disk_path", c.DiskPath)...)
	}
	onlyWith(&errs, hypervisorExisting, map[string]bool{"disk_path": c.DiskPath != ""})
	switch {
	case c.SourcePath == "" && c.SourceURL == "":
		errs = append(errs, errors.New("source_path or source_url: one of them is required; set the disk to start from"))
	case c.SourcePath != "" && c.SourceURL != "":
		errs = append(errs, errors.New("source_path and source_url: only one disk can be started from; remove one of them"))
	case c.SourceURL != "" && c.SourceChecksum == "":
		errs = append(errs, errors.New("source_checksum: required with source_url; set it to \"sha256:...\", or to \"none\" to go without"))
	case c.SourcePath != "" && c.SourceChecksum != "":
		errs = append(errs, errors.New("source_checksum: only checked for source_url; remove it, or use source_url"))
	case c.SourceURL != "" && !unknown.In(c.SourceChecksum) && !checksum.MatchString(c.SourceChecksum):
		errs = append(errs, fmt.Errorf("source_checksum: %q is no checksum; write \"sha256:\" and 64 hexadecimal digits, \"file:\" and the path or URL of a list of checksums, or \"none\"", c.SourceChecksum))
	}
	return append(append(errs, wantFile("source_path", c.SourcePath)...), wantFile("source_url", localFile(c.SourceURL))...)
}

func (c *Config) prepareOutput() (errs []error) {
	if c.OutputDirectory == "" {
		c.OutputDirectory = "output-" + c.PackerBuildName
	}
	if c.OutputName == "" {
		c.OutputName = "packer-" + c.PackerBuildName
	}
	if c.OutputName == "." || c.OutputName == ".." || strings.ContainsAny(c.OutputName, `/\:`) {
		errs = append(errs, fmt.Errorf("output_name: %q is not a plain file name; put folders into output_directory", c.OutputName))
	}
	if c.Compact == config.TriUnset {
		c.Compact = config.TriTrue
	}
	choice(&errs, "format", &c.Format, "vhd", formats...)
	if strings.EqualFold(filepath.Ext(c.OutputName), "."+c.Format) {
		errs = append(errs, fmt.Errorf("output_name: %q: leave the extension out, it follows format", c.OutputName))
	}
	switch {
	case c.Format == "vhd", c.VHDType != "" && !slices.Contains(formats, c.Format):
		choice(&errs, "vhd_type", &c.VHDType, "fixed", "fixed", "dynamic")
	case c.VHDType != "":
		errs = append(errs, fmt.Errorf("vhd_type: only with format = \"vhd\", not %q; remove one of them", c.Format))
	}
	return errs
}

func (c *Config) prepareCommunicator() (errs []error) {
	if choice(&errs, "communicator", &c.Comm.Type, "winrm", communicators...); len(errs) > 0 || c.Comm.Type == unknown.Value {
		return errs // what else is asked for depends on it
	}
	errs = c.Comm.Prepare(&c.ctx)
	if port := c.Comm.Port(); port < 0 || port > 65535 {
		errs = append(errs, fmt.Errorf("%s_port: %d is not between 1 and 65535", c.Comm.Type, port))
	}
	if c.Hypervisor == hypervisorExisting {
		switch {
		case c.Comm.Type == "none":
			errs = append(errs, errors.New("communicator: an existing machine has to be reachable to see when it is off; use winrm or ssh"))
		case c.Comm.Host() == "":
			errs = append(errs, fmt.Errorf("%s_host: required with hypervisor = \"existing\"; set the machine's address", c.Comm.Type))
		}
	} else if c.Comm.Host() != "" {
		errs = append(errs, fmt.Errorf("%s_host: QEMU's guest is reached through a forwarded port of this host; remove it, or use hypervisor = \"existing\"", c.Comm.Type))
	}
	return errs
}

// outputPath is the path of the finished disk.
func (c *Config) outputPath() string {
	return filepath.Join(c.OutputDirectory, c.OutputName+"."+c.Format)
}

// screenPath is where the picture of a failed guest's screen goes.
func (c *Config) screenPath() string { return c.beside("screen.png") }

// beside names a file that outlives the output folder of a failed build.
func (c *Config) beside(what string) string { return filepath.Clean(c.OutputDirectory) + "-" + what }

// guestPort is the port inside the guest that the communicator uses; 0 if none.
func (c *Config) guestPort() int { return c.Comm.Port() }

func (c *Config) conversion() diskimage.Options {
	return diskimage.Options{
		Format: diskimage.Format(c.Format), Type: diskimage.Type(c.VHDType),
		// Azure takes whole MiB only, and nothing minds them.
		AlignMiB: c.Format == "vhd" || c.Format == "vhdx",
		Compare:  c.Verify.Compare,
	}
}

// newHypervisor makes the driver. say tells the user what it finds out, happens
// keeps what becomes of the machine.
func (c *Config) newHypervisor(say func(string), happens func(hypervisor.Event)) hypervisor.Hypervisor {
	if c.Hypervisor == hypervisorExisting {
		options := existing.Options{
			Endpoint: hypervisor.Endpoint{Host: c.Comm.Host(), Port: c.Comm.Port()},
			DiskPath: c.DiskPath, Settle: c.PowerOffSettle, OpenDisk: openDisk, Say: say,
		}
		if c.Comm.Type != "winrm" {
			options.Answers = existing.Listens
		}
		return existing.New(options)
	}
	return qemu.New(qemu.Options{
		Binary: c.QemuBinary, MachineType: c.MachineType, CPUModel: c.CPUModel,
		FirmwareCode: c.EFIFirmwareCode, FirmwareVars: c.EFIFirmwareVars, Say: say, OnEvent: happens,
	})
}
