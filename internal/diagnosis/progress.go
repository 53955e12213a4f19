package diagnosis

import (
	"regexp"
	"strings"
)

// milestones are the lines that a person wants to see, with {0} for what the
// first group caught.
var milestones = []struct {
	re   *regexp.Regexp
	text string
}{
	{regexp.MustCompile(`(?i)Beginning of a new sysprep run`), "sysprep started"},
	{regexp.MustCompile(`(?i)Sysprep mode \[(\w+)\]; was specified`), "mode {0}"},
	{regexp.MustCompile(`(?i)WinMain:Pre-validing '(\w+)' (?:in|ex)ternal`), "validating: {0}"},
	{regexp.MustCompile(`(?i)WinMain:Processing '(\w+)' internal`), "processing: {0}"},
	{regexp.MustCompile(`(?i)Provisioning packages are removed successfully`), "provisioning packages removed"},
	{regexp.MustCompile(`(?i)Successfully generalized the bcd store`), "boot configuration generalized"},
	{regexp.MustCompile(`(?i)Package (\S+) was installed for a user, but not provisioned`), "not provisioned for all users: {0}"},
	{regexp.MustCompile(`(?i)BitLocker is on for the OS volume`), "BitLocker is on"},
	{regexp.MustCompile(`(?i)(?:Failure occurred while executing|Failure executing) '([^']+)'`), "failed: {0}"},
	{regexp.MustCompile(`(?i)(Unable to parse command-line arguments)`), "{0}"},
	{regexp.MustCompile(`(?i)Hit failure while (.+)`), "sysprep failed while {0}"},
	{regexp.MustCompile(`(?i)FCreateTagFile:Successfully created tag file`), "tag created"},
	{regexp.MustCompile(`(?i)Successfully called InitiateSystemShutdownEx to (\w+)`), "{0} requested"},
	{regexp.MustCompile(`(?i)Shutting down SysPrep log`), "sysprep closed its log"},
	{regexp.MustCompile(`(?i)Updating image state from \[IMAGE_STATE_(\w+)\] --> \[IMAGE_STATE_(\w+)\]`), "image state {0} -> {1}"},
}

// executing is the line before a provider works; Windows 8 and 2012 say Found.
var executing = regexp.MustCompile(`(?i)LaunchModule: ?(?:Executing method '([^']+)' from|Found '([^']+)' in) (?:.*\\)?([^\\;]+?)(?:; executing it)?$`)

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

// Progress returns a readable milestone for a line, or "" for most lines.
func Progress(l Line) string {
	if noise.MatchString(l.Message) {
		return ""
	}
	for _, m := range milestones {
		if caught := m.re.FindStringSubmatch(l.Message); caught != nil {
			return expand(m.text, caught[1:])
		}
	}
	m := executing.FindStringSubmatch(l.Message)
	if m == nil {
		return ""
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
		text = strings.ReplaceAll(text, "{"+string(rune('0'+i))+"}", c)
	}
	return text
}
