package answerfile

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

const vector = "UABAAHMAcwB3ADAAcgBkACEAQQBkAG0AaQBuAGkAcwB0AHIAYQB0AG8AcgBQAGEAcwBzAHcAbwByAGQA"

func commands(n int, order string) string {
	return "<RunSynchronous>" + strings.Repeat(`<RunSynchronousCommand wcm:action="add">`+order+`<Path>cmd /c ver</Path></RunSynchronousCommand>`, n) + "</RunSynchronous>"
}

func deployment(s string) string { return wrap(Specialize, compDeployment, s) }
func shell(s string) string      { return wrap(Specialize, compShell, s) }
func oobe(s string) string       { return wrap(OOBESystem, compShell, s) }
func audit(s string) string      { return wrap(AuditUser, compDeployment, s) }

const resetCount = "<FirstLogonCommands><SynchronousCommand><CommandLine>reg add x /v AutoLogonCount</CommandLine></SynchronousCommand></FirstLogonCommands>"

func account(name, more string) string {
	return oobe(`<UserAccounts><LocalAccounts><LocalAccount wcm:action="add">` + name + more + `</LocalAccount></LocalAccounts></UserAccounts>`)
}

func adminValue(value string) string {
	return oobe("<UserAccounts><AdministratorPassword><Value>" + value + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>")
}

func adminPassword(password string) string {
	return oobe("<UserAccounts><AdministratorPassword><Value>" + password + "</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>")
}

func logon(user, more string) string {
	return oobe("<AutoLogon><Enabled>true</Enabled><Username>" + user + "</Username>" + more + "</AutoLogon>" + resetCount)
}

// accountAndLogon makes the account ann with the password x, and logs on.
func accountAndLogon(user, password string) string {
	return oobe(`<UserAccounts><LocalAccounts><LocalAccount wcm:action="add"><Name>ann</Name><Password><Value>` + EncodePassword("x", "Password") + `</Value><PlainText>false</PlainText></Password></LocalAccount></LocalAccounts></UserAccounts>` +
		"<AutoLogon><Enabled>true</Enabled><LogonCount>1</LogonCount><Username>" + user + "</Username><Password><Value>" + password + "</Value><PlainText>true</PlainText></Password></AutoLogon>" + resetCount)
}

// before puts a component before the first of a file.
func before(data, pass, component, settings string) string {
	return strings.Replace(data, "<settings", `<settings pass="`+pass+`"><component name="`+component+`" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">`+settings+"</component></settings><settings", 1)
}

// german gives a file German languages.
func german(data string) string {
	return before(data, OOBESystem, compInternational, "<UILanguage>de-DE</UILanguage>")
}

// toAuditMode makes the first boot of a file lead into audit mode.
func toAuditMode(data string) string {
	return before(data, OOBESystem, compDeployment, "<Reseal><Mode>Audit</Mode></Reseal>")
}

var (
	toOOBE  = Context{CommandLine: &CommandLine{Generalize: true, OOBE: true}, Architecture: "amd64"}
	toVM    = Context{CommandLine: &CommandLine{Generalize: true, OOBE: true, VMMode: true}}
	toAudit = Context{CommandLine: &CommandLine{Audit: true}}
)

// lintCase is a file that a rule passes, or finds fault with: want is the
// severity, "" for no finding of this rule.
type lintCase struct {
	rule, name, data string
	ctx              Context
	want             finding.Severity
	line             int
	setting          string
}

// lintCases holds for every rule at least one file it passes and one it finds
// fault with.
var lintCases = slices.Concat(structureCases, valueCases)

var structureCases = []lintCase{
	{rule: ruleWellFormed, name: "closed elements", data: shell("")},
	{rule: ruleWellFormed, name: "an open element", data: shell("<a>"), want: finding.Fail, line: 6},
	{rule: ruleComment, name: "a tidy comment", data: shell("<!-- a - b -->")},
	{rule: ruleComment, name: "dashes", data: shell("<!-- a -- b -->"), want: finding.Fail, line: 5},
	{rule: ruleEncoding, name: "UTF-8", data: shell("<RegisteredOwner>é</RegisteredOwner>")},
	{rule: ruleEncoding, name: "Latin-1", data: shell("<RegisteredOwner>\xe9</RegisteredOwner>"), want: finding.Fail, line: 5},
	{rule: ruleRoot, name: "the namespace", data: shell("")},
	{rule: ruleRoot, name: "no namespace", data: "<unattend/>", want: finding.Fail, line: 1},
	{rule: ruleLimits, name: "some depth", data: shell(strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20))},
	{rule: ruleLimits, name: "too much depth", data: shell(strings.Repeat("<a>", 70) + strings.Repeat("</a>", 70)), want: finding.Fail, line: 5},

	{rule: rulePass, name: "specialize", data: shell("")},
	{rule: rulePass, name: "first", data: wrap("first", compShell, ""), want: finding.Fail, line: 3},
	{rule: "pass-duplicate", name: "two passes", data: `<unattend xmlns="` + Namespace + `"><settings pass="specialize"/><settings pass="oobeSystem"/></unattend>`},
	{rule: "pass-duplicate", name: "one pass twice", data: `<unattend xmlns="` + Namespace + "\"><settings pass=\"specialize\"/>\n<settings pass=\"specialize\"/></unattend>", want: finding.Warn, line: 2},
	{rule: "component-duplicate", name: "the same for another architecture", data: shell(`</component><component name="` + compShell + `" processorArchitecture="x86">`)},
	{rule: "component-duplicate", name: "the same twice", data: shell("</component>\n<component name=\"" + strings.ToLower(compShell) + `" processorArchitecture="AMD64" language="neutral" versionScope="nonSxS">`), want: finding.Fail, line: 6},
	{rule: "component-attributes", name: "as Windows writes them", data: shell("")},
	{rule: "component-attributes", name: "the other case seen in production", data: strings.Replace(shell(""), "nonSxS", "NonSxS", 1)},
	{rule: "component-attributes", name: "no token", data: strings.Replace(shell(""), `publicKeyToken="31bf3856ad364e35"`, "", 1), want: finding.Warn, line: 4},
	{rule: "component-attributes", name: "no name", data: strings.Replace(shell(""), `name="`+compShell+`"`, "", 1), want: finding.Fail, line: 4},
	{rule: "component-unknown", name: "a known one", data: shell("")},
	{rule: "component-unknown", name: "another spelling in production", data: wrap(Generalize, "Microsoft-Windows-PnPSysprep", "")},
	{rule: "component-unknown", name: "an unknown one", data: wrap(Specialize, "Contoso-Agent-Setup", ""), want: finding.Info, line: 4},
	{rule: "component-unknown", name: "one letter off", data: wrap(Specialize, "Microsoft-Windows-ShellSetup", ""), want: finding.Warn, line: 4},
	{rule: "architecture", name: "the guest's", data: shell(""), ctx: toOOBE},
	{rule: "architecture", name: "the guest's in capitals", data: shell(""), ctx: Context{Architecture: "AMD64"}},
	{rule: "architecture", name: "the 32-bit half", data: strings.Replace(shell(""), `"amd64"`, `"wow64"`, 1), ctx: toOOBE},
	{rule: "architecture", name: "the 32-bit half on 32-bit Windows", data: strings.Replace(shell(""), `"amd64"`, `"wow64"`, 1), ctx: Context{Architecture: "x86"}, want: finding.Fail, line: 4},
	{rule: "architecture", name: "another", data: strings.Replace(shell(""), `"amd64"`, `"x86"`, 1), ctx: toOOBE, want: finding.Fail, line: 4},
	{rule: "architecture", name: "another beside the guest's", data: shell("</component>\n<component name=\"" + compShell + `" processorArchitecture="x86">`), ctx: toOOBE, want: finding.Info, line: 6},
	{rule: "architecture", name: "a typing error", data: strings.Replace(shell(""), `"amd64"`, `"x64"`, 1), want: finding.Fail, line: 4},
	{rule: "architecture", name: "a placeholder", data: strings.Replace(shell(""), `"amd64"`, `"%arch%"`, 1), ctx: toOOBE},
	{rule: "setting-unknown", name: "a known one", data: oobe("<OOBE><HideEULAPage>true</HideEULAPage></OOBE>")},
	{rule: "setting-unknown", name: "one that is not in the reference", data: oobe("<Wallpapers/>"), want: finding.Warn, line: 5, setting: "Wallpapers"},
	{rule: "setting-unknown", name: "one that is not in the reference, in a pass that is over", data: wrap(WindowsPE, "Microsoft-Windows-Setup", "<Wallpapers/>"), want: finding.Info, line: 5},
	{rule: "setting-unknown", name: "a letter is missing, deep inside", data: oobe("<OOBE>\n<HideOnlineAccountScreen>true</HideOnlineAccountScreen></OOBE>"), want: finding.Warn, line: 6, setting: `OOBE\HideOnlineAccountScreen`},
	{rule: "setting-unknown", name: "what is below an unknown one is not judged", data: oobe("<Wallpapers><A/><B/></Wallpapers>"), want: finding.Warn, line: 5, setting: "Wallpapers"},
	{rule: "setting-unknown", name: "an element in a text", data: oobe("<TimeZone><b>UTC</b></TimeZone>"), want: finding.Warn, line: 5, setting: `TimeZone\b`},
	{rule: "setting-misplaced", name: "where it belongs", data: deployment(commands(1, ""))},
	{rule: "setting-misplaced", name: "a name that many settings have", data: oobe("<OOBE><Name>a</Name></OOBE>")},
	{rule: "setting-misplaced", name: "of another component", data: shell(commands(1, "")), want: finding.Fail, line: 5, setting: "RunSynchronous"},
	{rule: "setting-misplaced", name: "without its container", data: oobe("<LocalAccounts/>"), want: finding.Fail, line: 5, setting: "LocalAccounts"},
	{rule: "setting-misplaced", name: "the other name of a command line", data: oobe("<FirstLogonCommands><SynchronousCommand><Order>1</Order>\n<Path>a</Path></SynchronousCommand></FirstLogonCommands>"), want: finding.Fail, line: 6},
	{rule: "list-key", name: "two keys", data: wrap(Specialize, compDNS, `<DNSSuffixSearchOrder><DomainName wcm:action="add" wcm:keyValue="1">a</DomainName><DomainName wcm:action="add" wcm:keyValue="2">b</DomainName></DNSSuffixSearchOrder>`)},
	{rule: "list-key", name: "one key twice", data: wrap(Specialize, compDNS, `<DNSSuffixSearchOrder><DomainName wcm:action="add" wcm:keyValue="1">a</DomainName>`+"\n"+`<DomainName wcm:action="add" wcm:keyValue="1">b</DomainName></DNSSuffixSearchOrder>`), want: finding.Warn, line: 6},
	{rule: "list-key", name: "one child twice", data: wrap(Specialize, compTCPIP, `<Interfaces><Interface wcm:action="add"><Identifier>a</Identifier></Interface>`+"\n"+`<Interface wcm:action="add"><Identifier>A</Identifier></Interface></Interfaces>`), want: finding.Warn, line: 6},
	{rule: "processed", name: "a fresh file", data: strings.Replace(shell(""), `pass="specialize"`, `pass="specialize" wasPassProcessed="false"`, 1)},
	{rule: "processed", name: "a used copy", data: strings.Replace(shell(""), `pass="specialize"`, `pass="specialize" wasPassProcessed="true"`, 1), want: finding.Warn, line: 3},
	{rule: ruleDirective, name: "a rule", data: shell("<!-- sysprep-lint off: secret, value --><TimeZone>UTC</TimeZone>")},
	{rule: ruleDirective, name: "a rule that does not exist", data: shell("<!-- sysprep-lint off: secrets --><TimeZone>UTC</TimeZone>"), want: finding.Warn, line: 5},
	{rule: ruleDirective, name: "no rule", data: shell("<!-- sysprep-lint off --><TimeZone>UTC</TimeZone>"), want: finding.Warn, line: 5},
	{rule: ruleDirective, name: "nothing after it", data: shell("<TimeZone>UTC</TimeZone><!-- sysprep-lint off: value -->"), want: finding.Warn, line: 5},
	{rule: "empty", name: "one that may be", data: shell("<ComputerName></ComputerName>")},
	{rule: "empty", name: "a mode that may be left out", data: audit("<Reseal><Mode/></Reseal>")},
	{rule: "empty", name: "a text", data: deployment(`<RunSynchronous><RunSynchronousCommand><Order>1</Order>` + "\n" + `<Path> </Path></RunSynchronousCommand></RunSynchronous>`), want: finding.Warn, line: 6},
	{rule: "empty", name: "one of some values", data: oobe("<OOBE><HideEULAPage/></OOBE>"), want: finding.Warn, line: 5},
	{rule: "empty", name: "the user who is logged on", data: oobe("<AutoLogon><Enabled>true</Enabled><LogonCount>1</LogonCount><Username/></AutoLogon>"), want: finding.Fail, line: 5},
	{rule: "time-zone", name: "a name of Windows", data: shell("<TimeZone>W. Europe Standard Time</TimeZone>")},
	{rule: "time-zone", name: "in small letters, without daylight saving", data: shell("<TimeZone>w. europe standard time_dstoff</TimeZone>")},
	{rule: "time-zone", name: "one that CLDR does not have", data: shell("<TimeZone>Mid-Atlantic Standard Time</TimeZone>")},
	{rule: "time-zone", name: "a name of IANA", data: shell("<TimeZone>Europe/Berlin</TimeZone>"), want: finding.Warn, line: 5},
	{rule: "time-zone", name: "a letter is missing", data: shell("<TimeZone>W. Europe Standard Tim</TimeZone>"), want: finding.Warn, line: 5},
	{rule: "time-zone", name: "something else", data: shell("<TimeZone>CET</TimeZone>"), want: finding.Warn, line: 5},
	{rule: "locale", name: "a tag", data: wrap(OOBESystem, compInternational, "<UILanguage>zh-Hant-TW</UILanguage><UserLocale>es-ES_tradnl</UserLocale><InputLocale>0407:00000407;en-US; 0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}</InputLocale>")},
	{rule: "locale", name: "a country that is written differently", data: wrap(OOBESystem, compInternational, "<UILanguage>en-UK</UILanguage>"), want: finding.Warn, line: 5},
	{rule: "locale", name: "an underscore", data: wrap(OOBESystem, compInternational, "<UserLocale>en_US</UserLocale>"), want: finding.Warn, line: 5},
	{rule: "locale", name: "a language that does not exist", data: wrap(OOBESystem, compInternational, "<UserLocale>qx-US</UserLocale>"), want: finding.Warn, line: 5},
	{rule: "locale", name: "a keyboard of seven digits", data: wrap(OOBESystem, compInternational, "<InputLocale>0409:0000409</InputLocale>"), want: finding.Warn, line: 5},
	{rule: "account-name", name: "a name", data: account("<Name>ann</Name>", "")},
	{rule: "account-name", name: "none", data: account("", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "an empty one", data: account("<Name/>", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "20 characters", data: account("<Name>"+strings.Repeat("x", 20)+"</Name>", "")},
	{rule: "account-name", name: "21 characters", data: account("<Name>"+strings.Repeat("x", 21)+"</Name>", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "an address", data: account("<Name>ann@example.com</Name>", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "NONE", data: account("<Name>none</Name>", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "a dot at the end", data: account("<Name>ann.</Name>", ""), want: finding.Fail, line: 5},
	{rule: "account-name", name: "the computer's", data: strings.Replace(account("<Name>box</Name>", ""), "<settings", `<settings pass="specialize"><component name="`+compShell+`" processorArchitecture="amd64"><ComputerName>BOX</ComputerName></component></settings><settings`, 1), want: finding.Fail, line: 5},
	{rule: "account-group", name: "one that Windows knows", data: german(account("<Name>a</Name>", "<Group>Administrators;Remote Desktop Users</Group>"))},
	{rule: "account-group", name: "another in an English Windows", data: account("<Name>a</Name>", "<Group>Builders</Group>")},
	{rule: "account-group", name: "another in a German Windows", data: german(account("<Name>a</Name>", "<Group>Builders</Group>")), want: finding.Info, line: 5},
	{rule: "account-group", name: "a SID", data: account("<Name>a</Name>", "<Group>S-1-5-32-544</Group>"), want: finding.Warn, line: 5},
	{rule: "password-policy", name: "three kinds", data: adminPassword("Abc1")},
	{rule: "password-policy", name: "two kinds", data: adminPassword("vagrant1"), want: finding.Warn, line: 5},
	{rule: "password-policy", name: "the name", data: adminPassword("Administrator1"), want: finding.Warn, line: 5},
	{rule: "password-policy", name: "two kinds, encoded", data: oobe("<UserAccounts><AdministratorPassword><Value>" + EncodePassword("vagrant", "AdministratorPassword") + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>"), want: finding.Warn, line: 5},
	{rule: "password-policy", name: "two kinds, of an account of a client", data: account("<Name>a</Name>", "<Password><Value>vagrant</Value><PlainText>true</PlainText></Password>"), want: finding.Info, line: 5},
	{rule: "skip-rearm", name: "0", data: wrap(Generalize, compSPP, "<SkipRearm>0</SkipRearm>")},
	{rule: "skip-rearm", name: "1", data: wrap(Generalize, compSPP, "<SkipRearm>1</SkipRearm>"), want: finding.Warn, line: 5},
	{rule: "reboot-loop", name: "to audit mode, and off", data: wrap(OOBESystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow><Mode>Audit</Mode></Reseal>"), ctx: toOOBE},
	{rule: "reboot-loop", name: "to OOBE from OOBE", data: wrap(OOBESystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow><Mode>OOBE</Mode></Reseal>"), ctx: toOOBE, want: finding.Fail, line: 5},
	{rule: "reboot-loop", name: "by the default of the mode", data: wrap(OOBESystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow></Reseal>"), ctx: toOOBE, want: finding.Fail, line: 5},
	{rule: "reboot-loop", name: "to audit mode from audit mode", data: wrap(AuditSystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow><Mode>Audit</Mode></Reseal>"), ctx: toAudit, want: finding.Fail, line: 5},
	{rule: "reboot-loop", name: "in a pass that is not run", data: wrap(AuditSystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow></Reseal>"), ctx: toOOBE},
	{rule: "setting-unknown", name: "one in the wrong case", data: oobe("<OOBE>\n<HideEulaPage>true</HideEulaPage></OOBE>"), want: finding.Warn, line: 6, setting: `OOBE\HideEulaPage`},
	{rule: "setting-duplicate", name: "items of a list", data: deployment(commands(2, "<Order>1</Order>"))},
	{rule: "setting-duplicate", name: "a setting twice", data: shell("<ComputerName>a</ComputerName>\n<ComputerName>b</ComputerName>"), want: finding.Fail, line: 6, setting: "ComputerName[2]"},
	{rule: "setting-duplicate", name: "an unknown element twice", data: shell("<A/>\n<A/>"), want: finding.Warn, line: 6, setting: "A[2]"},
	{rule: "setting-pass", name: "ComputerName in specialize", data: shell("<ComputerName>a</ComputerName>")},
	{rule: "setting-pass", name: "ComputerName in oobeSystem", data: oobe("<ComputerName>a</ComputerName>"), want: finding.Fail, line: 5, setting: "ComputerName"},
	{rule: "setting-pass", name: "UserLocale in windowsPE, which is over", data: wrap(WindowsPE, compInternational, "<UserLocale/>"), want: finding.Info, line: 5},
	{rule: "setting-pass", name: "in a pass where it has no effect, and in its own", data: strings.Replace(oobe("<ComputerName>a</ComputerName>"), "<settings", `<settings pass="specialize"><component name="`+compShell+`" processorArchitecture="amd64"><ComputerName>a</ComputerName></component></settings><settings`, 1), want: finding.Warn, line: 5, setting: "ComputerName"},
	{rule: "setting-pass", name: "Generalize in auditUser", data: audit("<Generalize><Mode>OOBE</Mode></Generalize>")},
	{rule: "setting-pass", name: "Generalize in generalize", data: wrap(Generalize, compDeployment, "<Generalize><Mode>OOBE</Mode></Generalize>"), want: finding.Fail, line: 5, setting: "Generalize"},
	{rule: "setting-pass", name: "SkipRearm in specialize", data: wrap(Specialize, compSPP, "<SkipRearm>1</SkipRearm>"), want: finding.Fail, line: 5, setting: "SkipRearm"},
	{rule: "setting-pass", name: "RunSynchronous in auditSystem", data: wrap(AuditSystem, compDeployment, commands(1, "")), want: finding.Fail, line: 5, setting: "RunSynchronous"},
	{rule: "list-action", name: "an item with it", data: deployment(commands(1, ""))},
	{rule: "list-action", name: "an item without it", data: strings.Replace(deployment(commands(1, "")), ` wcm:action="add"`, "", 1), want: finding.Warn, line: 5, setting: `RunSynchronous\RunSynchronousCommand`},
	{rule: "order-credentials", name: "the order of the schema", data: deployment("<Credentials><Domain>d</Domain><Password>p</Password><Username>u</Username></Credentials>")},
	{rule: "order-credentials", name: "the user before the password", data: deployment("<Credentials><Username>u</Username><Password>p</Password></Credentials>"), want: finding.Fail, line: 5, setting: "Credentials"},
	{rule: "order-credentials", name: "as deployment toolkits join a domain", data: wrap(Specialize, compJoin, "<Credentials><Username>u</Username><Domain>d</Domain></Credentials>"), want: finding.Warn, line: 5, setting: "Credentials"},
	{rule: "order-commands", name: "a number", data: deployment(commands(1, "<Order>1</Order>"))},
	{rule: "order-commands", name: "no number", data: deployment(commands(1, "")), want: finding.Warn, line: 5, setting: `RunSynchronous\RunSynchronousCommand`},
	{rule: "order-commands", name: "a word", data: deployment(commands(1, "<Order>first</Order>")), want: finding.Warn, line: 5},
	{rule: "order-commands", name: "a number twice", data: deployment(commands(2, "<Order>1</Order>")), want: finding.Warn, line: 5, setting: `RunSynchronous\RunSynchronousCommand[2]`},
	{rule: "order-commands", name: "a number in two spellings", data: deployment("<RunSynchronous>" + `<RunSynchronousCommand wcm:action="add"><Order>1</Order></RunSynchronousCommand><RunSynchronousCommand wcm:action="add"><Order>01</Order></RunSynchronousCommand></RunSynchronous>`), want: finding.Warn, line: 5, setting: `RunSynchronous\RunSynchronousCommand[2]`},
	{rule: "order-commands", name: "500", data: deployment(commands(1, "<Order>500</Order>"))},
	{rule: "order-commands", name: "more than 500", data: deployment(commands(1, "<Order>501</Order>")), want: finding.Warn, line: 5},
	{rule: "order-commands", name: "zero", data: deployment(commands(1, "<Order>0</Order>")), want: finding.Warn, line: 5},
	{rule: "order-commands", name: "a template", data: deployment(commands(1, "<Order>${n}</Order>"))},
	{rule: "reseal", name: "one that loops is for another rule", data: wrap(OOBESystem, compDeployment, "<Reseal><ForceShutdownNow>true</ForceShutdownNow><Mode>OOBE</Mode></Reseal>"), ctx: toOOBE},
	{rule: "text-between", name: "none", data: oobe("<OOBE> <HideEULAPage>true</HideEULAPage> </OOBE>")},
	{rule: "text-between", name: "before an element", data: oobe("<OOBE>x<HideEULAPage>true</HideEULAPage></OOBE>"), want: finding.Fail, line: 5, setting: "OOBE"},
	{rule: "text-between", name: "after an element", data: oobe("<OOBE/>x"), want: finding.Fail, line: 5, setting: "OOBE"},
	{rule: "text-between", name: "in place of settings", data: oobe("<UserAccounts><AdministratorPassword>x</AdministratorPassword></UserAccounts>"), want: finding.Fail, line: 5, setting: `UserAccounts\AdministratorPassword`},
	{rule: "text-between", name: "a placeholder in place of settings", data: oobe("<UserAccounts>${accounts}</UserAccounts>")},
	{rule: "text-between", name: "an item with a key", data: wrap(Specialize, compDNS, `<DNSSuffixSearchOrder><DomainName wcm:action="add" wcm:keyValue="1">example.com</DomainName></DNSSuffixSearchOrder>`)},
	{rule: "text-between", name: "a directive of a template", data: oobe("<OOBE/>%{ endif ~}"), want: finding.Warn, line: 5, setting: "OOBE"},
}
