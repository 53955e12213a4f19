package sysprep

import (
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
	Action    string // quit, shutdown or reboot
	Why       string // why auto chose it; empty when the user did
	Arguments string // everything after sysprep.exe
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
		p.Action, p.Why = autoAction(c.PackerBuilderType)
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
		Timeout:    c.GeneralizeTimeout, Stall: c.StallTimeout, Patient: c.patient, EndWithin: c.ShutdownTimeout,
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
	p.Warnings = c.warnings(p)
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

func (c *Config) warnings(p Plan) (warnings []string) {
	warn := func(when bool, format string, args ...any) {
		if when {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	warn(c.VMMode, "/mode:vm: deploy the image on the same hypervisor with the same hardware profile only.")
	warn(c.VMMode && (c.quiet() || c.answer.content != nil), "/mode:vm: Microsoft documents it with /quit, /shutdown and /reboot only; with /quiet and /unattend it is known to work all the same.")
	warn(!c.quiet(), "quiet = false: if sysprep opens a dialog, nobody will see it, and the run ends after stall_timeout (%s).", c.StallTimeout)
	warn(c.RunAs == runAsSystem, "run_as = \"system\": Microsoft does not support sysprep as SYSTEM.")
	warn(!c.generalize(), "generalize = false: the image keeps the identity (SID, name) of this machine; do not deploy it more than once.")
	warn(c.generalize() && p.Action == actionReboot, "action = \"reboot\": the restart begins the first boot of the image, so what the builder captures is not generalized any more.")
	warn(p.Action == actionQuit && needsShutdownCommand(c.PackerBuilderType),
		"Windows stays up. The builder must shut it down properly: set its shutdown_command, e.g. \"shutdown /s /t 5 /f\"; without one it cuts the power and damages the image. Nothing may restart the guest before that.")
	warn(p.Action == actionQuit && c.PackerBuilderType == ownBuilder,
		"Windows stays up, and the builder waits for its power-off: let a later provisioner shut it down, or use action = \"shutdown\".")
	warn(p.Action == actionShutdown && strings.HasPrefix(c.PackerBuilderType, "hyperv-"),
		"The guest powers itself off: the builder needs disable_shutdown = true, or it fails to send its own shutdown command.")
	warn(p.Action == actionShutdown && !powersItselfOff(c.PackerBuilderType),
		"action = \"shutdown\": the builder %q is not known to accept a guest that powers itself off; if it fails at its shutdown step, use action = \"quit\".", c.PackerBuilderType)
	return warnings
}

// builders says what each builder does after provisioning. The first prefix
// that fits counts; what is not listed gets quit, because a running guest can
// still be shut down and one that is off cannot be asked anything.
var builders = []struct {
	prefix, action string
	// cutsPower: without a shutdown_command it cuts the power.
	cutsPower bool
	why       string
}{
	{ownBuilder, actionShutdown, false, "it waits for the power-off and then proves the disk"},
	{"hyperv-", actionShutdown, false, "with disable_shutdown it waits for the power-off; otherwise it would cut the power"},
	{"vsphere-", actionShutdown, false, "it asks first whether the guest is off already"},
	{"azure-", actionQuit, false, "it deallocates and captures the machine itself"},
	{"amazon-", actionQuit, false, "it stops the instance itself"},
	{"googlecompute", actionQuit, false, "it stops the instance itself"},
	{"proxmox-", actionQuit, false, "it shuts the guest down itself before it makes the template"},
	{"qemu", actionQuit, true, "it fails to send its shutdown_command to a guest that is off, and without one kills the machine"},
	{"virtualbox-", actionQuit, true, "it sends its shutdown_command to a running guest"},
	{"vmware-", actionQuit, true, "it sends its shutdown_command to a running guest"},
	{"parallels-", actionQuit, true, "it sends its shutdown_command to a running guest"},
	{"null", actionQuit, false, "it leaves the machine as it is"},
}

// autoAction chooses for a builder and says why.
func autoAction(builder string) (action, why string) {
	for _, b := range builders {
		if strings.HasPrefix(builder, b.prefix) {
			return b.action, b.why
		}
	}
	return actionQuit, "what it does with a guest that is off is not known"
}

func needsShutdownCommand(builder string) bool {
	for _, b := range builders {
		if strings.HasPrefix(builder, b.prefix) {
			return b.cutsPower
		}
	}
	return true
}

func powersItselfOff(builder string) bool {
	action, _ := autoAction(builder)
	return action == actionShutdown
}
