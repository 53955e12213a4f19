package winimage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Severity is what a failed assertion means.
type Severity string

// Severities. Off leaves an assertion out.
const (
	Fail Severity = "fail"
	Warn Severity = "warn"
	Info Severity = "info"
	Off  Severity = "off"
)

// Expectation is what an image is held against.
type Expectation struct {
	// Audit: the image must come up in audit mode instead of OOBE.
	Audit bool
	// Source is what the disk that the build started from had; nil where that is
	// not known, and then a tag that came with the source passes.
	Source *Source
	// VMMode says whether /mode:vm was used; nil: not asked.
	VMMode *bool
	// AnswerFile says whether /unattend was used; nil: not asked.
	AnswerFile *bool
	// Severities replaces the default severity of assertions, by id.
	Severities map[string]Severity
}

// Source is what is known of the disk that a build started from.
type Source struct {
	// Tag is nil where the source had none.
	Tag *File
}

// Assertion is one statement about the image and how it was found.
type Assertion struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Expected string   `json:"expected"`
	Found    string   `json:"found"`
	Severity Severity `json:"severity"`
	OK       bool     `json:"ok"`
	// Fix says what to do when it does not hold.
	Fix  string `json:"fix,omitempty"`
	Note string `json:"note,omitempty"`
}

// Proof is the judgement on a whole image.
type Proof struct {
	// Proven: every assertion of severity fail holds.
	Proven     bool        `json:"proven"`
	Assertions []Assertion `json:"assertions"`
}

// Failed returns the assertions of the given severity that do not hold.
func (p Proof) Failed(s Severity) []Assertion {
	var list []Assertion
	for _, a := range p.Assertions {
		if !a.OK && a.Severity == s {
			list = append(list, a)
		}
	}
	return list
}

// rule is one line of the table of assertions. check returns what was
// expected, what was found and whether it holds.
type rule struct {
	id, title string
	severity  Severity
	fix       string
	check     func(w *Windows, r *Report, e Expectation) result
}

type result struct {
	expected, found string
	ok              bool
	note            string
	// unasked: nothing is expected, so nothing is asserted.
	unasked bool
}

const (
	rerun     = "the image is not generalized: run sysprep /generalize again on a fresh copy of the source"
	powerOff  = "let the guest shut down by itself (sysprep /shutdown or shutdown /s /t 0) and do not kill the machine"
	windowsID = "windows"
	limitsID  = "limits"
	notRead   = "not read"
	// shadowCopies names them among what was not read.
	shadowCopies = "shadow copies"
)

// AssertionIDs lists every id that Prove knows, for the validation of options.
func AssertionIDs() []string {
	ids := []string{windowsID}
	for _, r := range rules {
		ids = append(ids, r.id)
	}
	return ids
}

// Prove holds a report against what is expected. It is a pure function. The
// rules are O1 to O14 of the offline verification and what else makes a disk
// unfit to be believed: hives or a file system that were not shut down.
func Prove(r Report, e Expectation) Proof {
	p := Proof{Proven: true}
	add := func(a Assertion) {
		if s, ok := e.Severities[a.ID]; ok {
			a.Severity = s
		}
		if a.Severity == Off {
			return
		}
		if a.OK {
			a.Fix = ""
		}
		p.Proven = p.Proven && (a.OK || a.Severity != Fail)
		p.Assertions = append(p.Assertions, a)
	}
	add(Assertion{
		ID: windowsID, Title: "Windows is on the disk", Expected: "one installation",
		Found: installations(len(r.Windows)) + because(slices.Concat(r.Problems, r.Limits)), Severity: Fail, OK: len(r.Windows) == 1,
		Fix: "check that this is the disk of a Windows machine, not encrypted, with a single installation",
	})
	var w *Windows
	if len(r.Windows) == 1 {
		w = &r.Windows[0]
	} else {
		// Nothing can be proven, but the disk may say why no Windows is seen.
		p.Proven = false
	}
	for _, rule := range rules {
		if w == nil && !slices.Contains(aboutDisk, rule.id) {
			continue
		}
		got := rule.check(w, &r, e)
		if got.unasked {
			continue
		}
		add(Assertion{
			ID: rule.id, Title: rule.title, Severity: rule.severity, Fix: rule.fix,
			Expected: got.expected, Found: got.found, OK: got.ok, Note: got.note,
		})
	}
	return p
}

// missed reports whether a fact could not be read, so that its absence says
// nothing.
func (w *Windows) missed(what string) bool { return slices.Contains(w.Unread, what) }

func installations(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}

func because(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return " (" + strings.Join(problems, "; ") + ")"
}

func equal(expected, found string) result {
	return result{expected: expected, found: orAbsent(found), ok: expected == found}
}

func orAbsent(s string) string { return cmp.Or(s, "absent") }

func number(n *uint32) string {
	if n == nil {
		return "absent"
	}
	return fmt.Sprint(*n)
}

func zeroOrAbsent(n *uint32) bool { return n == nil || *n == 0 }

// nothing expects an empty list.
func nothing(found []string) result {
	if len(found) == 0 {
		return result{expected: "none", found: "none", ok: true}
	}
	return result{expected: "none", found: strings.Join(found, ", ")}
}

func yesNo(found, expected bool) result {
	text := map[bool]string{true: "yes", false: "no"}
	return result{expected: text[expected], found: text[found], ok: found == expected}
}

