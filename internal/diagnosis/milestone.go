package diagnosis

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// milestones are the lines that a person wants to see, with {0} for what the
// first group caught.
var milestones = []struct {
	re   pattern
	text string
}{
	{compile(`Beginning of a new sysprep run`), "sysprep started"},
	{compile(`Sysprep mode \[(\w+)\]; was specified`), "mode {0}"},
	{compile(`WinMain:Pre-validing '(\w+)' (?:in|ex)ternal`), "validating: {0}"},
	{compile(`WinMain:Processing '(\w+)' internal`), "processing: {0}"},
	{compile(`Provisioning packages are removed successfully`), "provisioning packages removed"},
	{compile(`Successfully generalized the bcd store`), "boot configuration generalized"},
	{compile(`Package (\S+) was installed for a user, but not provisioned`), "not provisioned for all users: {0}"},
	{compile(`BitLocker is on for the OS volume`), "BitLocker is on"},
	{compile(`(?:Failure occurred while executing|Failure executing) '([^']+)'`), "failed: {0}"},
	{compile(`(Unable to parse command-line arguments)`), "{0}"},
	{compile(`Hit failure while (.+)`), "sysprep failed while {0}"},
	{compile(`FCreateTagFile:Successfully created tag file`), "tag created"},
	{compile(`Successfully called InitiateSystemShutdownEx to (\w+)`), "{0} requested"},
	{compile(`Shutting down SysPrep log`), "sysprep closed its log"},
	{compile(`Updating image state from \[IMAGE_STATE_(\w+)\] --> \[IMAGE_STATE_(\w+)\]`), "image state {0} -> {1}"},
}

// executing is the line before a provider works; Windows 8 and 2012 say Found.
var executing = compile(`LaunchModule: ?(?:Executing method '([^']+)' from|Found '([^']+)' in) (?:.*\\)?([^\\;]+?)(?:; executing it)?$`)

// providers are the modules worth a line of their own, because they take long
// or fail often; a run has some sixty others.
var providers = map[string]string{
	"appxsysprep.dll": "app packages",
	"bdesysprep.dll":  "BitLocker",
	"spopk.dll":       "servicing state",
	"slc.dll":         "licence",
	"sppnp.dll":       "devices and drivers",
	"spbcd.dll":       "boot configuration",
	"msdtcprx.dll":    "distributed transactions",
	"mssrch.dll":      "Windows Search",
	"wuaueng.dll":     "Windows Update",
	"wevtapi.dll":     "event logs",
	"scecli.dll":      "security settings",
	"shsetup.dll":     "shell",
}

// Milestone returns a readable milestone for a line, or "" for most lines.
func Milestone(l Line) string {
	s, p := &search{left: maxSearched}, newProblem(l)
	if s.isNoise(p, "") {
		return ""
	}
	for _, m := range milestones {
		if caught := s.find(m.re, p); caught != nil {
			return expand(m.text, caught[1:])
		}
	}
	m := s.find(executing, p)
	if m == nil {
		return external(p)
	}
	what, ok := providers[strings.ToLower(m[3])]
	if !ok {
		return ""
	}
	entry := m[1] + m[2]
	if strings.Contains(strings.ToLower(entry), "validate") {
		return "checking " + what + " (" + entry + ")"
	}
	return "working on " + what + " (" + entry + ")"
}

func expand(text string, caught []string) string {
	for i, c := range caught {
		text = strings.ReplaceAll(text, "{"+string(rune('0'+i))+"}", budget.Cut(c, maxName))
	}
	return text
}

// external is the milestone of a provider of other software; those of Windows
// itself, which Windows 7 begins in the same way, lie in its own folder.
func external(p problem) string {
	if !strings.Contains(p.low, "launchdll:") {
		return ""
	}
	what, m := "working on other software", beginDLL.FindStringSubmatch(p.text)
	if m == nil {
		what, m = "done with other software", endDLL.FindStringSubmatch(p.text)
	}
	if m == nil || strings.Contains(strings.ToLower(m[1]), `\system32\`) {
		return ""
	}
	return what + ": " + budget.Cut(m[1], maxName) + " (" + budget.Cut(m[2], maxName) + ")"
}

// endDLL is the line after a provider's work, which names it as beginDLL does.
var endDLL = lazyregexp.New(`(?i)LaunchDll: ?Successfully executed '([^',]+), ?([^']+)'`)
