package adopt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// option is one of provisioner "sysprep": a text, a list, true or false, or a piece of
// the template as it is.
type option struct {
	name  string
	value any
}

// raw is a piece of the template.
type raw string

// block is provisioner "sysprep" in the place of s. It is false where the step cannot be
// replaced, which was said.
func (w *work) block(s block, runs []run, all []statement, script *string) (string, bool) {
	options, ok := w.options(s.line, runs, all, script, w.meant(s))
	if !ok {
		return "", false
	}
	for _, name := range []string{"only", "except", "pause_before"} {
		if a, there := s.attrs[name]; there {
			options = append(options, option{name, raw(w.source(a.span))})
		}
	}
	for name, says := range map[string]string{
		"elevated_user":    "elevated_user is left out: sysprep is started with the full token of the build user; set elevated_user where it has to be another account",
		"max_retries":      "max_retries is left out: a machine on which sysprep broke off cannot be tried again",
		"timeout":          "timeout is left out: generalize_timeout (30m by default) says how long sysprep may take",
		"override":         "override is left out: write options that differ between builders into a provisioner \"sysprep\" with only for each",
		"valid_exit_codes": "valid_exit_codes is left out: the exit code of sysprep proves nothing and is not asked",
	} {
		if a, there := s.attrs[name]; there {
			w.say(a.line, "%s", says)
		}
	}
	w.own = true
	return w.write(options, s.indent), true
}

// meant are the builders that a step runs with.
func (w *work) meant(s block) (builders []block) {
	only := w.source(s.attrs["only"].span)
	for _, b := range w.builders {
		if strings.Contains(only, b.name) {
			builders = append(builders, b)
		}
	}
	if len(builders) == 0 {
		return w.builders
	}
	return builders
}

// options are those of provisioner "sysprep" for a run.
func (w *work) options(line int, runs []run, all []statement, script *string, builders []block) (options []option, ok bool) {
	if len(runs) == 0 {
		w.decide(line, "the call of sysprep could not be read; replace this step by hand")
		return nil, false
	}
	r := runs[0]
	at := r.line
	if script != nil {
		at = line
	}
	for _, other := range runs[1:] {
		if r.answers == "" && other.answers != "" {
			r = other
		}
	}
	if slices.ContainsFunc(all, func(s statement) bool { return s.role == off }) {
		r.down = true
	}
	r.answers = within(all, r.answers)
	settled := false
	if r.answers != "" {
		settled = onlyWhere(all, r) && w.carried(baseOf(r.answers), r.answers, builders) != ""
	}
	if (len(runs) > 1 || r.conditional) && !settled {
		w.decide(at, "sysprep is called under a condition or inside a larger statement: the change does what line %d%s does; check that this is what you want in all cases, and that nothing else of the statement is needed", r.line, of2(script))
	}
	set := func(name string, value any) { options = append(options, option{name, value}) }
	switch {
	case r.agent != "":
		set("agent", r.agent)
		w.say(at, "%s runs its own sysprep with its own answer file; the provisioner starts and watches it", r.agent)
	case !r.generalize:
		set("generalize", false)
	}
	if r.audit {
		set("mode", "audit")
	}
	if r.vmMode {
		set("vm_mode", true)
		w.say(at, "/mode:vm became vm_mode: the image starts on the same kind of virtual machine only")
	}
	azure := slices.ContainsFunc(builders, func(b block) bool { return strings.HasPrefix(b.kind, "azure-") })
	off := len(builders) > 0 && !slices.ContainsFunc(builders, func(b block) bool { return w.source(b.attrs["disable_shutdown"].span) != "true" })
	switch {
	case r.reboot:
		set("action", "reboot")
	case off:
		set("action", "shutdown")
		w.say(at, "the builder has disable_shutdown = true: sysprep ends with the power-off, and is watched until then")
	case azure:
		w.say(at, "Windows stays up after sysprep (action is quit), as azure-arm deallocates the machine itself")
	case r.down:
		w.say(at, "sysprep does not power Windows off any more (action is quit by default): it is judged while it is up, and the builder shuts it down, by its shutdown_command where it needs one")
	}
	if r.answers != "" {
		o, ok := w.answers(at, r, all, builders)
		if !ok {
			return nil, false
		}
		options = append(options, o)
	}
	if slices.ContainsFunc(all, func(s statement) bool { return s.role == stale }) {
		set("remove_answer_files", true)
		w.say(at, "removing unattend.xml became remove_answer_files, which takes all answer files on Windows' search path")
	}
	if len(r.unknown) > 0 {
		set("extra_arguments", r.unknown)
		w.decide(at, "%s is handed on to sysprep as it is; check that Windows knows it", strings.Join(r.unknown, " "))
	}
	if slices.ContainsFunc(all, func(s statement) bool { return s.role == wait }) {
		w.say(at, "the loop that waited for sysprep is gone: the provisioner waits with a limit, and says why when sysprep fails")
	}
	if slices.ContainsFunc(all, func(s statement) bool { return s.role == agents }) {
		w.say(at, "waiting for the agents of Azure is gone: with a builder azure-* the provisioner does that")
	}
	if names, line := besides(all); len(names) > 0 {
		w.decide(at, "%s goes with the statements that are replaced (line %d%s): put what is still needed into a provisioner of its own", strings.Join(names, ", "), line, of2(script))
	}
	return options, true
}

