package winsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// Outcome is how a sysprep run ends.
type Outcome string

// The outcomes. Refused and broken take their log lines from a failure class.
const (
	Success Outcome = "success"
	Refused Outcome = "refused" // in validation: the machine is untouched
	Broken  Outcome = "broken"  // in the middle: IMAGE_STATE_UNDEPLOYABLE for ever
	Hang    Outcome = "hang"    // the process lives on and the log stands still
	Slow    Outcome = "slow"    // success after ten times the time, the log growing
)

// Duration is a time.Duration that is written like "1m30s" in JSON.
type Duration time.Duration

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads text such as "1m30s".
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("a duration is text such as \"1m30s\": %w", err)
	}
	v, err := time.ParseDuration(text)
	*d = Duration(v)
	return err
}

// WinRMState is how the WinRM service is to be reached.
type WinRMState string

// The states of the WinRM service.
const (
	WinRMUp        WinRMState = ""
	WinRMNoShells  WinRMState = "401"       // everything that creates a shell is refused, open shells live on
	WinRMBlackHole WinRMState = "blackhole" // accepts and never answers
	WinRMClosed    WinRMState = "close"     // connection refused
	WinRMReset     WinRMState = "reset"     // open connections are broken, the port closed
)

// StartState is the state the machine is found in.
type StartState string

// The states a machine may be found in.
const (
	Clean         StartState = ""
	Generalized   StartState = "generalized"    // sysprep /quit was run and nobody rebooted
	SetupRunning  StartState = "setup"          // first boot is not over, for Scenario.SetupFor
	Audit         StartState = "audit"          // audit mode, with its sysprep window open
	SysprepOpen   StartState = "sysprep-open"   // another sysprep is running
	Unfinished    StartState = "unfinished"     // an earlier generalize failed midway: GeneralizationState 3
	Undeployable  StartState = "undeployable"   // the same, and ImageState says so
	NoSysprep     StartState = "no-sysprep"     // sysprep.exe was removed
	RebootPending StartState = "reboot-pending" // updates wait for a reboot
)

// startStates are all of them.
var startStates = []StartState{Clean, Generalized, SetupRunning, Audit, SysprepOpen, Unfinished, Undeployable, NoSysprep, RebootPending}

// Scenario says how the machine behaves. The zero value is a clean Windows
// Server 2022 in a workgroup on which sysprep succeeds.
type Scenario struct {
	Outcome Outcome `json:"outcome,omitempty"`
	// Class is the failure class of Refused and Broken (F01, F22, ...), as
	// setuplog lists them; Packages are the names in F01.
	Class    string   `json:"class,omitempty"`
	Packages []string `json:"packages,omitempty"`
	// HangIn is where Hang stops: "validate", "generalize" (default), "dialog", an
	// invisible message box after the end of validation, or one of setuplog.Hang.
	HangIn string `json:"hang_in,omitempty"`
	// Validate and Generalize are how long the two halves of a run take.
	Validate   Duration `json:"validate,omitempty"`
	Generalize Duration `json:"generalize,omitempty"`

	// WinRMDies is what becomes of WinRM in the middle of generalize, while
	// sysprep goes on; WinRMBack lets it come back after that time.
	WinRMDies WinRMState `json:"winrm_dies,omitempty"`
	WinRMBack Duration   `json:"winrm_back,omitempty"`
	// WinRMDelay is how long after boot the service answers.
	WinRMDelay Duration `json:"winrm_delay,omitempty"`

	Start    StartState `json:"start,omitempty"`
	SetupFor Duration   `json:"setup_for,omitempty"`
	StaleTag bool       `json:"stale_tag,omitempty"`

	// StaleLog leaves the log of a good run of 2019; LogLocked keeps another
	// program's hand on the log, so that it cannot be moved.
	StaleLog  bool `json:"stale_log,omitempty"`
	LogLocked bool `json:"log_locked,omitempty"`

	// Clock is how far the guest's clock is from the host's; Zone is how far its
	// local time is from UTC, 0 the host's zone.
	Clock Duration `json:"clock,omitempty"`
	Zone  Duration `json:"zone,omitempty"`

	// Unarmed leaves SetupType and CmdLine as they were, though all else says
	// success. Afterwards is what follows success while sysprep.exe lives on, for
	// Lingers.
	Unarmed    bool       `json:"unarmed,omitempty"`
	Afterwards Afterwards `json:"afterwards,omitempty"`
	Lingers    Duration   `json:"lingers,omitempty"`
	// RestartsInstead restarts the machine where sysprep asked for a power-off.
	// FirstBoot is how far a generalized image then comes by itself.
	RestartsInstead bool   `json:"restarts_instead,omitempty"`
	FirstBoot       string `json:"first_boot,omitempty"`

	// Agents are the agents of clouds that are installed, by their names, and Agent
	// is how one goes that is run.
	Agents []string `json:"agents,omitempty"`
	Agent  Agent    `json:"agent,omitzero"`
	// AzureAgent is how long after boot the services of Azure's agent run; 0: they
	// are not installed.
	AzureAgent Duration `json:"azure_agent,omitempty"`

	// ShellProcessesSurvive lets programs outlive the WinRM shell they were
	// started in. Whether Windows does is not known for sure.
	ShellProcessesSurvive bool `json:"shell_processes_survive,omitempty"`
	// AutoRun is what every cmd.exe prints first, byte by byte as the registry's
	// AutoRun makes it.
	AutoRun string `json:"auto_run,omitempty"`
	// PowerShell is what becomes of PowerShell's standard output.
	PowerShell PowerShellOutput `json:"powershell,omitzero"`

	// QuietHidesUsage lets /quiet suppress the usage box after a malformed
	// command line too.
	QuietHidesUsage bool `json:"quiet_hides_usage,omitempty"`
	// CreateReturn is what Win32_Process.Create returns; 0 is success.
	CreateReturn int `json:"create_return,omitempty"`
	// TasksFail: the task service finds no program.
	TasksFail bool `json:"tasks_fail,omitempty"`
	// IgnoresPowerButton models a guest that does not react to ACPI.
	IgnoresPowerButton bool `json:"ignores_power_button,omitempty"`
	// ShutdownTakes and BootTakes are the times from the command to power-off
	// and from power-on to WinRM.
	ShutdownTakes Duration `json:"shutdown_takes,omitempty"`
	BootTakes     Duration `json:"boot_takes,omitempty"`

	// Lockout is when wrong passwords lock an account. AccountAfter is how long
	// after its start the guest knows the account's password.
	Lockout      Lockout  `json:"lockout,omitzero"`
	AccountAfter Duration `json:"account_after,omitempty"`

	// Replay makes the machine do what a recorded one did; of the rest only what the
	// machine is counts then, not what it does.
	Replay *Replay `json:"replay,omitempty"`

	// SSH is the OpenSSH server beside WinRM.
	SSH SSH `json:"ssh,omitzero"`

	Unkind
	Condition
	Repairs
	Hygiene
}

