package adopt

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// work finds the steps of a template and collects what is to change.
type work struct {
	*template
	edits           []edit
	notes           []Note
	steps, replaced int
	// own says that provisioner "sysprep" was put in.
	own bool
}

func (w *work) say(line int, format string, args ...any) {
	w.notes = append(w.notes, Note{w.name, line, false, fmt.Sprintf(format, args...)})
}

func (w *work) decide(line int, format string, args ...any) {
	w.notes = append(w.notes, Note{w.name, line, true, fmt.Sprintf(format, args...)})
}

func (w *work) run() {
	var called []block
	for _, s := range w.template.steps {
		switch s.kind {
		case "sysprep":
			w.say(s.line, "provisioner sysprep is used already")
		case "powershell", "windows-shell":
			w.step(s)
		case "windows-restart":
			w.restart(s)
		case "shell-local":
			w.fromHere(s)
		}
	}
	for _, b := range w.builders {
		if w.shutdown(b) {
			called = append(called, b)
		}
	}
	w.atTheEnd(called)
	if w.own {
		w.require()
	}
}

// step looks into a provisioner that runs commands of the person's own.
func (w *work) step(s block) {
	if a, ok := s.attrs["inline"]; ok {
		all := statements(pieces(a.elems))
		switch {
		case calling(all):
			w.steps++
			w.inline(s, a, all)
		case a.computed && !a.list && sysprep().MatchString(w.source(a.span)+" "):
			w.steps++
			w.decide(a.line, "inline is worked out by an expression that names sysprep; replace this step by hand: provisioner \"sysprep\" {}")
		case calling(statements(pieces(w.meaning(a).elems))):
			w.steps++
			w.decide(a.line, "inline is %s, which calls sysprep in line %d; put provisioner \"sysprep\" in the place of this step, or after it where it does more", w.source(a.span), w.meaning(a).line)
		case w.behind(a) != "":
			w.steps++
			w.decide(a.line, "inline holds %s, which calls sysprep; put provisioner \"sysprep\" in the place of that command", w.behind(a))
		case oldAgent(a.elems):
			w.noAgent(a.line)
		default:
			w.inGuest(s, a)
		}
	}
	for _, name := range []string{"script", "scripts"} {
		a := w.meaning(s.attrs[name])
		for _, e := range a.elems {
			if len(a.elems) > 1 && a.span != s.attrs[name].span {
				w.listed(s.attrs[name], e)
				continue
			}
			w.script(s, name, a, e)
		}
	}
}

// behind is the element of a list of commands that calls sysprep only when its variables are put in;
// empty where there is none.
func (w *work) behind(a attr) string {
	for _, e := range a.elems {
		if text := w.spelled(e.text); text != e.text && isCall(text) {
			return w.source(e.span)
		}
	}
	return ""
}

// restart looks whether the command that restarts Windows is sysprep.
func (w *work) restart(s block) {
	a := s.attrs["restart_command"]
	if len(a.elems) == 1 && isCall(w.spelled(a.elems[0].text)) {
		w.steps++
		w.decide(a.line, "restart_command calls sysprep, and the restart proves nothing; put provisioner \"sysprep\" { action = \"reboot\" } in the place of this step, or without action where it is the last one")
	}
}

// fromHere looks for a program of this machine that has sysprep run in the guest.
func (w *work) fromHere(s block) {
	for _, name := range []string{"inline", "command"} {
		a := s.attrs[name]
		if slices.ContainsFunc(a.elems, func(e elem) bool { return isCall(w.spelled(e.text)) }) {
			w.steps++
			w.decide(a.line, "a program on this machine has sysprep run in the guest; put provisioner \"sysprep\" in the place of this step, where the builder has a communicator")
		}
	}
}

// listed looks into a script of a list that stands elsewhere in the file.
func (w *work) listed(a attr, e elem) {
	if local, text, ok := w.open(e.text); ok && calling(statements(pieces([]elem{{line: 1, text: string(text)}}))) {
		w.steps++
		w.decide(e.line, "%s calls sysprep: take it out of this list, and put provisioner \"sysprep\" after the step of line %d", local, a.line)
	}
}

