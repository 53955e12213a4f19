package verdict

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// classNames are in the order of the classes.
var classNames = [...]string{"running", "generalized", "refused", "broken", "hung", "lost", "cancelled", "undone", "unarmed", "replaced", "not-started", "at-the-end"}

// String names the class as documents and errors do.
func (c Class) String() string { return classNames[c] }

// String names the tri-state for a person.
func (t Tri) String() string {
	switch t {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "unknown"
}

// Head is the head of the run's error.
func (v Verdict) Head() Head {
	switch {
	case v.Diagnosis != nil:
		return Head{v.Class, v.Diagnosis.Name}
	case v.Class == Undone && v.Restarted:
		return Head{v.Class, Restarted}
	}
	return Head{Class: v.Class}
}

// Explain says how the run ended: the first line is actionable (what, cause,
// first step), then the evidence. next are the steps that remain, in their order.
func (v Verdict) Explain() (said, next []string) {
	said = []string{v.headline()}
	if d := v.Diagnosis; d != nil {
		cause := d.Finding
		cause.Remedy = nil
		said = append(append(said, "what: "+v.Reason), render.Full("cause", cause)...)
		next = append(next, d.Remedy[min(1, len(d.Remedy)):]...)
	}
	if v.LastLog != "" && v.Class != Generalized && (v.Diagnosis == nil || len(v.Diagnosis.Evidence) == 0) {
		said = append(said, "last log line: "+v.LastLog)
	}
	return append(said, "seen: "+v.seen()), append(next, v.next()...)
}

func (v Verdict) headline() string {
	head := map[Class]string{
		Running:     "sysprep is still running",
		Generalized: "Windows is generalized",
		Refused:     "sysprep refused, the machine is untouched",
		Broken:      "sysprep failed midway, the machine cannot be used",
		Hung:        "sysprep did not finish",
		Lost:        "the guest was lost while sysprep worked",
		Cancelled:   "cancelled",
		Undone:      "the guest contradicts the success that was seen",
		Unarmed:     "sysprep reports success, but the image is not armed for its first boot",
		Replaced:    "another machine answers at this address, or the guest was reverted to an older state",
		NotStarted:  "sysprep was not started",
		AtTheEnd:    "Windows is generalized, but what was to follow failed",
	}[v.Class]
	if v.Class == Generalized && resealed(v.ImageState) {
		head = "Windows is resealed and keeps its identity; it is not generalized"
	}
	if v.Class == Undone && v.Restarted {
		head = "the guest restarted after sysprep was done: it is not generalized any more"
		if v.End == Shutdown {
			head = "the guest restarted instead of powering off: it is not generalized any more"
		}
	}
	if v.Class == Lost && !v.PoweredOff && v.Tag == Yes {
		head = "success could not be confirmed in the guest"
	}
	if v.Class == Hung && v.Paused != "" {
		return v.Reason
	}
	if v.Agent != "" && v.Class == Broken {
		head = "Windows is generalized, but the image was not finished"
	}
	if v.Agent != "" && v.Class == Hung && v.Tag == Yes {
		head = "Windows is generalized, but the image is not finished"
	}
	if v.Diagnosis == nil {
		return head + ": " + v.Reason
	}
	head += ": " + v.Diagnosis.Summary
	if len(v.Diagnosis.Remedy) > 0 {
		head += "; " + render.Next + v.Diagnosis.Remedy[0]
	}
	return head
}

// resealed: sysprep ran without /generalize.
func resealed(s windows.State) bool {
	return s == windows.StateSpecializeToOOBE || s == windows.StateSpecializeToAudit
}

// nextResealed is what follows a run without /generalize.
func (v Verdict) nextResealed() string {
	switch {
	case v.ImageState == windows.StateSpecializeToAudit && v.End == Reboot:
		return "Windows restarts into audit mode: generalize it there, by a later provisioner with mode = \"oobe\"."
	case v.ImageState == windows.StateSpecializeToAudit:
		return "Windows starts into audit mode next: generalize it there before the disk is deployed more than once."
	}
	return "Do not deploy the disk more than once: every copy would have this machine's identity."
}

func (v Verdict) seen() string {
	parts := []string{"ImageState " + string(cmp.Or(v.ImageState, "unknown"))}
	if v.GeneralizationState != nil {
		parts = append(parts, fmt.Sprintf("GeneralizationState %d", *v.GeneralizationState))
	}
	switch v.Tag {
	case Yes:
		parts = append(parts, "tag present")
	case No:
		parts = append(parts, "no tag")
	default:
		parts = append(parts, "tag unknown")
	}
	if v.SetupType != nil || v.CmdLine != nil {
		parts = append(parts, armament(v.SetupType, v.CmdLine))
	} else if v.Class == Generalized && !resealed(v.ImageState) {
		parts = append(parts, "SetupType and CmdLine not read")
	}
	if v.StillRunning {
		parts = append(parts, "sysprep.exe was still running")
	}
	if v.Paused != "" {
		parts = append(parts, "the machine is paused")
	}
	if v.PoweredOff {
		parts = append(parts, "powered off, as its hypervisor reports")
	} else if v.Closed > 0 {
		parts = append(parts, "the port closed for "+seconds(v.Closed))
	}
	return strings.Join(append(parts, "after "+v.Took.Round(time.Second).String()), ", ")
}

var unarmedNext = []string{
	"Do not use the disk: its copies would boot as this machine, or fail in sysprep /respecialize with 0x8007001f.",
	"Generalize a fresh copy of the source. If that ends the same way, look for what ends Windows Setup while sysprep works: an agent or script that sets SetupType and CmdLine back, a first boot that was not over.",
}

func (v Verdict) next() []string {
	var out []string
	if v.StillRunning && v.Class == Refused {
		out = append(out, "sysprep.exe waits in a dialog that nobody sees: end it or restart the guest, or it blocks every new run.")
	}
	switch v.Class {
	case Generalized:
		switch {
		case v.PoweredOff:
			out = append(out, "Take the disk; do not start the machine again before that.")
		case resealed(v.ImageState):
			out = append(out, v.nextResealed())
		case v.Unseen:
			out = append(out, "Make sure in the hypervisor that the machine is off, and that it did not restart, before you take the disk: a builder that waits for the power-off does so.")
		case v.End == Shutdown:
			out = append(out, "Make sure in the hypervisor that the machine is off, because a closed port does not show it; then take the disk. Do not start the machine again before that.")
		case v.End == Reboot:
			out = append(out, "Windows specializes this machine now; a disk taken after that is not a generalized image.")
		default:
			out = append(out, "Shut the machine down and take the disk; a restart in between would specialize it.")
		}
	case AtTheEnd:
		out = append(out, "Windows stays up and is still generalized: do not restart it. Correct what failed, and run the build again.")
	case Refused:
		out = append(out, "Correct the cause and run the build again; this machine may also be repaired and tried again as it is.")
	case Broken:
		out = append(out, "Discard this machine and correct the cause in a build from an untouched source disk; Microsoft supports no repair.")
	case Undone:
		if v.Restarted {
			out = append(out, "Windows has begun the first boot of the image on this machine: do not use its disk. Look for what restarts it (a later provisioner, shutdown /r, a watchdog, the hypervisor's reset) and run the build again.")
		} else {
			out = append(out, "Do not use the disk. Look for what changes the machine after sysprep (another sysprep, a script, a scheduled task) and run the build again.")
		}
	case Unarmed:
		out = append(out, unarmedNext...)
	case Replaced:
		out = append(out, "Find out which machine has this address (DHCP lease, port forwarding, a second VM) and whether a checkpoint was applied. Nothing was changed on the one that answers now. Run the build again from an untouched disk.")
	case Hung:
		switch {
		case v.Paused != "":
			out = append(out, "Resume the machine in its hypervisor, remove what paused it, and run the build again; do not use the disk of this run.")
		case v.Reopened > 0:
			out = append(out, "Look at the guest's screen: if Windows sets itself up for its first use, it has restarted, and its disk is not a generalized image. If not, end it from the hypervisor and prove the disk offline before use, or raise shutdown_timeout.")
		case v.ConsistentWithSuccess:
			out = append(out, "The image may be good: look at the guest's screen, end it from the hypervisor, prove the disk offline before use, or raise shutdown_timeout.")
		case v.ImageState == windows.StateComplete && v.Tag != Yes:
			out = append(out, "Look at the guest's screen for a dialog. As far as was seen nothing was changed: restart the guest and try again, or raise stall_timeout.")
		default:
			out = append(out, "Look at the guest's screen for a dialog; if the log was still growing raise generalize_timeout, else look for a missing external provider or an antivirus. Discard the machine.")
		}
	case Lost:
		switch {
		case v.Crashed:
			out = append(out, "Look on the host for what ended the machine (memory that ran out, another program), and run the build again; do not use the disk of this run.")
		case v.Reopened > 0:
			out = append(out, "Prove the disk offline before use: if Windows has restarted, it is not a generalized image.")
		case v.ConsistentWithSuccess && v.Tag != Yes:
			out = append(out, "sysprep had not finished when the guest was last seen; it may have finished since, or not. Prove the disk offline before use.")
		case v.ConsistentWithSuccess:
			out = append(out, "That says nothing about the image: nothing seen speaks against it. Prove the disk offline before use.")
		case v.PoweredOff:
			out = append(out, "Do not use the disk: the machine ended before sysprep was done.")
		default:
			out = append(out, "Do not use the disk: it is not known whether sysprep finished.")
		}
	case Cancelled:
		switch {
		case v.ImageState == windows.StateUndeployable:
			out = append(out, "Discard this machine: sysprep has begun to change it, and it can no longer be used.")
		case v.StillRunning:
			out = append(out, "sysprep.exe was not ended: it may go on, change the machine and power it off. Look at the machine before it is used again.")
		case v.ImageState == windows.StateComplete && v.Tag == No:
			out = append(out, "The machine is untouched. Run the build again.")
		default:
			out = append(out, "Run the build again; do not use the disk of this one.")
		}
	}
	return out
}