// PowerShellOutput says how PowerShell's output differs from what a script
// writes. What the script does is the same.
type PowerShellOutput struct {
	Prefix string `json:"prefix,omitempty"` // comes before anything of the script
	Suffix string `json:"suffix,omitempty"` // comes after it
	UTF16  bool   `json:"utf16,omitempty"`  // UTF-16LE with a byte order mark
	Silent bool   `json:"silent,omitempty"` // nothing arrives
}

// ParseScenario reads a scenario from JSON. Unknown members are errors: a
// misspelt one would silently test something else. Empty text is the zero
// Scenario.
func ParseScenario(text string) (Scenario, error) {
	var s Scenario
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("parsing scenario: %w", err)
	}
	return s, s.check()
}

func (s Scenario) check() error {
	var errs []error
	switch s.Outcome {
	case "", Success, Hang, Slow:
	case Refused, Broken:
		f, ok := setuplog.Find(s.Class)
		if !ok || (f.Phase == setuplog.Provider) != (s.Outcome == Broken) || s.Class == "F50" {
			errs = append(errs, fmt.Errorf("class %q cannot end a run as %q", s.Class, s.Outcome))
		}
	default:
		errs = append(errs, fmt.Errorf("unknown outcome %q", s.Outcome))
	}
	switch s.HangIn {
	case "", "validate", "generalize", "dialog":
	default:
		if _, ok := setuplog.Hang(s.HangIn); !ok {
			errs = append(errs, fmt.Errorf("unknown hang_in %q", s.HangIn))
		}
	}
	switch s.WinRMDies {
	case WinRMUp, WinRMNoShells, WinRMBlackHole, WinRMClosed, WinRMReset:
	default:
		errs = append(errs, fmt.Errorf("unknown winrm_dies %q", s.WinRMDies))
	}
	if !slices.Contains(startStates, s.Start) {
		errs = append(errs, fmt.Errorf("unknown start %q", s.Start))
	}
	return errors.Join(append(errs, s.checkAfterwards(), s.SSH.check(), s.Lockout.check(), s.checkAgents(), s.checkReplay(), s.Unkind.check(), s.Condition.check())...)
}

// or is the duration, or def where there is none.
func (d Duration) or(def time.Duration) time.Duration { return cmp.Or(time.Duration(d), def) }
