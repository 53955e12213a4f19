package adopt

import "strings"

// run is one call of sysprep, as it is written.
type run struct {
	line int
	// agent is the one whose own sysprep it is, by the name of the option agent.
	agent              string
	generalize, audit  bool
	quit, down, reboot bool
	vmMode             bool
	answers            string // of /unattend:, as it is written
	unknown            []string
	conditional        bool
}

var argument = lazily(`(?i)(?:^|[\s"'(,=])[/-](generalize|oobe|audit|quiet|quit|shutdown|reboot|mode:vm|unattend:(?:"[^"]*"|'[^']*'|[^\s"',)]+)|[a-z]\w*(?::\S+)?)`)

// calls are all runs in a statement.
func calls(s statement) (all []run) {
	for n, p := range s.pieces {
		if p.quoted || comment().MatchString(p.text) {
			continue
		}
		text := p.text
		for m := n; strings.HasSuffix(strings.TrimSpace(text), "`") && m+1 < len(s.pieces); m++ {
			text = strings.TrimSuffix(strings.TrimSpace(text), "`") + " " + s.pieces[m+1].text
		}
		if !isCall(text) {
			continue
		}
		r := run{line: p.line, generalize: true, conditional: inside(s, p)}
		switch {
		case ec2v2().MatchString(text):
			r.agent, r.down = "ec2launch-v2", strings.Contains(text, "--shutdown")
		case ec2v1().MatchString(text):
			r.agent, r.down = "ec2launch", !strings.Contains(strings.ToLower(text), "-noshutdown")
		case gce().MatchString(text):
			r.agent, r.down = "gcesysprep", !strings.Contains(strings.ToLower(text), "no_shutdown")
		default:
			r.arguments(text)
		}
		all = append(all, r)
	}
	return all
}

// inside tells whether a line of a statement stands in a block or after a condition.
func inside(s statement, p piece) bool {
	text := strings.ReplaceAll(p.text, "${", "")
	return len(s.pieces) > 1 && nesting(s.pieces[0].text) > 0 || strings.Contains(text, "{") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), "if ")
}

func (r *run) arguments(text string) {
	r.generalize = false
	at := sysprep().FindAllStringIndex(text+" ", -1)
	if after := text[at[len(at)-1][0]:]; switches().MatchString(after) {
		text = after
	}
	for _, m := range argument().FindAllStringSubmatch(text, -1) {
		word := strings.ToLower(m[1])
		switch {
		case word == "generalize":
			r.generalize = true
		case word == "audit":
			r.audit = true
		case word == "quit":
			r.quit = true
		case word == "shutdown":
			r.down = true
		case word == "reboot":
			r.reboot = true
		case word == "mode:vm":
			r.vmMode = true
		case strings.HasPrefix(word, "unattend:"):
			r.answers = strings.Trim(m[1][len("unattend:"):], `"'`)
		case word == "oobe" || word == "quiet" || known[word]:
		case strings.Contains(m[0], "/"):
			r.unknown = append(r.unknown, "/"+m[1])
		}
	}
}

// known are parameters of Start-Process that look like switches.
var known = map[string]bool{"argumentlist": true, "filepath": true, "wait": true, "nonewwindow": true, "passthru": true, "verb": true, "windowstyle": true}
