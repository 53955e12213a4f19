package diagnosis

import (
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Step is a piece of work that the log says was begun. The zero value is none.
type Step struct {
	// Entry and Module are the function and the DLL of a provider as the log
	// writes them; both are empty for the work of an action file itself.
	Entry, Module string
	// External: the provider is one of other software, registered below
	// SysPrepExternal; Key is where, if the log says it.
	External bool
	Key      string
	// Action is the name of the action file being worked through, for instance
	// Generalize.xml, and Validating whether it is checked only.
	Action     string
	Validating bool
	// Since is the guest's local time of the line that began it, Line that line.
	Since time.Time
	Line  string
}

// Named reports whether a provider is at work.
func (s Step) Named() bool { return s.Module != "" }

// DLL is the module's file name in lower case, without its folder.
func (s Step) DLL() string { return base(s.Module) }

func base(module string) string {
	module = module[strings.LastIndexAny(module, `\/`)+1:]
	return strings.ToLower(strings.TrimSpace(module))
}

// The lines that begin and end a provider's work: Windows 10 and later write
// Executing method, Windows 8 and Server 2012 Found, Windows 7 and external
// providers LaunchDll. They are tried only where a line has one of textWork.
var (
	beginModule  = lazyregexp.New(`(?i)LaunchModule: ?(?:Executing method|Found) '([^']+)' (?:from|in) ([^;]+)`)
	beginDLL     = lazyregexp.New(`(?i)LaunchDll: ?Found '([^',]+), ?([^']+)'; executing it`)
	endOfModule  = lazyregexp.New(`(?i)(?:LaunchModule|LaunchDll): ?Successfully executed '`)
	entrypoint   = lazyregexp.New(`(?i)RunRegistryDlls: ?Found entrypoint in registry at ([^;]+); will try to launch '([^',]+)`)
	beginAction  = lazyregexp.New(`(?i)SysprepSession::(Validate|Execute): Beginning action execution from (\S.*)$`)
	externalKey  = `\setup\sysprepexternal\`
	textExternal = "external providers"
)

var textWork = []string{"launchmodule:", "launchdll:", "entrypoint in registry", "beginning action execution"}

// after is what is at work behind one more line; text is the line in lower case.
func (s Step) after(l Line, text string) Step {
	if !contains(text, textWork) {
		return s
	}
	message := l.start()
	if m := beginModule.FindStringSubmatch(message); m != nil {
		return s.begun(l, m[1], m[2])
	}
	if m := beginDLL.FindStringSubmatch(message); m != nil {
		next := s.begun(l, m[2], m[1])
		if s.Key != "" && !s.Named() && strings.EqualFold(strings.TrimSpace(s.Entry), m[1]) {
			next.Key, next.External = s.Key, strings.Contains(strings.ToLower(s.Key), externalKey)
		}
		return next
	}
	if m := entrypoint.FindStringSubmatch(message); m != nil {
		// The module waits in Entry until LaunchDll begins it.
		return Step{Entry: budget.Cut(m[2], maxName), Key: budget.Cut(m[1], maxName), Action: s.Action, Validating: s.Validating, Since: l.Time, Line: l.Raw}
	}
	if m := beginAction.FindStringSubmatch(message); m != nil {
		return Step{Action: budget.Cut(m[2][strings.LastIndexAny(m[2], `\/`)+1:], maxName), Validating: strings.EqualFold(m[1], "validate"), Since: l.Time, Line: l.Raw}
	}
	if endOfModule.MatchString(message) || strings.Contains(text, textExecuted) || strings.Contains(text, "failure executing '") {
		return Step{Action: s.Action, Validating: s.Validating, Since: l.Time, Line: l.Raw}
	}
	return s
}

func (s Step) begun(l Line, entry, module string) Step {
	return Step{Entry: budget.Cut(strings.TrimSpace(entry), maxName), Module: budget.Cut(strings.TrimSpace(module), maxName),
		Action: s.Action, Validating: s.Validating, Since: l.Time, Line: l.Raw}
}

func contains(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
