package answerfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func lintPasswordEncoding(l *linter) {
	for _, n := range l.nodes {
		if placeholder(n.el.Value("Value")) {
			continue
		}
		name := n.el.Name.Local
		switch s := n.secret(); {
		case s.kind == brokenSecret && s.element != "":
			l.at(n, fmt.Sprintf("the password is encoded for <%s>: the account would get another password", s.element),
				fmt.Sprintf("write base64 of UTF-16LE of the password followed by %q, or PlainText=true", name))
		case s.kind == brokenSecret:
			l.at(n, "PlainText is false but Value is not a password encoded for this element: the account would get another password",
				fmt.Sprintf("write base64 of UTF-16LE of the password followed by %q, or PlainText=true", name))
		case s.kind == encodedSecret && s.element != name:
			l.as(finding.Warn, n, fmt.Sprintf("the password ends with a part of %q: it seems to be encoded for <%s>", s.element, s.element),
				fmt.Sprintf("write base64 of UTF-16LE of the password followed by %q, or PlainText=true", name))
		case s.kind == encodedSecret && s.unpadded:
			l.as(finding.Warn, n, `the base64 has no padding, as in Microsoft's own example; whether Windows takes it is not known`, `end it with "=" to a multiple of four characters`)
		}
	}
}

func lintPasswordScrubbed(l *linter) {
	for _, n := range l.nodes {
		if n.secret().kind == lostSecret {
			l.at(n, "Windows has deleted this password: the file is a used copy", "start from the original answer file")
		}
	}
}

func lintSecret(l *linter) {
	report := func(n node, s finding.Severity, message, fix string) {
		// Passes that are not run keep their secrets as well: they are no milder.
		l.add(remark(l.rule.ID, s, n.el.Line, message, fix, quotable(n.pass.Name()), quotable(n.comp.Name()), n.where))
	}
	for _, n := range l.nodes {
		stays := fmt.Sprintf("the image keeps it in %s until pass %s has run", windows.CachedAnswerFile.OnVolume(), quotable(n.pass.Name()))
		if never(n.pass) {
			stays = fmt.Sprintf("pass %s is never run, so the image keeps it in %s", quotable(n.pass.Name()), windows.CachedAnswerFile.OnVolume())
		}
		switch s := n.secret(); {
		case s.kind == plainSecret && !placeholder(s.text):
			report(n, l.rule.Severity, "a password in plain text: "+stays, "use an account that is removed or changed after deployment")
		case s.kind == encodedSecret:
			report(n, finding.Info, "a password that is encoded but not encrypted: "+stays, "")
		case s.kind == productKey && !isPublishedKey(s.plain) && !placeholder(s.text):
			report(n, finding.Info, "a product key: "+stays, "")
		case n.command() && len(secretsInText(n.el.Text)) > 0:
			report(n, l.rule.Severity, "the command seems to hold a password or a product key: "+stays, "let the command read it from elsewhere, or delete it there when it has run")
		}
	}
	for _, e := range l.file.scripts() {
		for _, line := range SecretLines(e.Text) {
			l.add(remark(l.rule.ID, l.rule.Severity, e.Line+line-1, fmt.Sprintf("the text of %s seems to hold a password or a product key; the image keeps it in %s", quotable(e.Name.Local), windows.CachedAnswerFile.OnVolume()), "let the script read it from elsewhere"))
		}
	}
	for _, c := range l.file.comments {
		if c.directive() || len(secretsInText(c.text)) == 0 {
			continue
		}
		l.add(remark(l.rule.ID, l.rule.Severity, c.line, "a comment seems to hold a password or a product key; Windows keeps comments in its copies of the file", "remove it from the comment"))
	}
}

// command reports whether the node holds a command line.
func (n node) command() bool { return isCommand(n.el, n.parent.Name.Local) }