// within is an answer file with the folder that a statement before has changed into, where it
// is given by its name only.
func within(all []statement, answers string) string {
	if answers == "" || strings.ContainsAny(answers, `\/:$%`) {
		return answers
	}
	for _, s := range all {
		if m := folder().FindStringSubmatch(s.text()); m != nil {
			answers = strings.TrimRight(m[1], `\/`) + `\` + baseOf(answers)
		}
		if s.role == call {
			break
		}
	}
	return answers
}

// onlyWhere tells whether the condition of a run is that its answer file is there.
func onlyWhere(all []statement, r run) bool {
	for _, s := range all {
		for _, p := range s.pieces {
			if exists().MatchString(p.text) && strings.Contains(strings.ToLower(p.text), strings.ToLower(r.answers)) {
				return true
			}
		}
	}
	return false
}

func baseOf(name string) string {
	return path.Base(strings.ReplaceAll(strings.TrimPrefix(name, "%~dp0"), `\`, "/"))
}

func of2(script *string) string {
	if script == nil {
		return ""
	}
	return " of " + *script
}

var (
	environment = lazily(`(?i)\$\{?env:([\w()]+)\}?`)
	variable    = lazily(`\$(\w+)`)
	exists      = lazily(`(?i)\b(exist|Test-Path)\b`)
	drive       = lazily(`^[a-zA-Z]:|^%`)
)

// answers is the option for the answer file of /unattend.
func (w *work) answers(at int, r run, all []statement, builders []block) (option, bool) {
	name := r.answers
	for _, s := range all {
		m := assigns().FindStringSubmatchIndex(s.text())
		if m == nil {
			continue
		}
		text := s.text()
		if v := "$" + text[m[2]:m[3]]; strings.Contains(strings.ToLower(name), strings.ToLower(v)) {
			name = strings.ReplaceAll(name, v, strings.Trim(strings.TrimSpace(text[m[1]:]), `"'`))
		}
	}
	name = environment().ReplaceAllString(name, "%$1%")
	base := baseOf(name)
	if local := w.carried(base, name, builders); local != "" {
		w.say(at, "/unattend:%s became answer_file: %s is uploaded for sysprep, checked before anything runs, and removed again", r.answers, local)
		return option{"answer_file", local}, true
	}
	if strings.Contains(variable().ReplaceAllString(name, "$$"), "$") && !strings.Contains(name, "${") || !drive().MatchString(name) || strings.HasPrefix(name, "%~") {
		w.decide(at, "/unattend:%s is a path that only the guest knows; give the file as answer_file (on this machine) or answer_file_in_guest (its path there), and replace this step by hand", r.answers)
		return option{}, false
	}
	name = strings.ReplaceAll(strings.ReplaceAll(name, "/", `\`), `\\`, `\`)
	w.say(at, "/unattend:%s became answer_file_in_guest: an earlier step has to have put the file there. Where you have it on this machine, answer_file is better", r.answers)
	return option{"answer_file_in_guest", name}, true
}

// carried is the local file that a builder or a step brings into the guest under a name,
// empty where there is none.
func (w *work) carried(base, guest string, builders []block) string {
	same := func(a, b string) bool {
		clean := func(s string) string {
			return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(s, `\`, "/"), "//", "/"))
		}
		return clean(a) == clean(b)
	}
	for _, s := range w.template.steps {
		from, to := s.attrs["source"], s.attrs["destination"]
		if s.kind == "file" && len(from.elems) == 1 && len(to.elems) == 1 && (same(to.elems[0].text, guest) || same(to.elems[0].text+"/"+path.Base(from.elems[0].text), guest)) {
			return from.elems[0].text
		}
	}
	if strings.HasPrefix(strings.ToLower(guest), "c:") {
		return ""
	}
	for _, b := range builders {
		for _, option := range []string{"floppy_files", "cd_files"} {
			for _, e := range w.files(b, option) {
				if same(path.Base(strings.ReplaceAll(w.spelled(e.text), `\`, "/")), base) {
					return e.text
				}
			}
		}
	}
	return ""
}

// write is the block in the template's format, without the indent of its first line.
func (w *work) write(options []option, indent string) string {
	if w.json {
		members := []string{`"type": "sysprep"`}
		for _, o := range options {
			members = append(members, quoted(o.name)+": "+w.literal(o.value))
		}
		return "{\n" + indent + "  " + strings.Join(members, ",\n"+indent+"  ") + "\n" + indent + "}"
	}
	if len(options) == 0 {
		return `provisioner "sysprep" {}`
	}
	width := 0
	for _, o := range options {
		width = max(width, len(o.name))
	}
	var b strings.Builder
	b.WriteString("provisioner \"sysprep\" {\n")
	for _, o := range options {
		fmt.Fprintf(&b, "%s  %-*s = %s\n", indent, width, o.name, w.literal(o.value))
	}
	return b.String() + indent + "}"
}

func (w *work) literal(value any) string {
	switch v := value.(type) {
	case raw:
		return string(v)
	case []string:
		var all []string
		for _, s := range v {
			all = append(all, w.literal(s))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case string:
		if w.json {
			return quoted(v)
		}
		return strings.ReplaceAll(quoted(v), "%{", "%%{")
	}
	return fmt.Sprint(value)
}

// quoted is a text in quotes, for JSON and HCL alike.
func quoted(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return `""` // a text always has a form
	}
	return strings.TrimSuffix(b.String(), "\n")
}
