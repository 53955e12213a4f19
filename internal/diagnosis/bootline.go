package diagnosis

import (
	"strings"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// The lines of Windows Setup that begin and end something at a first boot, held against
// a message without the programs before it.
var (
	// beginCommand is a verb with what is begun; beginProgram the same without a word
	// for it, which has to look like a program.
	beginCommand = lazyregexp.New(`(?i)\b(?:` + beginVerbs + `)\s+(?:(?:the|a|an|next|user-provided|unattend(?:ed)?|synchronous|asynchronous|first ?logon|logon|setup|runsynchronous|runasynchronous|firstlogoncommands?|external)\s+)*` +
		`['"]?(command line|command queue entry|commands?|script|process|program|(?:run)?a?synchronouscommand|firstlogoncommands?|logoncommands?)['"]?(.*)$`)
	beginProgram = lazyregexp.New(`(?i)\b(?:` + beginVerbs + `)\s+((?:['"\[«]?(?:[a-z]:|%\w+%|\\\\)\\|['"\[«]?[\w.-]+\.(?:exe|cmd|bat|ps1|vbs|msi|com)\b).*)$`)
	// beginBehind has the verb behind what was begun.
	beginBehind = lazyregexp.New(`(?i)\b(?:(?:command|script|process|program)(?: #?\d{1,3})?|(?:run)?a?synchronouscommand(?: ?#?\d{1,3}|\[[^\]]*\])?)\b(.*?)[ ,:]*\b(?:was |is |has been )?(?:started|launched|created|running)\b:?(.*)$`)
	beginPass   = lazyregexp.New(`(?i)\b(?:` + beginVerbs + `)\s+(?:unattend(?:ed)? (?:settings|actions) (?:for )?)?(?:pass ['"\[]?(` + anyPass + `)|(` + anyPass + `) pass\b)`)
	userScript  = lazyregexp.New(`(?i)(?:RunUserProvidedScript: Found script at|Running user-provided script:?) ["\[]?([^"\]]+)`)
	beginOOBE   = lazyregexp.New(`(?i)\b(?:launching|running|starting|executing) (?:oobe\b|["\[]?[^"\]]*\bmsoobe\.exe)`)
	joinRetry   = lazyregexp.New(`(?i)\b(?:DsGetDcName|Net\w+|join\w*)\b[^:]*failed: (0x[0-9a-f]+|\d+).*will retry`)
	verb        = lazyregexp.New(`(?i)\b(?:` + beginVerbs + `)\b`)
	// leftOut is of what is not begun, or not yet.
	leftOut  = lazyregexp.New(`(?i)\b(?:not|never|cannot|unable|skip\w*|instead of|without|before)\b`)
	notBegun = lazyregexp.New(`(?i)\b(?:not|never|cannot|failed|error|exit\w*|ended|finished)\b`)
	waitsFor = lazyregexp.New(`(?i)\bwaiting (?:for|on|until|to)\b`)
	endWords = lazyregexp.New(`\b(?:exit(?:ed|ing|s|code)?|finish(?:ed|es)?|complete[ds]?|returned|returning|terminated|success(?:fully)?|succeeded|ended|done|failed|timed out)\b`)

	orderOf = lazyregexp.New(`(?i)\border\s*[=:]?\s*["'\[(]*(\d{1,3})\b|\b(?:run)?a?synchronouscommand\s*[#\[("]?\s*(\d{1,3})\b|\bcommand\s+#?(\d{1,3})\b`)
	// orderText is the order with what surrounds it, countOf the number of all commands.
	orderText = lazyregexp.New(`(?i)[\[(,;]*\s*\border\s*[=:]?\s*["'\[(]*\d{1,3}\b["'\])]*[,;]?|^\s*[#\[("]*\d{1,3}["\])]*\s*[:,]`)
	countOf   = lazyregexp.New(`^(?:of|/) ?\d{1,3}\b\s*:?\s*`)
	aboutOf   = lazyregexp.New(`(?i)[,;( ]*\bdescription\s*[=:]?\s*(?:\[([^\]]*)\]|"([^"]*)"|'([^']*)'|([^,;\])]+))[,;)]?`)
	inPass    = lazyregexp.New(`(?i)\b(?:pass ['"\[]?(` + anyPass + `)\b|(` + anyPass + `)['"\]]? pass\b)`)
	atEnd     = lazyregexp.New(`(?i)[,;(]?\s*(?:in|of|for|during)\s+(?:the\s+)?(?:pass ['"\[]?\w+['"\]]?|['"\[]?\w+['"\]]? pass)\)?\s*[.…]*\s*$`)
	// nameOf is what introduces the text of a command behind its order and description.
	nameOf = lazyregexp.New(`(?i)^.*?\b(?:path|command ?line|cmd)\s*[=:]\s*`)
)

const beginVerbs = `executing|running|launching|spawning|starting|invoking|calling|about to (?:run|execute|start|launch)|started execution of|will now execute|beginning (?:to (?:run|execute)|execution of)|processing|^run|started|created`

var beginWords = []string{"executing", "running", "launching", "spawning", "starting", "invoking", "calling", "about to", "execution of", "will now execute", "beginning", "found script", "will retry", "waiting", "processing", "run ", "started", "created", "launched", "is running"}

// begunBy is the step that a line begins, nil where it begins none.
func begunBy(l Line, who, message, low string) *bootStep {
	if !contains(low, beginWords) {
		return nil
	}
	s := &bootStep{by: who, since: l.Time, line: l.Raw}
	if strings.HasPrefix(who, "oobeldr.exe") || strings.HasPrefix(who, "msoobe.exe") {
		s.pass = passOOBE
	}
	has := func(words ...string) bool { return contains(low, words) }
	if has("pass") {
		if m := inPass.FindStringSubmatch(message); m != nil {
			s.pass = passNamed(m[1] + m[2])
		}
	}
	switch {
	case has("will retry") && joinRetry.MatchString(message):
		s.kind, s.text = stepJoin, joinRetry.FindStringSubmatch(message)[1]
	case verb.MatchString(message) && over(message):
		return nil
	case has("script") && userScript.MatchString(message):
		s.kind, s.text, s.pass = stepScript, shown(userScript.FindStringSubmatch(message)[1]), ""
	case has("oobe") && beginOOBE.MatchString(message):
		s.kind, s.pass = stepOOBE, passOOBE
	case has("pass") && beginPass.MatchString(message):
		s.kind = stepPass
		m := beginPass.FindStringSubmatch(message)
		s.pass = passNamed(m[1] + m[2])
	case beginCommand.MatchString(message):
		s.kind = stepCommand
		s.command(message, beginCommand.FindStringSubmatch(message)[2])
	case beginProgram.MatchString(message):
		s.kind = stepCommand
		s.command(message, beginProgram.FindStringSubmatch(message)[1])
	case has("started", "launched", "created", "running") && beginBehind.MatchString(message) && !notBegun.MatchString(message):
		s.kind = stepCommand
		m := beginBehind.FindStringSubmatch(message)
		if s.command(message, m[1]+" "+m[2]); s.text == "" && s.order == "" {
			return nil
		}
	case has("waiting") && waitsFor.MatchString(message):
		s.kind, s.text = stepWait, shown(message)
	default:
		return nil
	}
	return s
}

// over says whether a line that has the words of a begin tells that it did not come to it,
// or the end of what it names: before its verb, or behind the text in quotation marks or
// brackets.
func over(message string) bool {
	before, behind := message, ""
	if at := verb.FindStringIndex(message); at != nil {
		before, behind = message[:at[0]], message[at[1]:]
	}
	tail := ""
	if i := strings.LastIndexAny(behind, "]'\"»"); i >= 0 {
		_, size := utf8.DecodeRuneInString(behind[i:])
		tail = behind[i+size:]
	}
	return leftOut.MatchString(before) || ends(strings.ToLower(before)) || ends(strings.ToLower(tail)) && !waitsFor.MatchString(tail)
}

// passNamed is the name of a pass as Microsoft writes it.
func passNamed(text string) string {
	for _, name := range strings.Split(anyPass, "|") {
		if strings.EqualFold(name, text) {
			return name
		}
	}
	return ""
}

// endParts are parts of endWords, of which each match has one.
var endParts = []string{"exit", "finish", "complete", "return", "terminated", "succe", "ended", "done", "failed", "timed out"}

// ends says whether a line tells the end of something.
func ends(low string) bool {
	return contains(low, endParts) && endWords.MatchString(low) && !strings.Contains(low, "successfully launched") && !strings.Contains(low, "successfully started")
}

// command fills in what a message says of a command: text is what stands behind the
// verb.
func (s *bootStep) command(message, text string) {
	low := strings.ToLower(message)
	switch {
	case strings.Contains(low, "runasynchronous"), strings.Contains(low, "asynchronous") && !strings.Contains(low, "logon"):
		s.list, s.async = "RunAsynchronous", true
	case strings.Contains(low, "firstlogon"), strings.Contains(low, "first logon"):
		s.list, s.pass = "FirstLogonCommands", passOOBE
	case strings.Contains(low, "logoncommand"):
		s.list, s.pass, s.async = "LogonCommands", passOOBE, strings.Contains(low, "asynchronous")
	case strings.Contains(low, "runsynchronous"):
		s.list = "RunSynchronous"
	case strings.Contains(low, "synchronouscommand"):
		s.list, s.pass = "FirstLogonCommands", passOOBE
	}
	if m := orderOf.FindStringSubmatch(message); m != nil {
		s.order = m[1] + m[2] + m[3]
	}
	if m := aboutOf.FindStringSubmatch(text); m != nil {
		s.about = shown(m[1] + m[2] + m[3] + m[4])
		text = aboutOf.Compiled().ReplaceAllLiteralString(text, " ")
	}
	text = atEnd.Compiled().ReplaceAllLiteralString(text, "")
	s.text = commandText(text)
	s.recognise()
}

// commandText is a command without what introduces and surrounds it.
func commandText(text string) string {
	if m := nameOf.FindString(text); m != "" {
		text = text[len(m):]
	}
	text = orderText.Compiled().ReplaceAllLiteralString(text, " ")
	text = strings.TrimLeft(text, " :=-#,;\t)")
	// A number behind the word is the order, and no text.
	if digits := strings.TrimLeft(text, "0123456789"); len(digits) < len(text) && (digits == "" || strings.IndexByte(" :,;]", digits[0]) >= 0) {
		text = strings.TrimLeft(digits, " :,;]-")
	}
	text = text[len(countOf.FindString(text)):]
	text = strings.TrimRight(strings.TrimRight(text, " .(,;"), "…")
	for open, end := range map[string]string{"[": "]", "'": "'", `"`: `"`, "«": "»", "(": ")"} {
		if inner, ok := strings.CutPrefix(text, open); ok {
			if i := strings.LastIndex(inner, end); i > 0 && (end == "]" || end == "»" || !strings.Contains(inner[:i], end)) {
				if rest := strings.TrimSpace(inner[i+len(end):]); rest == "" || end == "]" || end == "»" {
					text = inner[:i]
				}
			}
			break
		}
	}
	if strings.Count(text, "[") > strings.Count(text, "]") {
		text = strings.TrimPrefix(text, "[") // its end is lost
	}
	if strings.Count(text, "]") > strings.Count(text, "[") {
		text = strings.TrimSuffix(text, "]")
	}
	return shown(strings.TrimRight(text, " (,;"))
}

// unattendPrograms are those that bring about the settings of a component, by a part of
// their command line in lower case (descriptions of the files in the project
// strontic/xcyclopedia; the first three in logs).
var unattendPrograms = []struct{ program, component, holds string }{
	{"setupugc.exe", "Microsoft-Windows-Deployment", "RunSynchronous and RunAsynchronous"},
	{"shsetup.dll", "Microsoft-Windows-Shell-Setup", "accounts, ComputerName, ProductKey, TimeZone, CopyProfile, FirstLogonCommands"},
	{"djoin.exe", "Microsoft-Windows-UnattendedJoin", "the domain"},
	{"netiougc.exe", "Microsoft-Windows-TCPIP", "interfaces and addresses"},
	{"dnscacheugc.exe", "Microsoft-Windows-DNS-Client", "name servers"},
	{"netbtugc.exe", "Microsoft-Windows-NetBT", "NetBIOS"},
	{"muiunattend.exe", "Microsoft-Windows-International-Core", "languages and keyboards"},
	{"pnpunattend.exe", "Microsoft-Windows-PnpCustomizationsNonWinPE", "drivers"},
	{"tapiunattend.exe", "Microsoft-Windows-TapiSetup", "telephony"},
}

// recognise tells the programs of Windows Setup from commands of the answer file.
func (s *bootStep) recognise() {
	low := strings.ToLower(s.text)
	for _, p := range unattendPrograms {
		if !strings.Contains(low, p.program) {
			continue
		}
		s.kind, s.list, s.about = stepComponent, p.component, p.holds
		if last := low[strings.LastIndexByte(low, ' ')+1:]; s.pass == "" {
			s.pass = passNamed(last)
		}
		return
	}
	switch {
	case strings.Contains(low, "setupcomplete.cmd"):
		s.kind, s.pass = stepScript, ""
	case strings.Contains(low, `msoobe.exe`):
		s.kind, s.pass = stepOOBE, passOOBE
	case s.list == "" && s.order == "" && (strings.Contains(low, `\oobe\`) || contains(low, []string{"oobeldr.exe", "windeploy.exe", "audit.exe", "secinit.exe"})):
		s.kind = stepProgram
		if strings.Contains(low, "oobeldr.exe") {
			s.pass = passOOBE
		}
	}
}
