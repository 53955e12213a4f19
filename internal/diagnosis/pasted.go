package diagnosis

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// What copying does to the lines of a log: forums, mails, web pages, terminals
// and other programs' logs put something before them, join several into one,
// break one into several and replace characters.

var (
	// stampedText is the begin of a line of Windows inside a text, unstampedText
	// that of one without its time.
	stampedText   = lazyregexp.New(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?,\s*` + levels + `\s`)
	unstampedText = lazyregexp.New(`(?:` + levels + `:?\s+)?(?:\[0x[0-9a-fA-F]{6,8}\]\s+)?SYSPRP\s`)
	// quotedLine is what a web page, a mail or a viewer puts before the lines of a
	// log: list numbers, marks of a quotation or a comment, the name of the
	// program that printed it, an ellipsis, blanks.
	quotedLine = lazyregexp.New("^(?:\\s+|[>*|#\"'`•+-]+\\s*|//+\\s*|\\d{1,6}[.:)]\\s+|[\\[(]?(?:\\.{2,3}|…)[\\])]?\\s+|[\\w./\\\\:()=>-]{1,100}:\\s+)+" +
		`(\d{2,4}-\d\d-\d{2,4} \d\d:\d\d:\d\d|\\?<[A-Za-z/ ]{4,20}\\?>|Date/Time,|\[0x[0-9a-fA-F]{6,8}\] |` + levels + `:?\s*(?:\[|SYSPRP |IBS |IBSLIB |CSI |CBS |\s{3})|(?:SYSPRP|IBSLIB|IBS) |` + programs + `|` + textSMI + `|` + textInvalidFile + `|` + sysprepTexts + `)`)
	// placedLine has words where the time was, looseLine a time in another form.
	placedLine = lazyregexp.New(`^(?:(?:\\?<[A-Za-z/ ]{2,20}\\?>\s*)+|Date/Time),\s*(` + levels + `)` + afterLevel)
	looseLine  = lazyregexp.New(`^(\d{1,4})([-/.])(\d{1,2})[-/.](\d{1,4})[T ]+\d{1,2}:\d\d:\d\d(?:[.]\d+)?(?: ?[AaPp][Mm])?[, \t]\s*(` + levels + `)` + afterLevel)
	// setupText is how the dialogs of Windows Setup begin, which people copy, too.
	setupText = lazyregexp.New(`^(?:Windows could not parse or process (?:the )?unattend|The computer restarted unexpectedly or encountered|Der Computer wurde unerwartet neu gestartet)`)
	// sysprepText is how sysprep's own messages begin, where nothing is left of
	// what stands before them.
	sysprepText = lazyregexp.New(`^(?:` + sysprepTexts + `)`)
)

const sysprepTexts = `Package \S+ (?:was |is )?installed for a|Failed to remove apps for the current user|Exit code of RemoveAllApps|BitLocker-Sysprep: |spopk\.dll:: |` +
	`(?:ActionPlatform|SysprepSession)::\w+: ?|(?:RunDlls|RunExternalDlls|RunRegistryDlls|RunPlatformActions|LaunchDll|Sysprep_Clean_Validate_Opk): ?|WinMain: ?Hit failure|Audit mode can.{1,3}t be turned on`

// bare says what wrote a message with nothing before it; empty where that is not
// known.
func bare(message string) string {
	switch {
	case sysprepText.MatchString(message):
		return "SYSPRP"
	case setupText.MatchString(message), strings.IndexByte(message, '[') > 0 && dialogText.MatchString(message):
		return "IBS"
	}
	return ""
}

// records are the lines of a log that one line of a pasted text holds; nil where
// it holds no more than one.
func records(text string) []string {
	found := recordsOf(text)
	if found == nil {
		return nil
	}
	var out []string
	at := found.FindAllStringIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		if before := strings.TrimSpace(text[:m[0]]); i == 0 && goesOn(before) {
			out = append(out, before)
		}
		out = append(out, strings.TrimSpace(text[m[0]:end]))
	}
	return out
}

// recordsOf is how the lines of a log begin that one line of a pasted text holds;
// nil where it holds no more than one.
func recordsOf(text string) *lazyregexp.Regexp {
	switch {
	case stamps(text):
		return stampedText
	case strings.Count(text, "SYSPRP ") > 1:
		return unstampedText
	}
	return nil
}

// lastRecord is where the last line of a log begins in one line of a pasted text;
// 0 where the text holds no more than one.
func lastRecord(text string) int {
	found := recordsOf(text)
	if found == nil {
		return 0
	}
	all := found.FindAllStringIndex(text, -1)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1][0]
}

// stamps says whether a level stands behind a comma elsewhere than where Windows
// writes it, for each line of a log: it is to be quick.
func stamps(text string) bool {
	const first = len("2006-01-02 15:04:05")
	for from := 0; ; {
		i := strings.Index(text[from:], ", ")
		if i < 0 {
			return false
		}
		from += i + 2
		if rest := text[from:]; from != first+2 && (strings.HasPrefix(rest, "Info ") || strings.HasPrefix(rest, "Error ") || strings.HasPrefix(rest, "Warning ")) {
			return true
		}
	}
}

// goesOn says whether what stands before a line is the end of the line before,
// and not what a program put there.
func goesOn(before string) bool {
	return strings.Count(before, " ") > 2 && strings.IndexByte(":>|-#*", before[len(before)-1]) < 0
}

// unquoted takes off what stands before a line in a text that was copied from
// somewhere.
func unquoted(text string) string {
	if m := quotedLine.FindStringSubmatchIndex(text[:min(len(text), maxHead)]); m != nil {
		return text[m[2]:]
	}
	return text
}

// copied undoes what editors and web pages make of quotation marks, blanks and
// emphasis.
var copied = strings.NewReplacer("‘", "'", "’", "'", "´", "'", "“", `"`, "”", `"`, "\u00a0", " ", "**", "", "&#39;", "'", "&#039;", "'", "&apos;", "'", "&quot;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&nbsp;", " ")

// asWritten is a message as Windows wrote it.
func asWritten(message string) string {
	ascii := true
	for i := 0; i < len(message) && ascii; i++ {
		ascii = message[i] < 0x80
	}
	if ascii && !strings.Contains(message, "**") && strings.IndexByte(message, '&') < 0 && !strings.HasSuffix(message, "`") {
		return message
	}
	return strings.TrimRight(copied.Replace(message), "` ")
}

// joinLines puts the pieces of a message together; a word that was broken at its
// hyphen is whole again.
func joinLines(pieces []string) string {
	var b strings.Builder
	for i, piece := range pieces {
		if n := b.Len(); i > 0 && n > 0 {
			last := pieces[i-1]
			if len(last) < 2 || last[len(last)-1] != '-' || last[len(last)-2] == ' ' {
				b.WriteByte(' ')
			}
		}
		b.WriteString(piece)
	}
	return b.String()
}

// continued is a line that goes on, without what stood before the line that it
// continues.
func continued(text, before string) string {
	if before == "" {
		return text
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), before)
	if !ok {
		return text
	}
	return strings.TrimSpace(rest)
}
