package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// running judges a guest in which sysprep runs already.
func running(first First, e Expectation) Clearance {
	if first.Programs == nil {
		return Clearance{Start: Ask, Reason: "sysprep.exe is already running" + pid(first.SysprepPID)}
	}
	if len(first.Programs) == 1 {
		switch p := first.Programs[0]; {
		case first.AuditMode == Yes && first.ImageState.Means() == windows.InAudit && p.Known && p.Arguments == "":
			return Clearance{Start: Close, PID: p.PID, Reason: fmt.Sprintf("the System Preparation Tool window is open (process id %d): Windows opens it at each logon in audit mode", p.PID)}
		case p.Known && first.Wanted != "" && sameRun(p.Arguments, first.Wanted) && (p.Ours || first.Tag == Yes && first.ImageState == e.ImageState):
			return Clearance{Start: Attach, PID: p.PID, Reason: fmt.Sprintf("sysprep.exe is already running as this run would start it (process id %d)", p.PID)}
		}
	}
	d := refuse("F51", "sysprep.exe is already running"+howRunning(first))
	d.Next = withPID(d.Next, first.SysprepPID)
	if first.AuditMode == Yes {
		d.Next = append(d.Next, "In audit mode Windows opens sysprep's window at each logon. It is closed by itself where its command line can be read; here it was not: close it before this provisioner runs.")
	}
	return d
}

// howRunning is what is known of the program, for a person.
func howRunning(first First) string {
	text := pid(first.SysprepPID)
	if len(first.Programs) != 1 || !first.Programs[0].Known {
		return text
	}
	p := first.Programs[0]
	switch {
	case p.Ours && first.Wanted == "":
		return fmt.Sprintf("%s: another run of this provisioner started it, as sysprep %s; this run lets something else start sysprep", text, p.Arguments)
	case p.Ours:
		return fmt.Sprintf("%s: another run of this provisioner started it, as sysprep %s; this run would start sysprep %s", text, p.Arguments, first.Wanted)
	case p.Arguments == "":
		return text + ": it was started without arguments, so it shows its window"
	}
	return fmt.Sprintf("%s: it was started as sysprep %s", text, p.Arguments)
}

// withPID fills in the process id where a step has a place for it.
func withPID(steps []string, pid int) []string {
	if pid == 0 {
		return slices.Clone(steps)
	}
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i] = strings.ReplaceAll(steps[i], "<pid>", fmt.Sprint(pid))
	}
	return steps
}

// AlreadyRunning refuses a start because sysprep was started by somebody else
// since the guest was looked at.
func AlreadyRunning(pid int) Clearance {
	d := refuse("F51", "sysprep.exe is already running")
	d.Next = withPID(d.Next, pid)
	return d
}

// sameRun compares two command lines of sysprep: the order of the switches does
// not count, nor does the place of the answer file.
func sameRun(a, b string) bool {
	return slices.Equal(switches(a), switches(b))
}

func switches(line string) (all []string) {
	for _, word := range strings.Fields(strings.ToLower(line)) {
		if name, _, _ := strings.Cut(strings.TrimLeft(word, "/-"), ":"); name == "unattend" {
			continue
		}
		all = append(all, "/"+strings.TrimLeft(word, "/-"))
	}
	slices.Sort(all)
	return all
}
