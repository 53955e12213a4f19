package adopt

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// plainShutdown takes the place of a shutdown_command that called sysprep.
const plainShutdown = "shutdown /s /t 5 /f"

// beside is the script of the same name in the words of cmd.exe.
var beside = lazily(`(?i)%~[dp]*n0(%~n0)?\.ps1`)

var scriptName = lazily(`(?i)[^\s"']*\.(bat|cmd|ps1)\b`)

// ending is how the builders of a template that call sysprep at their end did it.
type ending struct {
	options string // as written, by which they are grouped
	made    []option
	names   []string
}

// shutdown tells whether a builder calls sysprep by its shutdown_command.
func (w *work) shutdown(b block) bool {
	a, ok := b.attrs["shutdown_command"]
	if !ok || len(a.elems) != 1 {
		return false
	}
	if w.shutdownRuns(b, w.meaning(a), false) != nil {
		return true
	}
	for _, v := range w.given(a)[1:] {
		if len(v.elems) != 1 {
			continue
		}
		text, name := v.elems[0].text, scriptName().FindString(v.elems[0].text)
		what := ""
		switch {
		case isCall(text):
			what = "calls sysprep"
		case w.shutdownRuns(b, v.attr, true) != nil:
			what = "runs " + name + ", which calls sysprep"
		case strings.Contains(strings.ToLower(baseOf(name)), "sysprep"):
			what = "runs " + name + ", which may call sysprep"
		default:
			continue
		}
		w.steps++
		w.decide(a.line, "shutdown_command is %s, and its value in line %d of %s %s: let it be %q there, and end the build with provisioner \"sysprep\"", w.source(a.span), v.line, v.file, what, plainShutdown)
		break
	}
	return false
}

// found is a call of sysprep by shutdown_command.
type found struct {
	runs   []run
	all    []statement
	script *string
}

// shutdownRuns reads a shutdown_command, and the script that it names.
func (w *work) shutdownRuns(b block, a attr, quiet bool) *found {
	text := a.elems[0].text
	if isCall(text) {
		all := statements(pieces(a.elems))
		runs, _, _ := part(all)
		return &found{runs, all, nil}
	}
	name := scriptName().FindString(text)
	if name == "" {
		return nil
	}
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	local, content, ok := w.brought(b, base, name)
	if !ok {
		if strings.Contains(strings.ToLower(base), "sysprep") && !quiet {
			w.steps++
			w.decide(a.line, "shutdown_command runs %s, which may call sysprep and cannot be read from here; if it does, let shutdown_command be %q and end the build with provisioner \"sysprep\"", name, plainShutdown)
		}
		return nil
	}
	all := statements(pieces([]elem{{line: 1, text: string(content)}}))
	if next := beside().FindString(string(content)); next != "" && !calling(all) {
		// A .cmd that starts the .ps1 of its own name, which lies beside it.
		if l, c, ok := w.brought(b, strings.TrimSuffix(base, path.Ext(base))+".ps1", name); ok {
			local, all = l, statements(pieces([]elem{{line: 1, text: string(c)}}))
		}
	}
	if !calling(all) {
		if strings.Contains(strings.ToLower(base), "sysprep") && !quiet {
			w.steps++
			w.decide(a.line, "shutdown_command runs %s, which does not call sysprep itself; if a program that it starts does, let shutdown_command be %q and end the build with provisioner \"sysprep\"", local, plainShutdown)
		}
		return nil
	}
	runs, before, after := part(all)
	if more := slices.Concat(before, after); len(more) > 0 && !quiet {
		w.decide(a.line, "%s does more than call sysprep, in %s: put what is still needed into a provisioner before sysprep, or into before_shutdown", local, lines(more))
	}
	return &found{runs, all, &local}
}

// files are the files that an option of a builder names, whichever file of the folder gives them.
func (w *work) files(b block, option string) (all []elem) {
	for _, v := range w.given(b.attrs[option]) {
		all = append(all, v.elems...)
	}
	return all
}

// brought is the local script that a builder's disk carries, and its text.
func (w *work) brought(b block, base, guest string) (string, []byte, bool) {
	if name := w.carried(base, guest, []block{b}); name != "" {
		return w.open(name)
	}
	for _, option := range []string{"floppy_files", "floppy_dirs", "cd_files"} {
		for _, e := range w.files(b, option) {
			if path.Ext(e.text) != "" {
				continue
			}
			if local, text, ok := w.open(path.Join(e.text, base)); ok {
				return local, text, true
			}
		}
	}
	return "", nil, false
}

