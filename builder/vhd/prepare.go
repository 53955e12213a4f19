package vhd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

var (
	formats       = diskimage.Outputs()
	communicators = []string{"winrm", "ssh", "none"}
	// checksum is what Packer's downloader takes; without a type, the length
	// tells it.
	checksum = lazyregexp.New(`^(none|file:.+|((md5:)?[[:xdigit:]]{32}|(sha1:)?[[:xdigit:]]{40}|(sha256:)?[[:xdigit:]]{64}|(sha512:)?[[:xdigit:]]{128}))$`)
)

// prepare decodes and validates. It can be called again, and touches no file
// whose name is not known yet. All errors are returned together.
func (c *Config) prepare(raws ...any) (warnings []string, err error) {
	if err := c.decode(raws...); err != nil {
		names := slices.Collect(maps.Keys(c.FlatMapstructure().HCL2Spec()))
		for _, driver := range c.drivers {
			names = slices.AppendSeq(names, maps.Keys(driver.FlatMapstructure().HCL2Spec()))
		}
		return nil, option.Decoding(err, names)
	}
	var errs *packersdk.MultiError
	for _, list := range [][]error{c.prepareHypervisor(), c.prepareMachine(), c.prepareSource(), c.prepareOutput(), c.prepareSize(), c.prepareTarget(), proof.PrepareBackingFiles(c.BackingFiles), c.prepareCommunicator(), c.prepareLogins(), c.Verify.Prepare(), c.Evidence.Prepare(!c.Verify.Enabled.False()), evidencefile.PrepareSBOM(c.SBOM, !c.Verify.Enabled.False()), c.prepareBootTest(), c.preparePaths(), c.prepareShutdown()} {
		errs = packersdk.MultiErrorAppend(errs, list...)
	}
	warnings, wrong := c.prepareDriver()
	errs = packersdk.MultiErrorAppend(errs, wrong...)
	if c.Comm.Type == "winrm" && c.Comm.WinRMPassword == "" {
		warnings = append(warnings, "winrm_password is empty: Windows refuses an account without a password over the network, unless a policy allows it.")
	}
	if errs != nil && len(errs.Errors) > 0 {
		return warnings, errs
	}
	return warnings, nil
}

// prepareLogins makes the guard of the account.
func (c *Config) prepareLogins() []error {
	c.guard = lockout.New(c.Comm.User(), lockout.Policy{Most: c.LoginAttempts, Option: "login_attempts"}, nil)
	if c.LoginAttempts < 0 {
		return []error{fmt.Errorf("login_attempts: %d is negative; write how many logins in a row may be refused, for instance %d", c.LoginAttempts, lockout.DefaultMost)}
	}
	return nil
}

func (c *Config) prepareShutdown() (errs []error) {
	if c.ShutdownTimeout < 0 {
		errs = append(errs, fmt.Errorf("shutdown_timeout: %s is negative; write a duration such as \"5m\"", c.ShutdownTimeout))
	}
	alone := c.Comm.Type == "none"
	if c.ShutdownTimeout == 0 {
		if c.ShutdownTimeout = 5 * time.Minute; alone {
			c.ShutdownTimeout = 2 * time.Hour
		}
	}
	switch {
	case c.StallTimeout < 0:
		errs = append(errs, fmt.Errorf("stall_timeout: %s is negative; write a duration such as \"15m\"", c.StallTimeout))
	case c.StallTimeout > 0 && !alone && slices.Contains(communicators, c.Comm.Type):
		errs = append(errs, errors.New("stall_timeout: only used with communicator = \"none\"; remove it"))
	case c.StallTimeout == 0 && alone:
		c.StallTimeout = 15 * time.Minute
	}
	if c.Comm.Type == "none" && c.ShutdownCommand != "" {
		errs = append(errs, errors.New("shutdown_command: there is no communicator to send it with; remove it or set communicator"))
	}
	return errs
}

// choice adds to the errors unless a value is one of a list; see option.Choice.
func choice(errs *[]error, name string, value *string, preset string, allowed ...string) {
	if err := option.Choice(name, value, preset, allowed...); err != nil {
		*errs = append(*errs, err)
	}
}

// prepareMachine checks the options of a machine that is to be made.
func (c *Config) prepareMachine() (errs []error) {
	if _, makes := c.driver().(hypervisor.Maker); !makes {
		return nil
	}
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
		errs = append(errs, fmt.Errorf("memory: %d MiB is too little for Windows; give the size in MiB, for instance 4096", c.Memory))
	}
	choice(&errs, "firmware", &c.Firmware, "auto", "auto", "bios", "uefi")
	if strings.EqualFold(c.RTCTimeBase, rtcUTC) {
		c.RTCTimeBase = rtcUTC
	}
	choice(&errs, "rtc_time_base", &c.RTCTimeBase, rtcAuto, rtcAuto, rtcLocal, rtcUTC)
	return errs
}

// wantFile checks that an option names a regular file, if it names anything
// that is known.
func wantFile(name, path string) []error {
	if path == "" || unknown.In(path) {
		return nil
	}
	if weburl.Scheme(path) != "" {
		fix := "download the file and give its path"
		if name == "source_path" {
			fix = "set source_url and source_checksum instead"
		}
		return []error{fmt.Errorf("%s: %s is an address, not a path; %s", name, weburl.Redact(path), fix)}
	}
	err := hostfile.CheckRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []error{fmt.Errorf("%s: %w; name an existing file, by its full path or relative to the folder packer runs in", name, err)}
	case err != nil:
		return []error{fmt.Errorf("%s: %w", name, err)}
	}
	return nil
}