// The complexity that Windows' default policy asks for (Password must meet
// complexity requirements): characters of three of five kinds, and not the
// name of the account, where that has three characters or more.
func policyProblem(password, account string) string {
	var upper, lower, digit, other, letter bool
	for _, r := range password {
		switch {
		case unicode.IsUpper(r):
			upper = true
		case unicode.IsLower(r):
			lower = true
		case r >= '0' && r <= '9':
			digit = true
		case unicode.IsLetter(r):
			letter = true
		default:
			other = true
		}
	}
	kinds := 0
	for _, has := range []bool{upper, lower, digit, other, letter} {
		if has {
			kinds++
		}
	}
	switch {
	case kinds < 3:
		return "the password has characters of fewer than three kinds (capitals, small letters, digits, others)"
	case len(account) > 2 && strings.Contains(strings.ToLower(password), strings.ToLower(account)):
		return "the password holds the account's name"
	}
	return ""
}

func lintPasswordPolicy(l *linter) {
	for _, n := range l.nodes {
		if !strings.EqualFold(n.comp.Name(), compShell) {
			continue
		}
		account, severity := "", l.rule.Severity
		switch n.path {
		case `UserAccounts\AdministratorPassword`:
			account = administrator
		case `UserAccounts\LocalAccounts\LocalAccount\Password`:
			// Mostly of a Windows client, which has no such policy by default.
			account, severity = strings.TrimSpace(n.parent.Value("Name")), finding.Info
		default:
			continue
		}
		s := n.secret()
		if s.kind != plainSecret && s.kind != encodedSecret || placeholder(s.plain) {
			continue
		}
		if problem := policyProblem(s.plain, account); problem != "" {
			l.as(severity, n, problem+": it does not meet Windows' default complexity policy; where that is in force, as on Windows Server, Setup cannot set it at the first boot", "use a password of three kinds of characters")
		}
	}
}

const (
	administrator = "Administrator"
	accountName   = `UserAccounts\LocalAccounts\LocalAccount\Name`
	// accountForbidden may not be in the name of an account (Windows Unattend
	// reference, LocalAccount\Name).
	accountForbidden = `"/\[]:|<>+=;,?*%@`
	// longestAccount is in characters (USER_INFO_1, lmaccess.h: LM20_UNLEN).
	longestAccount = 20
)

// taken are names that Windows refuses, or has given to accounts of its own.
var taken = []string{"NONE", "SYSTEM", "LOCAL SERVICE", "NETWORK SERVICE", "Guest", "DefaultAccount", "WDAGUtilityAccount", "Everyone", "INTERACTIVE", "Administrators", "Users", "Guests"}

// accountProblem says why Windows refuses a name for a local account.
func accountProblem(name string) string {
	switch {
	case isBlank(name):
		return "an account without a name"
	case units(name) > longestAccount:
		return fmt.Sprintf("the account name has %d characters, Windows allows %d", units(name), longestAccount)
	case strings.ContainsAny(name, accountForbidden):
		return "the account name has a character that is not allowed"
	case strings.Trim(name, ". ") == "":
		return "the account name has only dots and blanks"
	case strings.HasSuffix(name, "."):
		return "the account name ends with a dot"
	case slices.ContainsFunc(taken, func(t string) bool { return strings.EqualFold(t, name) }):
		return "the account name is one that Windows does not give to a new account"
	}
	return ""
}

func lintAccountName(l *linter) {
	computer := ""
	for _, n := range l.nodes {
		if n.is(compShell, "ComputerName") && n.pass.Name() == Specialize {
			computer = strings.TrimSpace(n.el.Text)
		}
	}
	for _, n := range l.nodes {
		if n.path == `UserAccounts\LocalAccounts\LocalAccount` && strings.EqualFold(n.comp.Name(), compShell) && n.el.Child("Name") == nil {
			l.at(n, "an account without a name", "write <Name> with the name of the account")
		}
		if !n.is(compShell, accountName) || placeholder(n.el.Text) {
			continue
		}
		problem := accountProblem(n.el.Text)
		if problem == "" && computer != "" && strings.EqualFold(computer, strings.TrimSpace(n.el.Text)) {
			problem = "the account is named like the computer, which Windows refuses"
		}
		if problem != "" {
			l.at(n, problem, "write another name: at most 20 characters, none of "+accountForbidden)
		}
	}
}