// oldAgent tells whether EC2Config runs sysprep, which the provisioner does not know.
func oldAgent(elems []elem) bool {
	return slices.ContainsFunc(elems, func(e elem) bool { return ec2config().MatchString(e.text) })
}

func (w *work) noAgent(line int) {
	w.steps++
	w.decide(line, "EC2Config runs sysprep here (Windows Server 2012 R2 and older), and provisioner \"sysprep\" has no agent for it; leave this step as it is, or run sysprep itself with agent = \"none\" and an answer file of your own")
}

func calling(all []statement) bool {
	return slices.ContainsFunc(all, func(s statement) bool { return s.role == call })
}

// inline replaces the statements of a list of commands.
func (w *work) inline(s block, a attr, all []statement) {
	runs, before, after := part(all)
	whole := len(before) == 0 && len(after) == 0
	if long := w.tooLong(all); long > 0 && !whole {
		w.decide(long, "sysprep is called inside a larger statement, which may do more: replace this step by hand")
		return
	}
	if len(a.elems) == 0 || a.computed {
		w.decide(a.line, "a part of inline is worked out by an expression; replace this step by hand")
		return
	}
	if !whole && mixed(all) {
		w.decide(runs[0].line, "one text holds the call of sysprep and other commands, in %s; move these into a provisioner of their own, then adopt again", lines(append(before, after...)))
		return
	}
	ours, ok := w.block(s, runs, all, nil)
	if !ok {
		return
	}
	w.replaced++
	keep := func(list []statement) (n []int) {
		for _, st := range list {
			for _, p := range st.pieces {
				n = append(n, p.elem)
			}
		}
		return n
	}
	var text []string
	if len(before) > 0 {
		text = append(text, w.keeping(s, a, keep(before)))
		w.say(s.line, "what this step does before sysprep stays, in a provisioner of its own")
	}
	text = append(text, ours)
	if len(after) > 0 {
		text = append(text, w.keeping(s, a, keep(after)))
		w.say(after[0].pieces[0].line, "what came after sysprep stays after it, in a provisioner of its own")
	}
	separator := "\n\n" + s.indent
	if w.json {
		separator = ",\n" + s.indent
	}
	w.edits = append(w.edits, edit{s.span, strings.Join(text, separator)})
}

