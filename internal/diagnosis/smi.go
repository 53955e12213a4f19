package diagnosis

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// The lines with which Windows Setup says that it refuses an answer file: what is
// wrong with which setting, one or more times, the code, and the pass. They are
// one record, in whatever order.
const (
	textSMI         = "SMI data results dump: "
	textInvalidFile = "The provided unattend file is not valid"
	textNoAnswers   = "is not a valid unattended Setup answer file"
	textUserError   = "User input error was detected in unattend file"
	textPassFailed  = "Failed to complete RunSMIPass"
	textParseFailed = "UnattendErrorFromResults"
)

// beginsRefusal and goesOnRefusal say whether a message is of such a record.
func beginsRefusal(message string) bool {
	return strings.Contains(message, textSMI) || strings.Contains(message, textInvalidFile) || strings.Contains(message, textNoAnswers)
}

func goesOnRefusal(message string) bool {
	return beginsRefusal(message) || strings.Contains(message, textUserError) || strings.Contains(message, textPassFailed) || strings.Contains(message, textParseFailed)
}

// refused is one setting that Setup refused, and why in the language of the
// guest.
type refused struct{ component, path, why string }

// refusal is such a record.
type refusal struct {
	settings []refused
	code     string
	pass     string
}

var (
	smiPart     = lazyregexp.New(`SMI data results dump: (?:Source = (?:Name: ([^,\s]+),?)?(?:[^/]*?(?i:(/?settings(?:/\S*)?|/\w\S*)))?|Description = (.*))`)
	refusalCode = lazyregexp.New(`(?i)hrResult = (0x[0-9a-f]{8})|RunSMIPass for \w+\.\s+Error: \[(0x[0-9a-f]{8})\]`)
	passName    = lazyregexp.New(`(?i)\bpass \[(\w+)\]|RunSMIPass for (\w+)`)
	nextLine    = lazyregexp.New(` (?:\[[\w.]+\] )?(?:` + textSMI + `|` + textInvalidFile + `|` + textUserError + `|` + textPassFailed + `|` + textParseFailed + `)`)
)

// refusalOf reads a record; text is its lines, joined by blanks.
func refusalOf(text string) refusal {
	var r refusal
	waiting := "" // a description that came before its setting
	for len(text) > 0 {
		part := text
		if i := nextLine.FindStringIndex(text[min(1, len(text)):]); i != nil {
			part, text = text[:i[0]+1], text[i[0]+2:]
		} else {
			text = ""
		}
		if m := refusalCode.FindStringSubmatch(part); m != nil && r.code == "" {
			r.code = strings.ToLower(m[1] + m[2])
		}
		if m := passName.FindStringSubmatch(part); m != nil && r.pass == "" {
			r.pass = m[1] + m[2]
		}
		switch m := smiPart.FindStringSubmatch(part); {
		case m == nil:
		case m[1]+m[2] != "":
			r.settings = append(r.settings, refused{m[1], settingPath(m[2]), waiting})
			waiting = ""
		case len(r.settings) > 0 && r.settings[len(r.settings)-1].why == "":
			r.settings[len(r.settings)-1].why = strings.TrimSpace(m[3])
		default:
			waiting = strings.TrimSpace(m[3])
		}
	}
	switch n := len(r.settings); {
	case waiting == "":
	case n == 0:
		r.settings = []refused{{why: waiting}}
	case r.settings[n-1].why == "":
		r.settings[n-1].why = waiting
	}
	return r
}

// settingPath is the path of a setting from /settings on; excerpts leave the
// begin of it out.
func settingPath(path string) string {
	const root = "/settings"
	path = "/" + strings.TrimPrefix(path, "/")
	switch {
	case path == "/":
		return ""
	case strings.HasPrefix(strings.ToLower(path), root):
		return root + path[len(root):]
	}
	return root + path
}

// canonical is a record in the order in which Setup writes it most often, of its
// first setting: what the catalogue's patterns are held against.
func (r refusal) canonical() string {
	var parts []string
	if len(r.settings) > 0 {
		s := r.settings[0]
		switch {
		case s.component != "":
			parts = append(parts, textSMI+"Source = Name: "+s.component+", "+s.path)
		case s.path != "":
			parts = append(parts, textSMI+"Source = "+s.path)
		}
		if s.why != "" {
			parts = append(parts, textSMI+"Description = "+s.why)
		}
	}
	if r.code != "" {
		parts = append(parts, textInvalidFile+"; hrResult = "+r.code)
	}
	return strings.Join(parts, " ")
}

// more are the other settings that the record names, each once.
func (r refusal) more() (others []refused) {
	for i, s := range r.settings {
		same := func(o refused) bool { return o.component == s.component && o.path == s.path }
		if s.component != "" && i > 0 && !same(r.settings[0]) && !slices.ContainsFunc(others, same) {
			others = append(others, s)
		}
	}
	return others[:min(len(others), maxEvidence)]
}

// alsoRefused adds the other settings of a record to what is said of the first.
func (d *Diagnosis) alsoRefused(r refusal) {
	others := r.more()
	if len(others) == 0 {
		return
	}
	var names []string
	for _, s := range others {
		groups := settingNames(map[string]string{"component": s.component, "setting": s.path})
		name := groups["setting"] + " of " + s.component
		if s.why != "" {
			name += " (" + budget.Cut(s.why, maxName) + ")"
		}
		names = append(names, name)
		if move := groups["move"]; !slices.Contains(d.Remedy, move) {
			d.Remedy = slices.Insert(d.Remedy, min(len(names), len(d.Remedy)), move)
		}
	}
	d.Summary += "; also refused: " + strings.Join(names, ", ")
}