// atTheEnd puts provisioner "sysprep" at the end of what builds these sources, in
// place of their shutdown_command.
func (w *work) atTheEnd(called []block) {
	made := make([][]option, len(called))
	stays := map[span]bool{} // values that a builder goes on to need
	for i, b := range called {
		a := w.meaning(b.attrs["shutdown_command"])
		f := w.shutdownRuns(b, a, true)
		w.steps++
		for i := range f.runs {
			f.runs[i].down = false // the builder does that
		}
		var ok bool
		if made[i], ok = w.options(a.line, f.runs, f.all, f.script, []block{b}); !ok {
			stays[a.span] = true
		}
	}
	var endings []ending
	changed := map[span]bool{}
	for i, b := range called {
		own := b.attrs["shutdown_command"]
		a := w.meaning(own)
		if stays[a.span] {
			continue
		}
		if !slices.ContainsFunc(w.builds, func(one build) bool { return slices.Contains(one.builders, b.name) }) {
			w.decide(a.line, "no build here uses %s: let its shutdown_command be %q, and put at the end of the build that uses it: %s", b.name, plainShutdown, w.write(made[i], ""))
			continue
		}
		w.replaced++
		if !changed[a.span] {
			changed[a.span] = true
			w.edits = append(w.edits, edit{a.span, quoted(plainShutdown)})
		}
		if a.span != own.span {
			w.say(a.line, "shutdown_command of line %d takes this default, which is changed; a value that a variable file, -var or the environment gives instead has to be changed there", own.line)
		}
		w.say(a.line, "shutdown_command called sysprep, and nothing watched it: sysprep is the last provisioner now, and the builder shuts Windows down")
		text := w.write(made[i], "")
		e := slices.IndexFunc(endings, func(e ending) bool { return e.options == text })
		if e < 0 {
			endings, e = append(endings, ending{options: text, made: made[i]}), len(endings)
		}
		endings[e].names = append(endings[e].names, b.name)
	}
	for _, one := range w.builds {
		w.close(one, endings)
	}
}

// close adds provisioners at the end of a build.
func (w *work) close(one build, endings []ending) {
	var blocks []string
	for _, e := range endings {
		var names []string
		for _, n := range e.names {
			if slices.Contains(one.builders, n) {
				names = append(names, n)
			}
		}
		if len(names) == 0 {
			continue
		}
		options := slices.Clone(e.made)
		if len(names) < len(one.builders) {
			options = append(options, option{"only", names})
		}
		indent := one.indent
		if w.json && one.end < 0 {
			indent = "    "
		}
		blocks = append(blocks, w.write(options, indent))
	}
	if len(blocks) == 0 {
		return
	}
	w.own = true
	at := one.end
	var text string
	switch {
	case !w.json:
		// Before the line of the closing brace.
		outer := indentAt(w.text, at)
		if strings.TrimSpace(string(w.text[lineStart(w.text, at):at])) == "" {
			at = lineStart(w.text, at)
			text = "\n" + one.indent + strings.Join(blocks, "\n\n"+one.indent) + "\n"
		} else {
			text = "\n" + one.indent + strings.Join(blocks, "\n\n"+one.indent) + "\n" + outer
		}
	case at < 0:
		at = one.root + 1
		text = "\n  \"provisioners\": [\n    " + strings.Join(blocks, ",\n    ") + "\n  ],"
	case one.first:
		text = "\n" + one.indent + strings.Join(blocks, ",\n"+one.indent) + "\n" + strings.TrimSuffix(one.indent, "  ")
	default:
		text = ",\n" + one.indent + strings.Join(blocks, ",\n"+one.indent)
	}
	w.edits = append(w.edits, edit{span{at, at}, text})
}

func lineStart(text []byte, at int) int { return strings.LastIndexByte(string(text[:at]), '\n') + 1 }

// require names the plugin where a template has a place for it.
func (w *work) require() {
	const entry = "sysprep = {\n%source  = \"" + ours + "\"\n%version = \">= 0.1.0\"\n"
	switch {
	case w.json:
		w.say(0, "JSON templates cannot name a plugin: run packer plugins install %s once", ours)
	case w.hasPlugin:
	case w.named != "":
		w.say(0, "the plugin is named in %s, which is enough where Packer is given the folder; name it in this file as well where that is given alone", w.named)
	case w.plugins >= 0:
		outer := indentAt(w.text, w.plugins)
		at := lineStart(w.text, w.plugins)
		inner := outer + "  "
		text := inner + strings.ReplaceAll(entry, "%", inner+"  ") + inner + "}\n"
		if strings.TrimSpace(string(w.text[at:w.plugins])) != "" {
			at, text = w.plugins, "\n"+text+outer
		}
		w.edits = append(w.edits, edit{span{at, at}, text})
	default:
		text := "packer {\n  required_plugins {\n    " + strings.ReplaceAll(entry, "%", "      ") + "    }\n  }\n}\n\n"
		at := len(w.text) - len(bytes.TrimPrefix(w.text, []byte("\xef\xbb\xbf"))) // a mark of the encoding stays first
		w.edits = append(w.edits, edit{span{at, at}, text})
		w.say(1, "the plugin is named in a block of its own; move it where your other plugins are named, and run packer init")
	}
}