func (c *Config) prepareSource() (errs []error) {
	if _, makes := c.driver().(hypervisor.Maker); !makes {
		return nil
	}
	switch {
	case c.SourcePath == "" && c.SourceURL == "":
		errs = append(errs, errors.New("source_path or source_url: one of them is required; set the disk to start from"))
	case c.SourcePath != "" && c.SourceURL != "":
		errs = append(errs, errors.New("source_path and source_url: both are set, but a build starts from one disk; remove one of them"))
	case c.SourceURL != "" && c.SourceChecksum == "":
		errs = append(errs, errors.New("source_checksum: required with source_url; set it to \"sha256:...\", or to \"none\" to skip the check"))
	case c.SourcePath != "" && c.SourceChecksum != "":
		errs = append(errs, errors.New("source_checksum: only checked for source_url; remove it, or use source_url"))
	case c.SourceURL != "" && !unknown.In(c.SourceChecksum) && !checksum.MatchString(c.SourceChecksum):
		errs = append(errs, fmt.Errorf("source_checksum: %q is not a checksum; write \"sha256:\" and 64 hexadecimal digits, \"file:\" and the path or URL of a list of checksums, or \"none\"", c.SourceChecksum))
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
	switch types := diskimage.VHD.Types(); {
	case c.Format == string(diskimage.VHD), c.VHDType != "" && !slices.Contains(formats, c.Format):
		choice(&errs, "vhd_type", &c.VHDType, types[0], types...)
	case c.VHDType != "":
		errs = append(errs, fmt.Errorf("vhd_type: only valid with format = \"vhd\", not %q; remove one of them", c.Format))
	}
	return errs
}

// prepareTarget is for when prepareOutput has put the defaults in: Go does not say when the
// arguments of a call in a list are read, only that the calls are made in their order.
func (c *Config) prepareTarget() []error { return c.Verify.PrepareTarget(c.Format, c.VHDType) }

// prepareSize says at once what a source that lies here cannot become. Whatever
// else is wrong with it is told by the build, which may find it in another state.
func (c *Config) prepareSize() []error {
	option, path := "source_path", c.SourcePath
	if path == "" {
		option, path = "source_url", localFile(c.SourceURL)
	}
	if _, makes := c.driver().(hypervisor.Maker); !makes || path == "" || unknown.In(path) || weburl.Scheme(path) != "" ||
		!slices.Contains(formats, c.Format) || c.VHDType != "" && !slices.Contains(diskimage.VHD.Types(), c.VHDType) {
		return nil
	}
	info := infoWithin(lookLimit, path, c.BackingFiles)
	if info == nil {
		return nil
	}
	if err := diskimage.CanHold(*info, c.conversion()); err != nil {
		return []error{fmt.Errorf("%s, format: the output cannot be made of %s: %w", option, path, err)}
	}
	return nil
}

// lookLimit bounds the look at a source in validation, which reads its headers.
const lookLimit = 10 * time.Second

// infoWithin is what a disk says of itself; nil where it cannot be read, or not in
// time: a look at storage that hangs is abandoned.
func infoWithin(limit time.Duration, path string, backing []string) *diskimage.Info {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	found := make(chan *diskimage.Info, 1)
	open := openSource // what is abandoned may outlive the test that has set it
	go func() {
		defer cancel()
		disk, err := open(path, diskimage.Until(ctx), diskimage.Allow(backing...))
		if err != nil {
			found <- nil
			return
		}
		info := disk.Info()
		disk.Close()
		found <- &info
	}()
	select {
	case info := <-found:
		return info
	case <-ctx.Done():
	}
	select {
	case info := <-found: // it ended, and with it the context
		return info
	default:
		return nil
	}
}

// openSource opens a disk; a variable, so that a test can have storage that hangs.
var openSource = diskimage.Open

func (c *Config) prepareCommunicator() (errs []error) {
	if choice(&errs, "communicator", &c.Comm.Type, "winrm", communicators...); len(errs) > 0 || c.Comm.Type == unknown.Value {
		return errs // what else is asked for depends on it
	}
	errs = c.Comm.Prepare(&c.ctx)
	if port := c.Comm.Port(); port < 0 || port > 65535 {
		errs = append(errs, fmt.Errorf("%s_port: %d is not between 1 and 65535", c.Comm.Type, port))
	}
	if _, takes := c.driver().(hypervisor.Taker); takes && c.Comm.Type == "ssh" && c.Comm.SSHBastionHost != "" && c.Comm.SSHBastionInteractive {
		errs = append(errs, fmt.Errorf("ssh_bastion_interactive: with hypervisor = %q the builder logs in to the bastion by itself, to see when the machine is off; use ssh_bastion_password, ssh_bastion_private_key_file or ssh_bastion_agent_auth", c.Hypervisor))
	}
	return append(errs, c.prepareTrust()...)
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
		AlignMiB: diskimage.Format(c.Format).WholeMiB(), Compare: c.Verify.Compare,
		Digest: c.Evidence.Wanted(),
	}
}

// newMachine makes the driver's machine. say tells the user what it finds out.
func (c *Config) newMachine(say func(string)) hypervisor.Machine {
	return c.driver().New(hypervisor.Build{Settings: c.settings(), Say: say, OpenDisk: openDisk, Dial: sshDial(&c.Comm)})
}