func lintAutoLogon(l *linter) {
	resets := slices.ContainsFunc(l.nodes, func(n node) bool {
		return n.command() && strings.Contains(strings.ToLower(n.el.Text), "autologoncount")
	})
	accounts := l.accounts()
	for _, n := range l.nodes {
		if !n.is(compShell, "AutoLogon") || !isTrue(n.el.Value("Enabled")) {
			continue
		}
		l.autoLogonAccount(n, accounts)
		count := strings.TrimSpace(n.el.Value("LogonCount"))
		switch {
		case count == "":
			l.at(n, "AutoLogon without LogonCount", "write <LogonCount>1</LogonCount>")
		case placeholder(count):
		case strings.Trim(count, "0123456789") != "":
			l.at(n, "LogonCount is not a number", "write <LogonCount>1</LogonCount>")
		case strings.Trim(count, "0") == "":
			l.as(finding.Info, n, "LogonCount is 0: nobody is logged on", "write <LogonCount>1</LogonCount>, or remove AutoLogon")
		case !resets && n.pass.Name() == OOBESystem:
			l.as(finding.Info, n, "Windows logs on once more than LogonCount says",
				`for exactly LogonCount logons, set the registry value Winlogon\AutoLogonCount to 0 in a FirstLogonCommand`)
		}
	}
}

// accounts are the passwords of the accounts that the file sets, by the pass and
// the name in small letters; of two with the same name the last counts. The
// password is nil for an account without one.
func (l *linter) accounts() map[[2]string]*Element {
	made := map[[2]string]*Element{}
	for _, a := range l.nodes {
		switch {
		case !strings.EqualFold(a.comp.Name(), compShell):
			continue
		case a.path == `UserAccounts\AdministratorPassword`:
			made[[2]string{a.pass.Name(), strings.ToLower(administrator)}] = a.el
		case a.path == `UserAccounts\LocalAccounts\LocalAccount`:
			name := strings.ToLower(strings.TrimSpace(a.el.Value("Name")))
			made[[2]string{a.pass.Name(), name}] = a.el.Child("Password")
		}
	}
	return made
}

// autoLogonAccount judges whether the account of an AutoLogon can log on, as far
// as the file makes it.
func (l *linter) autoLogonAccount(n node, accounts map[[2]string]*Element) {
	user, domain := strings.TrimSpace(n.el.Value("Username")), strings.TrimSpace(n.el.Value("Domain"))
	switch {
	case n.el.Child("Username") == nil:
		l.at(n, "AutoLogon without a user name: nobody can be logged on", "write <Username> with the name of an account")
		return
	case user == "" || placeholder(user) || domain != "" && domain != ".":
		return
	}
	// The first boot applies what oobeSystem sets; audit mode has its own.
	home := OOBESystem
	if n.pass.Name() == AuditSystem {
		home = AuditSystem
	}
	account, found := accounts[[2]string{home, strings.ToLower(user)}]
	if !found {
		if !strings.EqualFold(user, administrator) {
			l.as(finding.Info, n, "the account of AutoLogon is not made by this file: it has to be in the image", "")
		}
		return
	}
	want, given := passwordOf(account), passwordOf(n.el.Child("Password"))
	if want.known && given.known && want.text != given.text {
		l.at(n, "AutoLogon has another password than the account of the same name in this file: the logon fails", "give both the same password")
	}
}

// passwordText is the password of an element, known where the element is not
// encoded wrongly, scrubbed or a placeholder.
type passwordText struct {
	text  string
	known bool
}

func passwordOf(e *Element) passwordText {
	if e == nil {
		return passwordText{known: true}
	}
	switch s := secretOf(e, ""); s.kind {
	case notSecret:
		return passwordText{known: true}
	case plainSecret, encodedSecret:
		return passwordText{s.plain, !placeholder(s.plain)}
	}
	return passwordText{}
}