// aboutDisk are the rules that need no Windows to be judged.
var aboutDisk = []string{"bitlocker", "boots", limitsID}

var rules = []rule{
	{"hives-clean", "registry hives were flushed by a full shutdown", Fail, powerOff, checkHives},
	{"file-system-clean", "the NTFS volume was unmounted cleanly", Fail, powerOff, func(w *Windows, _ *Report, _ Expectation) result {
		return yesNo(!w.Volume.Dirty && w.Volume.LogClean, true)
	}},
	{"hibernation", "Windows is not hibernated (fast startup)", Fail, "disable fast startup (powercfg /h off) in the guest and shut down fully", func(w *Windows, _ *Report, _ Expectation) result {
		return yesNo(w.Volume.Hibernated, false)
	}},
	{"image-state", "ImageState in the registry", Fail, rerun, func(w *Windows, _ *Report, e Expectation) result {
		return equal(string(windows.StateAfter(true, e.Audit)), w.Setup.ImageState)
	}},
	{"state-ini", "ImageState in State.ini", Warn, "compare \\Windows\\Setup\\State\\State.ini with the registry: something changed one of them", func(w *Windows, _ *Report, e Expectation) result {
		return equal(string(windows.StateAfter(true, e.Audit)), w.Setup.StateINI)
	}},
	{"generalization-state", "SysprepStatus\\GeneralizationState", Fail, rerun, checkGeneralization},
	{"setup-type", "Setup\\SetupType", Fail, rerun, func(w *Windows, _ *Report, _ Expectation) result {
		return equal("2", number(w.Setup.SetupType))
	}},
	{"setup-command", "Setup\\CmdLine starts windeploy.exe at the next boot", Fail, rerun, checkCommand},
	{"tag", "sysprep left Sysprep_succeeded.tag", Fail, rerun, checkTag},
	{"log", "the last run in setupact.log generalized and succeeded", Warn, "read the last run in \\Windows\\System32\\Sysprep\\Panther\\setupact.log", checkLog},
	{"audit-boot", "Setup\\Status\\AuditBoot", Fail, "run sysprep with the mode that is wanted (mode = \"oobe\" or \"audit\")", checkAuditBoot},
	{"unattend-pointer", "Setup\\UnattendFile does not point to a missing file", Fail, "delete the value UnattendFile under HKLM\\SYSTEM\\Setup, or put the file back: Setup stops on a dangling pointer", checkPointer},
	{"cached-answer-file", "the answer file is cached for the first boot", Warn, "pass the answer file with answer_file, so that sysprep caches it in \\Windows\\Panther", checkCached},
	{"secrets", "no secret in the answer files of the image", Warn, "use passwords that are changed at first boot, and delete \\Windows\\Panther\\unattend.xml in SetupComplete.cmd", checkSecrets},
	{"vm-mode", "Setup\\Sysprep\\SysprepMode fits /mode:vm", Info, "compare vm_mode with how sysprep was run", checkVMMode},
	{"autologon", "no automatic logon, no DefaultPassword", Warn, "remove AutoAdminLogon and DefaultPassword under Winlogon before sysprep", checkAutologon},
	{"leftovers", "no files or tasks of Packer", Warn, "remove them in the guest before sysprep", func(w *Windows, _ *Report, _ Expectation) result {
		found := w.Leftovers
		for _, below := range footprint.Folders() {
			if folder := `\Windows` + below; w.missed(folder) {
				found = append(found[:len(found):len(found)], folder+" was not read")
			}
		}
		return nothing(found)
	}},
	{"boot-drivers", "a storage driver starts at boot", Warn, "install and enable the driver of the target's disk controller before sysprep", checkBootDrivers},
	{"shadow-copies", "no shadow copies", Warn, "delete them in the guest (vssadmin delete shadows /all): they keep old data in the image", func(w *Windows, _ *Report, _ Expectation) result {
		if w.missed(shadowCopies) && w.Volume.ShadowCopies == 0 {
			return result{expected: "0", found: notRead}
		}
		return equal("0", fmt.Sprint(w.Volume.ShadowCopies))
	}},
	{"bitlocker", "no encrypted volume", Fail, "decrypt in the guest (manage-bde -off C:) and wait until it is done", func(_ *Windows, r *Report, _ Expectation) result {
		return equal("0", fmt.Sprint(len(r.Disk.BitLocker)))
	}},
	{"boots", "firmware can start the disk", Warn, "check that the system partition is there and, on an MBR disk, active", func(_ *Windows, r *Report, _ Expectation) result {
		return result{expected: "generation 1 or 2", found: fmt.Sprintf("generation %d (%s)", r.Disk.Generation, r.Disk.Scheme), ok: r.Disk.Generation != 0}
	}},
	{limitsID, "nothing was left unread because there is too much of it", Fail, "see what is so large, and remove it in the guest; if it has to be there, set severities = { limits = \"warn\" }", func(w *Windows, r *Report, _ Expectation) result {
		found := r.Limits
		if w != nil {
			found = slices.Concat(found, w.Limits)
		}
		return nothing(found)
	}},
	{"readable", "every fact could be read", Warn, "see which part is damaged; chkdsk in the guest before sysprep may help", func(w *Windows, _ *Report, _ Expectation) result {
		return nothing(w.Problems)
	}},
}
