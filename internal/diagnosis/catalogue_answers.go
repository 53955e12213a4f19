package diagnosis

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	anyPass = `windowsPE|offlineServicing|generalize|specialize|auditSystem|auditUser|oobeSystem`
	// componentName is that of a component, in brackets: names of passes and
	// programs have no hyphen between letters.
	componentName = `[A-Za-z][A-Za-z0-9.]*(?:-[A-Za-z0-9.]+)+`
	// answerFileWords are what Windows calls an answer file, in the languages of
	// which a report was seen or which Microsoft's terminology has.
	answerFileWords = `answer file|Antwortdatei|fichier de réponses|archivo de respuestas?|file di risposte|arquivo de respostas?|antwoordbestand|файла? ответов|plik\w* odpowiedzi|応答ファイル|应答文件|回應檔案|응답 파일`
	// refusedInWords is a message of Windows Setup on an answer file that names the
	// pass, refusedComponent one that names the component as well, in any language.
	refusedInWords   = `(?:` + answerFileWords + `)[^\[]*(?:\[[^\]]*\][^\[]*)?\[(?P<pass>` + anyPass + `)\]|\[(?P<pass2>` + anyPass + `)\][^\[]*(?:` + answerFileWords + `)`
	refusedComponent = `\[(?P<pass>` + anyPass + `)\].*\[(?P<component>` + componentName + `)\]|\[(?P<component2>` + componentName + `)\].*\[(?P<pass2>` + anyPass + `)\]`
)

// notApplied is a setting that Windows could not apply, after which it may go on.
const notApplied = "F115"

// appliedCauses are answer files that Windows Setup could read, and settings of
// them that it could not bring about.
var appliedCauses = []cause{
	{id: "F113", name: "UNATTEND_COMPONENT_NOT_APPLIED", phase: PhaseFirstBoot, weak: refusedComponent, title: "Windows Setup could not apply what the answer file says for {component} (pass {pass})", unconfirmed: true,
		remedy: []string{"{apply}", "Which setting it is stands in the last lines of " + windowsLogs + " of that machine; Shift+F10 opens a command prompt beside the message.", freshCopy}, source: github + "rbalsleyMSFT/FFU/issues/29"},
	{id: "F114", name: "ACCOUNT_NOT_MADE", phase: PhaseFirstBoot, pattern: `(?:Unable|Failed) to (?:create|add|enable|update|set|delete|log ?on)\b[^'\[]*?(?:user|account|member|group|administrator)\b[^'\[]*(?:['\[](?P<account>[^'\]]+)['\])])?.*?\b(?P<code>0x8007(?:0523|0534|0560|0562|0563|056b|056c|052e|0533|089a|08ac|08ad|08af|08b0|08b5|08b8))\b|\b(?:UserAccounts|LocalAccounts|AutoLogon|AdministratorPassword)\b[^'\["]*(?:['\["](?P<account2>[^'\]"]+)['\]"])?.*?\b(?P<code2>0x8007(?:0523|0534|0560|0562|0563|056b|056c|052e|0533|089a|08ac|08ad|08af|08b0|08b5|08b8))\b`, title: "Windows Setup could not make or use an account of the answer file ({account}) ({code})",
		remedy: []string{"{made}", freshCopy}, source: "https://learn.microsoft.com/en-us/windows/win32/netmgmt/network-management-error-codes"},
	{id: notApplied, name: "UNATTEND_SETTING_NOT_APPLIED", phase: PhaseFirstBoot, generic: true, pattern: `^\[(?:Shell Unattend|\w+UGC\.EXE|\w*Unattend\.exe|NetSetup\.exe)\] (?:(?P<setting>[A-Z][A-Za-z]+): (?:.*?value named '(?P<value>[^']+)')?.*?(?:fail\w*|error|unable|could not|cannot|with status|is not|not (?:found|installed|valid)|invalid)\b.*?(?P<code>0x[0-9a-f]+)|(?P<setting2>[A-Z][A-Za-z]+) failed \((?P<code2>0x[0-9a-f]+)\))`, title: "Windows Setup could not apply {setting} of the answer file ({value}) ({code})", unconfirmed: true,
		remedy: []string{"Correct {setting} in the answer file: look what its page in Microsoft's reference allows, and whether what it names (an interface, an account, a folder) is there on the machine that boots.", freshCopy}, source: docUnattend},
}

// repeatedCauses are boots after one that failed, and machines that come to OOBE again
// and again.
var repeatedCauses = []cause{
	{id: "F123", name: "PASS_FAILED_BEFORE", phase: PhaseFirstBoot, weak: `Pass has failed status; system is in an invalid state`, also: `pass (?:status for )?\[(?P<pass>` + anyPass + `)\]`, title: "an earlier boot failed in a pass of the answer file (pass {pass}), and Windows Setup does not try it again on this machine", unconfirmed: true,
		remedy: []string{"A corrected answer file is not read on this machine any more: deploy a fresh copy with it. The cause is in the errors of the boot before, in " + windowsLogs + ".", freshCopy}, source: docSetupLogs},
	{id: "F124", name: "OOBE_AGAIN", phase: PhaseFirstBoot, anyLevel: true, pattern: `image state from \[IMAGE_STATE_COMPLETE\] --> \[IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE\]`, title: "OOBE ended, and the machine was put back to the begin of OOBE: it comes to OOBE again and again", unconfirmed: true,
		remedy: []string{"Look what the pages of the account cannot finish: a machine that is joined to a domain before OOBE, or an answer file without an account and AutoLogon. Join after the first boot, or answer the pages in pass oobeSystem.", freshCopy}, source: unattend + "microsoft-windows-shell-setup-oobe"},
	{id: "F125", name: "OOBE_WITHOUT_PAGES", phase: PhaseFirstBoot, anyLevel: true, pattern: `msoobe\.exe\] Failed to create the wizard\b.*?(?P<code>0x80040154)`, title: "OOBE could not show its pages ({code}): Server Core has none, and this is harmless there", unconfirmed: true,
		remedy: []string{"On Server Core nothing is to be done; what else the log says counts. Elsewhere the image lacks parts of Windows: DISM /Online /Cleanup-Image /RestoreHealth on the source machine, then generalize a fresh copy."}, source: docSetupLogs},
}

