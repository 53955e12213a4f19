package diagnosis

import "regexp"

// hidden stands for what is not shown of a log.
const hidden = "<hidden>"

// secrets are the forms in which logs of Windows hold what nobody else must see:
// product keys, commands of answer files with passwords, refused values as hex.
// The first group stays. internal/answerfile looks for the same forms in commands;
// a form that is new there is to be added here.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`()\b[0-9A-Za-z]{5}(?:-[0-9A-Za-z]{5}){4}\b`),
	regexp.MustCompile(`(?i)((?:\w*(?:password|passwd|passphrase|admin_?pass)|(?:\b|_)(?:pwd|secret|token|api_?key|access_?key))\w*["']?\s*(?:[:=]|=>)\s*)(?:"[^"]*"|'[^']*'|[^\s,;"']+)`),
	regexp.MustCompile(`(?i)([-/](?:password|passwd|passphrase|pass|pwd|secret|token)\w*[\s:=]\s*)(?:"[^"]*"|'[^']*'|[^\s"']+)`),
	regexp.MustCompile(`(?i)(\bnet1?(?:\.exe)?\s+user\s+(?:"[^"]*"|[^\s"/]+)\s+)(?:"[^"]*"|[^\s"/*][^\s"]*)`),
	regexp.MustCompile(`(?i)([-/]user(?:name)?[:\s]\s*(?:"[^"]*"|[^\s"]+)\s+)(?:"[^"]*"|[^\s"/-][^\s"]*)`),
	regexp.MustCompile(`(?i)(ConvertTo-SecureString\s+(?:-String\s+)?)(?:"[^"]*"|'[^']*'|[^\s"'-][^\s"']*)`),
	regexp.MustCompile(`(?i)()(?:"[^"$]+"|'[^']+')(?:\s*\|\s*ConvertTo-SecureString)`),
	regexp.MustCompile(`(?i)(/v\s+"?\w*password\w*"?(?:\s+/\w(?:\s+REG_\w+)?)*?\s+(?:/t\s+\w+\s+)?/d\s+)(?:"[^"]*"|\S+)`),
	regexp.MustCompile(`(?i)(-Name\s+["']?\w*password["']?(?:\s+-(?:PropertyType|Type)\s+\w+|\s+-Force)*\s+-Value\s+)(?:"[^"]*"|'[^']*'|[^\s"']+)`),
	regexp.MustCompile(`(?i)(\s[-/]rp\s+)(?:"[^"]*"|[^\s"/]\S*)`),
	regexp.MustCompile(`(?i)(\bnet1?(?:\.exe)?\s+use\s+(?:\S:\s+|\*\s+)?"?\\\\[^\s"\]]+"?\s+)(?:"[^"]+"|[^\s/&|>*"][^\s&|>"]*)`),
	regexp.MustCompile(`(?i)(\bautologon(?:64)?\.exe"?(?:\s+[/-]accepteula)?\s+[^\s/=<>-]\S*\s+\S+\s+)(?:"[^"]+"|[^\s/"-]\S*)`),
	regexp.MustCompile(`(?i)(\bpsexec(?:64)?(?:\.exe)?\b.*?\s[-/]p\s+)(?:"[^"]+"|[^\s"]\S*)`),
	regexp.MustCompile(`(?i)(<\w*Password>\s*(?:<Value>)?)[^<]+`),
	regexp.MustCompile(`(://[^/\s:@]+:)[^/\s@]+@`),
	regexp.MustCompile(`(?i)(\s-e(?:nc?|ncodedcommand)?\s+)[A-Za-z0-9+/=]{40,}`),
	regexp.MustCompile(`(?i)(bytes \(\s*\d+\s*\): )[0-9a-f.]+`),
}

// hide takes out of a text of a log what must not be shown.
func hide(text string) string {
	for _, s := range secrets {
		text = s.ReplaceAllString(text, "${1}"+hidden)
	}
	return text
}
