package diagnosis

import (
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// Hang says in what a run hangs that has neither failed nor ended: which
// provider began and did not end, since when by the guest's clock, whether
// anything was changed, what is known of it. It reports false where the log
// says that the run is over, or nothing of what it does.
func Hang(p Progress) (Diagnosis, bool) { return hang(p, false) }

// firstBootHang is Hang for a log of Windows Setup.
func firstBootHang(p Progress) (Diagnosis, bool) {
	step, ok := p.boot.top()
	if provider := !p.Passed && p.Working.Named() && p.Failure == NoFailure; provider && (!ok || !step.since.After(p.Working.Since)) {
		return hang(p, true)
	}
	if ok && p.Failure == NoFailure {
		return step.hang(p)
	}
	return Diagnosis{}, false
}

func hang(p Progress, firstBoot bool) (Diagnosis, bool) {
	w := p.Working
	if p.Closed || p.TagCreated || p.Failure != NoFailure || !w.Named() && w.Action == "" {
		return Diagnosis{}, false
	}
	what := strings.ToLower(w.Action)
	if w.Named() {
		what = strings.ToLower(w.Entry) + " of " + w.DLL()
	}
	if w.Validating && !w.Named() {
		what = "check of " + what
	}
	if firstBoot {
		what = "first boot, " + what
	}
	for _, c := range catalogue() {
		if c.hangs == nil || c.external && !w.External || !c.hangs.MatchString(what) {
			continue
		}
		groups := map[string]string{"entry": w.Entry, "dll": w.Module, "key": w.Key, "what": providers[w.DLL()], "service": services[w.DLL()]}
		if groups["service"] == "" {
			groups["service"] = "that the provider belongs to"
		}
		if !w.Named() {
			groups["entry"], groups["dll"] = "the work", w.Action
		}
		d := c.diagnosis(finding.Log, groups)
		d.Summary += since(w)
		switch {
		case firstBoot:
			d.Phase = PhaseFirstBoot
		case p.Stage == StageValidating, p.Stage < StageValidating && (w.Validating || strings.Contains(strings.ToLower(w.Entry), "validate")):
			d.Phase = PhaseValidate
			d.Summary += "; nothing was changed"
			d.Remedy = append(d.Remedy, "Nothing was changed: end sysprep.exe by its process id, correct the cause and run it again.")
		case p.Stage < StageValidating: // the begin of the log is missing
			d.Phase = PhaseProcess
			d.Summary += "; by its name it changes the machine"
			d.Remedy = append(d.Remedy, "If it does not go on, discard the machine.")
		default:
			d.Phase = PhaseProcess
			d.Summary += "; the machine is being changed"
			d.Remedy = append(d.Remedy, "If it does not go on, discard the machine.")
		}
		d.Evidence = appendShown(appendShown(nil, w.Line), p.LastLine)
		return d, true
	}
	return Diagnosis{}, false
}

// windowOpen is the cause of a run that waits in its window.
const windowOpen = "F116"

// stopped says of a run that has begun, and neither failed nor ended, where its log
// stops: before any provider is at work Hang knows nothing.
func stopped(r Run) (Diagnosis, bool) {
	p := r.Progress
	if p.Runs == 0 || p.Closed || p.TagCreated || p.ShutdownRequested || p.HasOption("RESPECIALIZE") || p.Failure != NoFailure || len(r.Lines) == 0 {
		return Diagnosis{}, false
	}
	last := r.Lines[len(r.Lines)-1]
	var d Diagnosis
	if strings.Contains(last.lower(), "displaying dialog box for user") {
		d, _ = ByID(windowOpen)
		d.Subject = finding.Log
	} else {
		c := cause{id: unknownID, name: "UNKNOWN", phase: PhaseValidate, unconfirmed: true,
			title: "sysprep began and has not ended: its log stops at " + strconv.Quote(budget.Cut(secrets.Scrub(last.Message), maxName)) + "; nothing was changed",
			remedy: []string{"Where sysprep.exe is still there, see in Task Manager what it waits for; end it by its process id and run it again.",
				"Where it is gone, look in the events of Windows (Application, System) for what ended it, or take the log again when sysprep has ended."}}
		d = c.diagnosis(finding.Log, nil)
	}
	d.Summary += since(Step{Since: p.Start})
	d.Evidence = appendShown(nil, last.Raw)
	return d, true
}

// services are those that providers of Windows wait for, by the provider's DLL.
var services = map[string]string{
	"appxsysprep.dll": "AppXSvc (AppX Deployment Service)", "bdesysprep.dll": "BDESVC (BitLocker)", "capisp.dll": "CryptSvc (Cryptographic Services)",
	"msdtcprx.dll": "MSDTC (Distributed Transaction Coordinator)", "mssrch.dll": "WSearch (Windows Search)", "slc.dll": "sppsvc (Software Protection)",
	"spopk.dll": "TrustedInstaller (Windows Modules Installer)", "spwmp.dll": "WMPNetworkSvc (Windows Media Player Network Sharing)", "wevtapi.dll": "EventLog (Windows Event Log)",
	"wuaueng.dll": "wuauserv (Windows Update)",
}

func since(w Step) string {
	if w.Since.IsZero() {
		return ""
	}
	return ", begun at " + w.Since.Format(time.DateTime)
}

// Silence is how long a step is known to write nothing without being hung, 0
// for one that is not known to be silent: devices are removed for long on
// machines with many of them, generalize waits for dmwappushservice for up to 40
// minutes (Sycnex/Windows10Debloater #54, #72), a registered provider without its
// DLL for 14 (Azure/AgentBaker), the check for pending servicing for 4
// (compute-image-windows #156).
func Silence(s Step) time.Duration {
	switch {
	case s.External:
		return 15 * time.Minute
	case s.DLL() == "sppnp.dll":
		return 20 * time.Minute
	case s.DLL() == "appxsysprep.dll" && !s.Validating:
		return 15 * time.Minute
	case !s.Named() && !s.Validating && strings.EqualFold(s.Action, "generalize.xml"):
		return 40 * time.Minute
	}
	return 0
}