// inGuest looks into scripts that an earlier step has put into the guest, and that a
// list of commands runs.
func (w *work) inGuest(s block, a attr) {
	for _, e := range a.elems {
		name := scriptName().FindString(e.text)
		if name == "" || comment().MatchString(e.text) {
			continue
		}
		local := w.carried(path.Base(strings.ReplaceAll(name, `\`, "/")), name, nil)
		if local == "" {
			continue
		}
		if len(a.elems) == 1 {
			e.text = local
			w.script(s, "inline", attr{elems: []elem{e}}, e)
			continue
		}
		if _, text, ok := w.open(local); ok && calling(statements(pieces([]elem{{line: 1, text: string(text)}}))) {
			w.steps++
			w.decide(e.line, "%s calls sysprep; put provisioner \"sysprep\" in the place of this command", local)
		}
	}
}

// part tells the calls of sysprep from the person's own statements before and after,
// with what is said between these.
func part(all []statement) (runs []run, before, after []statement) {
	for _, s := range all {
		switch {
		case s.role == call:
			runs = append(runs, calls(s)...)
		case s.role == talk && len(runs) > 0 && len(after) == 0:
		case (s.role == other || s.role == talk) && len(runs) == 0:
			before = append(before, s)
		case s.role == other || s.role == talk:
			after = append(after, s)
		}
	}
	return runs, untalked(before), untalked(after)
}

// untalked leaves out what is said at the end.
func untalked(list []statement) []statement {
	for len(list) > 0 && list[len(list)-1].role == talk {
		list = list[:len(list)-1]
	}
	return list
}

// mixed tells whether one element of a list holds statements that stay and ones that go.
func mixed(all []statement) bool {
	goes, stays := map[int]bool{}, map[int]bool{}
	for _, s := range all {
		for _, p := range s.pieces {
			switch s.role {
			case other:
				stays[p.elem] = true
			case talk:
			default:
				goes[p.elem] = true
			}
		}
	}
	for e := range goes {
		if stays[e] {
			return true
		}
	}
	return false
}

// longest is how many lines a statement with a call may have and still be understood.
const longest = 14

func (w *work) tooLong(all []statement) int {
	for _, s := range all {
		if s.role == call && len(s.pieces) > longest {
			return s.pieces[0].line
		}
	}
	return 0
}

// lines names the lines of statements, at most twelve.
func lines(all []statement) string {
	var names []string
	for _, s := range all {
		for _, p := range s.pieces {
			if s.role == talk {
				continue
			}
			if n := fmt.Sprint(p.line); !slices.Contains(names, n) && len(names) < 12 {
				names = append(names, n)
			}
		}
	}
	if len(names) == 1 {
		return "line " + names[0]
	}
	return "lines " + strings.Join(names, ", ")
}

// keeping is the text of a provisioner with some elements of its list only.
func (w *work) keeping(s block, a attr, keep []int) string {
	var cuts []edit
	last := -1
	for i := range a.elems {
		switch {
		case slices.Contains(keep, i):
			if last < i-1 { // from the first that goes to this one
				from := a.elems[last+1].from
				cuts = append(cuts, edit{span{from, a.elems[i].from}, ""})
			}
			last = i
		case i == len(a.elems)-1:
			cuts = append(cuts, edit{span{a.elems[last].to, a.elems[i].to}, ""})
		}
	}
	var b strings.Builder
	at := s.from
	for _, c := range cuts {
		b.WriteString(w.source(span{at, c.from}))
		at = c.to
	}
	return b.String() + w.source(span{at, s.to})
}

// script looks into a script that a provisioner runs.
func (w *work) script(s block, option string, a attr, e elem) {
	local, text, ok := w.open(e.text)
	if !ok {
		if strings.Contains(strings.ToLower(path.Base(e.text)), "sysprep") {
			w.steps++
			w.decide(e.line, "%s may run sysprep, and cannot be read from here; if it does, put provisioner \"sysprep\" in its place", e.text)
		}
		return
	}
	all := statements(pieces([]elem{{line: 1, text: string(text)}}))
	if !calling(all) {
		if oldAgent([]elem{{text: string(text)}}) {
			w.noAgent(e.line)
		}
		return
	}
	w.steps++
	runs, before, after := part(all)
	if len(before)+len(after) > 0 || w.tooLong(all) > 0 {
		w.decide(e.line, "%s calls sysprep in line %d and does more, in %s: take sysprep and what waits for it out of the script, and put provisioner \"sysprep\" after this step", local, runs[0].line, lines(append(before, after...)))
		return
	}
	ours, ok := w.block(s, runs, all, &local)
	if !ok {
		return
	}
	w.replaced++
	if len(a.elems) == 1 {
		w.edits = append(w.edits, edit{s.span, ours})
		w.say(s.line, "%s is not used here any more", local)
		return
	}
	if e.from != a.elems[len(a.elems)-1].from {
		w.replaced--
		w.decide(e.line, "%s calls sysprep, and other scripts of %s come after it; move them into a provisioner of their own, then adopt again", local, option)
		return
	}
	last := a.elems[len(a.elems)-2]
	separator := "\n\n" + s.indent
	if w.json {
		separator = ",\n" + s.indent
	}
	w.edits = append(w.edits, edit{span{last.to, e.to}, ""}, edit{span{s.to, s.to}, separator + ours})
}

// open reads a file that the template names, by the name that it has here.
func (w *work) open(name string) (local string, text []byte, ok bool) {
	name = w.spelled(name)
	folder := path.Dir(strings.ReplaceAll(w.name, `\`, "/"))
	local = strings.NewReplacer("${path.root}", folder, "${path.cwd}", ".", "{{template_dir}}", folder, "{{ template_dir }}", folder).Replace(name)
	if strings.Contains(local, "${") || strings.Contains(local, "{{") || local == "" {
		return local, nil, false
	}
	for _, candidate := range []string{local, path.Join(folder, local)} {
		if text, err := w.read(candidate); err == nil && len(text) <= MaxSize {
			return local, text, true
		}
	}
	return local, nil, false
}
