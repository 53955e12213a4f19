package sysprep

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// ownBuilder is the builder that proves the disk after the guest is off.
const ownBuilder = "sysprep-vhd"

// Plan is what a run is going to do. It follows from the options alone.
type Plan struct {
	Action    string // what sysprep does: quit, shutdown or reboot
	Then      string // what this run does after before_shutdown, where sysprep has to quit for it: shutdown or reboot; else empty
	Why       string // why auto chose it; empty when the user did
	Arguments string // everything after sysprep.exe; empty where something else starts it
	// Starter is what starts sysprep, as a person calls it, and Lines the batch file that
	// runs it; empty: the provisioner does. StarterLogs are its logs, below the system
	// drive.
	Starter            string
	Lines, StarterLogs []string
	// AnswerFile is where it goes in the guest, without blanks: sysprep stops
	// in a dialog at a blank that is not quoted. Empty when there is none.
	AnswerFile string
	// AnswerFolder is a folder for AnswerFile alone: Packer's upload makes the
	// file anew, and only a folder can say who may read what is made in it.
	AnswerFolder string
	Expect       verdict.Expectation
	Warnings     []string
}

// plan decides the run. windir is the guest's Windows folder; id makes names
// unique.
func (c *Config) plan(windir, id string) Plan {
	p := Plan{Action: c.Action}
	if p.Action == actionAuto {
		p.Action, p.Why = c.autoAction()
	}
	final := p.Action
	if len(c.lastLines()) > 0 && p.Action != actionQuit {
		p.Action, p.Then = actionQuit, p.Action
	}
	var arguments []string
	if c.generalize() {
		arguments = append(arguments, "/generalize")
	}
	arguments = append(arguments, "/"+c.Mode)
	if c.VMMode {
		arguments = append(arguments, "/mode:vm")
	}
	arguments = append(arguments, "/"+p.Action)
	if c.quiet() {
		arguments = append(arguments, "/quiet")
	}
	if c.answer.content != nil {
		p.AnswerFolder = footprint.AnswerFolder.In(windir, id)
		p.AnswerFile = p.AnswerFolder + `\unattend.xml`
		arguments = append(arguments, "/unattend:"+p.AnswerFile)
	}
	p.Arguments = strings.Join(append(arguments, c.ExtraArguments...), " ")
	p.Expect = verdict.Expectation{
		ImageState: windows.StateAfter(c.generalize(), c.Mode == modeAudit),
		Generalize: c.generalize(),
		End:        map[string]verdict.End{actionQuit: verdict.Quit, actionShutdown: verdict.Shutdown, actionReboot: verdict.Reboot}[p.Action],
		Timeout:    c.GeneralizeTimeout, Stall: c.StallTimeout, Patient: c.patient, Unhurried: c.patient && c.unhurried, EndWithin: c.ShutdownTimeout,
		LostAfter: c.StallTimeout,
		// A restart of the service is shorter.
		ClosedFor:  min(30*time.Second, c.ShutdownTimeout/4),
		SecondLook: min(secondLook, c.ShutdownTimeout),
		AskWithin:  lastLookLimit(c.StallTimeout) + lastLookSlack,
	}
	if c.PackerBuilderType == ownBuilder {
		// The builder waits for the machine itself, and proves its disk then.
		p.Expect.ClosedFor = min(p.Expect.ClosedFor, ownClosedFor)
		p.Expect.SecondLook = p.Expect.ClosedFor
	}
	p = c.withAgent(p)
	p.Warnings = c.warnings(final)
	return p
}

const (
	// ownClosedFor is how long the port has to be closed for our own builder.
	ownClosedFor = 5 * time.Second
	// secondLook is how long it has to be closed for any other: WinRM may stop a
	// minute before the power-off, and a Windows that restarts instead answers
	// again within a minute or two.
	secondLook = 3 * time.Minute
)

// goesToAudit: at its end Windows restarts into audit mode, and is waited for.
func (c *Config) goesToAudit(final string) bool {
	return c.Mode == modeAudit && final == actionReboot
}

// End is what becomes of Windows in the end, by whoever does it.
func (p Plan) End() string { return cmp.Or(p.Then, p.Action) }

func (c *Config) warnings(final string) (warnings []string) {
	warn := func(when bool, format string, args ...any) {
		if when {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	b, known := handover(c.PackerBuilderType)
	warn(c.VMMode, "/mode:vm: deploy the image on the same hypervisor with the same hardware profile only.")
	warn(c.VMMode && (c.quiet() || c.answer.content != nil), "/mode:vm: Microsoft documents it with /quit, /shutdown and /reboot only; with /quiet and /unattend it is known to work all the same.")
	warn(!c.quiet(), "quiet = false: if sysprep opens a dialog, nobody will see it, and the run ends after stall_timeout (%s).", c.StallTimeout)
	warn(c.Command != "" && len(c.lastLines()) > 0 && final != actionQuit, "before_shutdown with command: the sysprep that the command starts has to end with /quit; this provisioner asks Windows for the %s afterwards.", final)
	warn(c.RunAs == runAsSystem, "run_as = \"system\": Microsoft does not support sysprep as SYSTEM.")
	warn(!c.generalize() && !c.goesToAudit(final), "generalize = false: the image keeps the identity (SID, name) of this machine; do not deploy it more than once.")
	warn(c.generalize() && final == actionReboot && !c.goesToAudit(final), "action = \"reboot\": the restart begins the first boot of the image, so what the builder captures is not generalized any more.")
	warn(final == actionQuit && b.cutsPower,
		"Windows stays up for the builder %q to shut it down. Unless that is done, set its shutdown_command, e.g. \"shutdown /s /t 5 /f\": without one it cuts the power and damages the image.", c.PackerBuilderType)
	warn(final == actionQuit && b.needs != "", "The builder %q: %s.", c.PackerBuilderType, b.needs)
	warn(final == actionQuit && c.PackerBuilderType == ownBuilder,
		"Windows stays up, and the builder waits for its power-off: let a later provisioner shut it down, or use action = \"shutdown\".")
	warn(final == actionShutdown && b.off != "", "The guest powers itself off: %s.", b.off)
	warn(final == actionShutdown && !known,
		"action = \"shutdown\": the builder %q is not known to accept a guest that powers itself off; if it fails at its shutdown step, use action = \"quit\".", c.PackerBuilderType)
	return warnings
}
