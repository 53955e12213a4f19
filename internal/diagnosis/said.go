package diagnosis

import (
	"bytes"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// said is what a text tells that is no log: the messages that sysprep and Windows
// Setup show, and the states that a build's own loop prints while it waits.
type said struct {
	state, held []byte // the last ImageState, and the end of the last piece
	// command is what a script of the answer file has begun last and not ended: the
	// scripts of cschneegans/unattend-generator log each of their commands (#430, #239).
	command []byte
}

// maxState is longer than any ImageState with what stands before it, and than what tells
// a command.
const maxState = 512

var scriptCommand = lazyregexp.New(`\*\*\* (?:Will now execute command \W{0,2}?([^\r\n]{1,300})|Finished executing command)`)

var imageState = lazyregexp.New(`IMAGE_STATE_[A-Z_]+`)

// read takes the next bytes, in whatever encoding: of UTF-16 the zeros are left out.
func (s *said) read(b []byte) {
	for len(b) > 0 {
		n := min(len(b), 64<<10)
		piece := slices.Concat(s.held, bytes.ReplaceAll(b[:n], []byte{0}, nil))
		b = b[n:]
		if all := imageState.Compiled().FindAll(piece, -1); len(all) > 0 {
			s.state = bytes.Clone(all[len(all)-1])
		}
		if all := scriptCommand.Compiled().FindAllSubmatch(piece, -1); len(all) > 0 {
			s.command = bytes.Clone(all[len(all)-1][1])
		}
		s.held = bytes.Clone(piece[max(0, len(piece)-maxState):])
	}
}

const (
	sysprepLog = `the folder C:\Windows\System32\Sysprep\Panther`
	setupLog   = `the folder C:\Windows\Panther`
)

// byState is what it means that a loop printed an ImageState last.
var byState = map[string]string{
	"IMAGE_STATE_COMPLETE":                   "its last state is IMAGE_STATE_COMPLETE: sysprep refused, or did not begin, and nothing was changed; a loop that waits for another state never ends. The log of sysprep has the reason: run diagnose with " + sysprepLog + " of that machine",
	"IMAGE_STATE_UNDEPLOYABLE":               "its last state is IMAGE_STATE_UNDEPLOYABLE: sysprep was still at work, or broke off midway, and then the machine cannot be used and the loop never ends. The log of sysprep tells which: run diagnose with " + sysprepLog + " of that machine",
	"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE":  "its last state is IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE: sysprep generalized the machine, and what failed came after it. Prove the disk with inspect, or run diagnose with " + setupLog + " of a machine that was made from it",
	"IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT": "its last state is IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT: sysprep generalized the machine for audit mode (/audit); a loop that waits for RESEAL_TO_OOBE never ends. Run sysprep with /oobe",
	"IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE":  "its last state is IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE: the machine has not ended its own first boot, or sysprep ran without /generalize. Run diagnose with " + setupLog + " of that machine",
	"IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT": "its last state is IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT: the machine is in audit mode, and sysprep has not generalized it. Run diagnose with " + sysprepLog + " of that machine",
}

// messages are those that people copy from the screen, with what they mean. They
// name no cause.
var messages = []struct {
	re   pattern
	says string
}{
	{compile(`not able to validate your Windows installation|konnte (?:die|Ihre) Windows-Installation nicht (?:über)?prüf|pas (?:pu|été en mesure de) valider votre installation d|no (?:pudo|puede) validar la instalación de Windows|convalidare l['’]installazione di Windows|Windows のインストールを検証できません|无法验证(?:你|您)的 ?Windows ?安装`),
		"this is sysprep's message that one of its checks failed; nothing was changed. It does not name the check, the log does: run diagnose with " + sysprepLog + " of that machine"},
	{compile(`fatal error (?:has )?occurred (?:while trying to sysprep|during sysprep)|Schwerwiegender Fehler bei der Systemvorbereitung`),
		"this is sysprep's message that it failed. It does not name the cause, the log does: run diagnose with " + sysprepLog + " of that machine; that tells as well whether the machine can still be used"},
	{compile(`Windows could not complete the installation|Windows-Installation (?:konnte )?nicht (?:abgeschlossen|abschließen)|Windows konnte die Installation nicht abschließen|pas pu (?:terminer|effectuer) l['’]installation|no (?:pudo|puede) completar la instalación|completare l['’]installazione di Windows|não (?:pôde|foi possível) concluir a instalação|Windows のインストールを完了できませんでした|Windows 无法完成安装|Не удалось завершить установку Windows`),
		"this is a message of Windows Setup: the machine was to leave audit mode or OOBE in a way that does not fit its state, or its answer file failed. Run diagnose with " + setupLog + " of that machine (Shift+F10 opens a command prompt beside the message)"},
	{compile(`redémarré de (?:façon|manière) (?:inattendue|imprévue)|se reinició (?:inesperadamente|de forma inesperada)|riavviato in modo (?:imprevisto|inatteso)|reiniciado inesperadamente|неожиданно перезагру[зж]|予期せず再起動|意外地?重新启动|意外重新開機`),
		"this is Windows Setup's message that the first boot failed, or that the machine restarted in the middle of it. It does not name the cause, the log does: run diagnose with " + setupLog + " of that machine (Shift+F10 opens a command prompt beside the message)"},
	{compile(`Windows Setup could not configure (?:Windows to run on this computer|one or more system components)|Windows (?:could not|cannot) be configured to run on this computer|Windows could not (?:configure one or more system components|finish configuring the system)`),
		"this is a message of Windows Setup: a step of specialize failed at the first boot. It does not name the step, the log does: run diagnose with " + setupLog + " of that machine (Shift+F10 opens a command prompt beside the message)"},
}

// stands is the run of a script of the answer file that has begun a command and not
// ended it.
func (s said) stands(name string) (Run, bool) {
	if len(s.command) == 0 {
		return Run{}, false
	}
	text := shown(strings.Trim(strings.ToValidUTF8(string(s.command), ""), "«».…'\" "))
	step := bootStep{kind: stepCommand, by: "script", text: text, about: "in the script whose log is " + name, line: text}
	return Run{Progress: Progress{Lines: 1, LastLine: text, boot: &boot{open: []bootStep{step}}}, Lines: []Line{{Raw: text, Message: text}}}, true
}

// without is what a text means in which no log was found; "" where that is not known.
func (r *Reading) without(run Run) string {
	s := &search{left: maxSearched}
	for _, l := range run.Lines {
		text := strings.Join(strings.Fields(head(asWritten(l.Raw), maxMatch)), " ")
		p := problem{Line: l, text: text, low: strings.ToLower(text)}
		for _, m := range messages {
			if s.find(m.re, p) != nil {
				return m.says
			}
		}
	}
	if says := byState[string(r.said.state)]; says != "" {
		return "it is the output of a build: " + says
	}
	return ""
}
