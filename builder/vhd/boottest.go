//go:generate go tool packer-sdc mapstructure-to-hcl2 -type BootTest
//go:generate go tool packer-sdc struct-markdown

package vhd

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boottest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// BootTest is the block `boot_test`: after the proof, and before the output gets its
// name, a throw-away overlay of it boots on the same hypervisor. The image itself is
// opened read-only and does not change. It is not done with an existing machine.
type BootTest struct {
	// Boot a clone of the image. Defaults to `true` where the block is there.
	Enabled config.Trilean `mapstructure:"enabled"`
	// How far the clone has to come: `oobe` (it waits in OOBE for a person, or is
	// past it), `logon` (Windows Setup is over: ImageState is
	// `IMAGE_STATE_COMPLETE`), `audit` (audit mode) or `auto`: `audit` for an image
	// whose state or answer file leads there, `logon` for one whose answer file answers
	// every page of OOBE in its pass oobeSystem, else `oobe`, and which pages are open is
	// said before the boot. With `communicator = "winrm"` it is `logon` in place of `oobe`.
	// Defaults to `auto`.
	Reach string `mapstructure:"reach"`
	// What a clone does to the build that does not come that far: `fail` (nothing is
	// handed over) or `warn`. Defaults to `fail`.
	OnFailure string `mapstructure:"on_failure"`
	// The limit of the whole boot. Without KVM, HVF or WHPX a first boot takes 10
	// to 20 times as long: raise it, and those of the phases. When a limit is over, the
	// clone is switched off and its disk still has the last word. Defaults to `60m`.
	Timeout time.Duration `mapstructure:"timeout"`
	// How long firmware and boot loader may take. Defaults to `10m`.
	StartTimeout time.Duration `mapstructure:"start_timeout"`
	// How long the start of Windows and specialize may take, each. Defaults to `30m`.
	SpecializeTimeout time.Duration `mapstructure:"specialize_timeout"`
	// How long OOBE may take where an answer file has to pass it, and how long the
	// communicator may keep silent after it. Defaults to `30m`.
	OOBETimeout time.Duration `mapstructure:"oobe_timeout"`
	// How long the clone may show no sign of life: no write to its disk, no new
	// screen, no restart. Defaults to `15m`.
	StallTimeout time.Duration `mapstructure:"stall_timeout"`
	// `winrm`: the clone also has to take a login over WinRM and say itself that
	// Windows Setup is over, with the transport settings of the source
	// (`winrm_port`, `winrm_use_ssl`, `winrm_insecure`, `winrm_use_ntlm`).
	// For images whose answer file opens WinRM. Defaults to `none`.
	Communicator string `mapstructure:"communicator"`
	// The account of the clone. Defaults to the `winrm_username` of the source.
	WinRMUser string `mapstructure:"winrm_username"`
	// Its password. Defaults to the `winrm_password` of the source.
	WinRMPassword string `mapstructure:"winrm_password"`
	// Where pictures of the screen are kept, one a phase and `end.png`, and of a
	// clone that failed the logs of its first boot. Files of an earlier test with these
	// names are replaced. Defaults to `<output_directory>-boot-test`.
	LogDirectory string `mapstructure:"log_directory"`
}

// Values of boot_test.on_failure.
const (
	onFailureFail = "fail"
	onFailureWarn = "warn"
)

// wanted says whether a clone is booted.
func (b *BootTest) wanted() bool { return b != nil && !b.Enabled.False() }

// prepareBootTest fills in defaults and says what is wrong with the block.
func (c *Config) prepareBootTest() (errs []error) {
	b := c.BootTest
	if !b.wanted() {
		return nil
	}
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("boot_test."+format, args...))
		}
	}
	if _, makes := c.driver().(hypervisor.Maker); !makes {
		return nil // ofMakers says that it is not for this hypervisor
	}
	choice(&errs, "boot_test.reach", &b.Reach, string(boottest.ReachAuto), boottest.Reaches()...)
	choice(&errs, "boot_test.on_failure", &b.OnFailure, onFailureFail, onFailureFail, onFailureWarn)
	choice(&errs, "boot_test.communicator", &b.Communicator, "none", "none", "winrm")
	for _, limit := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"timeout", &b.Timeout, time.Hour}, {"start_timeout", &b.StartTimeout, 10 * time.Minute},
		{"specialize_timeout", &b.SpecializeTimeout, 30 * time.Minute}, {"oobe_timeout", &b.OOBETimeout, 30 * time.Minute},
		{"stall_timeout", &b.StallTimeout, 15 * time.Minute},
	} {
		refuse(*limit.value < 0, "%s: %s is negative; write a duration such as %q", limit.name, *limit.value, limit.preset)
		*limit.value = cmp.Or(*limit.value, limit.preset)
	}
	switch b.Communicator {
	case "winrm":
		b.WinRMUser, b.WinRMPassword = cmp.Or(b.WinRMUser, c.Comm.WinRMUser), cmp.Or(b.WinRMPassword, c.Comm.WinRMPassword)
		refuse(b.WinRMUser == "", "winrm_username: required with communicator = \"winrm\"; name an account that the clone has")
		refuse(b.WinRMPassword == "", "winrm_password: required with communicator = \"winrm\"; Windows refuses an account without a password over the network")
		refuse(b.Reach == string(boottest.ReachOOBE) || b.Reach == string(boottest.ReachAudit), "communicator: WinRM is asked when Windows Setup is over; set boot_test.reach = \"logon\", or remove communicator")
	case "none":
		refuse(b.WinRMUser != "" || b.WinRMPassword != "", "winrm_username, winrm_password: only used with communicator = \"winrm\"; set it, or remove them")
	}
	if b.LogDirectory == "" {
		b.LogDirectory = c.beside("boot-test")
	}
	if c.Verify.Enabled.False() && len(errs) == 0 {
		errs = append(errs, errors.New("boot_test: an image that is not proven is not booted; remove verify.enabled = false, or boot_test"))
	}
	return errs
}

// bootTestPaths says what of the files of a boot test cannot be written.
func (c *Config) bootTestPaths() []error {
	b := c.BootTest
	if !b.wanted() || b.LogDirectory == "" || unknown.In(b.LogDirectory) || strings.TrimSpace(c.OutputDirectory) == "" {
		return nil
	}
	if err := hostfile.WritableFolder(b.LogDirectory); err != nil {
		return []error{fmt.Errorf("boot_test.log_directory: %w", err)}
	}
	return nil
}

func (b *BootTest) limits() boottest.Limits {
	return boottest.Limits{Total: b.Timeout, Start: b.StartTimeout, Specialize: b.SpecializeTimeout, OOBE: b.OOBETimeout, Stall: b.StallTimeout}
}

// clone are the settings with which the clone is reached.
func (c *Config) clone() *Config {
	other := *c
	other.Comm.Type = c.BootTest.Communicator
	if other.Comm.Type == "winrm" {
		other.Comm.WinRMUser, other.Comm.WinRMPassword = c.BootTest.WinRMUser, c.BootTest.WinRMPassword
	}
	other.guard = lockout.New(other.Comm.WinRMUser, lockout.Policy{Most: c.LoginAttempts, Option: "login_attempts"}, nil)
	if c.Comm.Type != "winrm" { // whose defaults have not been filled in
		other.Comm.WinRMPort = cmp.Or(other.Comm.WinRMPort, 5985)
	}
	return &other
}