const windowsLogs = `%WINDIR%\Panther\setuperr.log and %WINDIR%\Panther\UnattendGC\setuperr.log`

// applyAdvice is what to look at first where Setup names only the component and
// the pass.
func applyAdvice(component, pass string) string {
	low := strings.ToLower(component)
	switch {
	case strings.HasSuffix(low, "shell-setup") && strings.EqualFold(pass, "oobeSystem"):
		return "Look first at accounts and passwords: names that Windows refuses, groups by a name that this language of Windows does not have, passwords against the policy or wrongly encoded; then at FirstLogonCommands, of which a Description has at most 256 characters."
	case strings.HasSuffix(low, "shell-setup"):
		return "Look first at ProductKey (a key of another edition or an empty one) and ComputerName (at most 15 characters, no blanks), then at TimeZone, CopyProfile and AutoLogon."
	case strings.HasSuffix(low, "windows-deployment"):
		return "Look first at its commands: a Path of more than 259 characters, two of the same Order, one that ends with an exit code other than 0, 1 or 2; then at Reseal and Generalize."
	case strings.HasSuffix(low, "unattendedjoin"):
		return "Look first at name, credentials and reach of the domain: DNS must find a domain controller at first boot."
	case strings.Contains(low, "international-core"):
		return "Look first for a language that is not installed in the image, and for a tag that is no language (en-US is one)."
	case strings.HasSuffix(low, "-tcpip"), strings.HasSuffix(low, "-dns-client"), strings.HasSuffix(low, "-netbt"):
		return "Look first at Identifier: the interface must have that name or MAC address on the machine that boots."
	}
	return "Correct its settings in the answer file; packer-plugin-sysprep lint <file> finds names, values and passes that are wrong."
}

// accountAdvice is what to correct for the code with which an account could not
// be made (winerror.h, lmerr.h).
func accountAdvice(code string) string {
	n, _ := parseCode(code)
	switch n & 0xffff {
	case 0x534, 0x560, 0x8ac:
		return "Name a group that is there: built-in groups have other names in other languages of Windows (Administrators is Administratoren, Administrateurs, Administradores), and several are parted by a semicolon."
	case 0x523, 0x89a:
		return `Give the account a name that Windows takes: at most 20 characters, none of "/\[]:|<>+=;,?*%@, not empty, not the name of the computer.`
	case 0x8af:
		return "Give the account another name: a group has it (None is one of Windows' own)."
	case 0x8b0, 0x563:
		return "Give the account another name, or remove it from the answer file: an account of that name is in the image."
	case 0x52e, 0x8ad:
		return "Give AutoLogon or the account the name and password that the account really has on the machine that boots."
	case 0x533:
		return "Enable the account (the built-in Administrator is disabled on Windows clients), or name another one."
	}
	return "Correct the account in the answer file (UserAccounts, AutoLogon)."
}

// refusedFor says what is wrong with an answer file that Setup refused without
// the name of a setting, in the words of its message or by its code, and what to
// look for.
func refusedFor(text string) (because, look string) {
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "more than once"):
		return "a component or a setting stands twice in one pass",
			"Put all settings of a component and a pass into one <component>; look for a second one where answer files were put together."
	case strings.Contains(low, "does not exist"), strings.Contains(low, "0x8030000c"):
		return "it names a component or a setting that this Windows does not have",
			"Look for a misspelt name, a setting of another component or pass, a component of another architecture, and what only other versions of Windows have; packer-plugin-sysprep lint <file> finds most of these."
	case strings.Contains(low, "cannot be applied"):
		return "a setting could not be applied",
			"Look for the setting in the last lines of " + windowsLogs + " of that machine."
	}
	return "an invalid value or child elements in the wrong order",
		`Look for the setting in Panther\UnattendGC\setupact.log too, in its warnings; packer-plugin-sysprep lint <file> finds most faults.`
}

// dialogText is a message of Windows Setup on an answer file, in any language.
var dialogText = lazyregexp.New(`(?i)^[^\[\]]{0,300}(?:` + unnamed.Replace(refusedComponent+`|`+refusedInWords) + `)`)

// unnamed takes the names of groups out of a pattern.
var unnamed = strings.NewReplacer("?P<pass>", "?:", "?P<pass2>", "?:", "?P<component>", "?:", "?P<component2>", "?:")

// advice fills in what is to be done where it depends on the code, the component
// or the words of the line.
func (c cause) advice(text string, groups map[string]string) {
	switch c.id {
	case joinFailed:
		m := joinCode.FindStringSubmatch(text)
		groups["join"] = joinAdvice(m[1])
	case "F61":
		groups["because"], groups["look"] = refusedFor(text)
	case "F113":
		groups["apply"] = applyAdvice(groups["component"], groups["pass"])
	case "F114":
		groups["made"] = accountAdvice(lastCode(text))
	}
}

// lastCode is the last code of a line, empty where it has none.
func lastCode(text string) string {
	codes := codeOfWindows.FindAllString(text, -1)
	if len(codes) == 0 {
		return ""
	}
	return codes[len(codes)-1]
}

var codeOfWindows = lazyregexp.New(`0x[0-9a-fA-F]{2,8}`)
