package answerfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
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

// lintCases holds for every rule at least one file it passes and one it finds
// fault with. want is the severity, "" for no finding of this rule.
var lintCases = []struct {
	rule, name, data string
	ctx              Context
	want             finding.Severity
	line             int
	setting          string
}{
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
	{rule: "text-between", name: "none", data: oobe("<OOBE> <HideEULAPage>true</HideEULAPage> </OOBE>")},
	{rule: "text-between", name: "before an element", data: oobe("<OOBE>x<HideEULAPage>true</HideEULAPage></OOBE>"), want: finding.Fail, line: 5, setting: "OOBE"},
	{rule: "text-between", name: "after an element", data: oobe("<OOBE/>x"), want: finding.Fail, line: 5, setting: "OOBE"},
	{rule: "text-between", name: "a directive of a template", data: oobe("<OOBE/>%{ endif ~}"), want: finding.Warn, line: 5, setting: "OOBE"},
	{rule: "white-space", name: "tight values", data: shell("<TimeZone>UTC</TimeZone>")},
	{rule: "white-space", name: "a blank after a command", data: deployment("<RunSynchronous><RunSynchronousCommand><Path>a </Path></RunSynchronousCommand></RunSynchronous>")},
	{rule: "white-space", name: "a formatted value", data: shell("<TimeZone>\n UTC\n</TimeZone>"), want: finding.Warn, line: 5, setting: "TimeZone"},
	{rule: "white-space", name: "a command on two lines", data: deployment("<RunSynchronous><RunSynchronousCommand><Path>a\nb</Path></RunSynchronousCommand></RunSynchronous>"), want: finding.Warn, line: 5},
	{rule: "template", name: "a value", data: shell("<ComputerName>a</ComputerName>")},
	{rule: "template", name: "a variable in a command", data: deployment("<RunSynchronous><RunSynchronousCommand><Path>echo ${env:X} %TEMP%</Path></RunSynchronousCommand></RunSynchronous>")},
	{rule: "template", name: "a password that looks a little like one", data: oobe("<UserAccounts><AdministratorPassword><Value>a${b}c</Value></AdministratorPassword></UserAccounts>")},
	{rule: "template", name: "a Packer variable", data: shell("<ComputerName>${name}</ComputerName>"), want: finding.Warn, line: 5, setting: "ComputerName"},
	{rule: "template", name: "a Go template", data: shell("<ComputerName>{{ user `name` }}</ComputerName>"), want: finding.Warn, line: 5},
	{rule: "template", name: "a password", data: oobe("<UserAccounts><AdministratorPassword><Value>${build_password}</Value></AdministratorPassword></UserAccounts>"), want: finding.Warn, line: 5},
	{rule: "template", name: "an architecture", data: strings.Replace(shell(""), `"amd64"`, `"%arch%"`, 1), want: finding.Warn, line: 4},
	{rule: "value", name: "true", data: shell("<CopyProfile>true</CopyProfile>")},
	{rule: "value", name: "1 as a boolean", data: shell("<CopyProfile>1</CopyProfile>")},
	{rule: "value", name: "yes", data: shell("<CopyProfile>yes</CopyProfile>"), want: finding.Fail, line: 5, setting: "CopyProfile"},
	{rule: "value", name: "SkipRearm true", data: wrap(Generalize, compSPP, "<SkipRearm>true</SkipRearm>"), want: finding.Fail, line: 5, setting: "SkipRearm"},
	{rule: "length", name: "259 characters", data: deployment("<RunSynchronous><RunSynchronousCommand><Path>" + strings.Repeat("é", 259) + "</Path></RunSynchronousCommand></RunSynchronous>")},
	{rule: "length", name: "260 characters", data: deployment("<RunSynchronous><RunSynchronousCommand><Path>" + strings.Repeat("x", 260) + "</Path></RunSynchronousCommand></RunSynchronous>"), want: finding.Fail, line: 5, setting: `RunSynchronous\RunSynchronousCommand\Path`},
	{rule: "length", name: "1024 characters", data: oobe("<FirstLogonCommands><SynchronousCommand><CommandLine>" + strings.Repeat("x", 1024) + "</CommandLine></SynchronousCommand></FirstLogonCommands>")},
	{rule: "length", name: "1025 characters as Windows counts", data: oobe("<FirstLogonCommands><SynchronousCommand><CommandLine>" + strings.Repeat("x", 1023) + "😀</CommandLine></SynchronousCommand></FirstLogonCommands>"), want: finding.Fail, line: 5},
	{rule: "computer-name", name: "random", data: shell("<ComputerName>*</ComputerName>")},
	{rule: "computer-name", name: "empty", data: shell("<ComputerName/>")},
	{rule: "computer-name", name: "15 bytes", data: shell("<ComputerName>WIN-23456789012</ComputerName>")},
	{rule: "computer-name", name: "16 bytes", data: shell("<ComputerName>WIN-234567890123</ComputerName>"), want: finding.Fail, line: 5, setting: "ComputerName"},
	{rule: "computer-name", name: "digits", data: shell("<ComputerName>2022</ComputerName>"), want: finding.Fail, line: 5},
	{rule: "computer-name", name: "a blank", data: shell("<ComputerName>my pc</ComputerName>"), want: finding.Fail, line: 5},
	{rule: "computer-name", name: "a dot", data: shell("<ComputerName>pc.lan</ComputerName>"), want: finding.Fail, line: 5},
	{rule: "product-key", name: "a key", data: shell("<ProductKey>VDYBN-27WPP-V4HQT-9VMD4-VMK7H</ProductKey>")},
	{rule: "product-key", name: "an empty one", data: shell("<ProductKey/>"), want: finding.Fail, line: 5, setting: "ProductKey"},
	{rule: "product-key", name: "a short one", data: shell("<ProductKey>VDYBN-27WPP-V4HQT-9VMD4</ProductKey>"), want: finding.Fail, line: 5},
	{rule: "password-encoding", name: "as Windows does", data: oobe("<UserAccounts><AdministratorPassword><Value>" + vector + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>")},
	{rule: "password-encoding", name: "for another element", data: oobe("<UserAccounts><AdministratorPassword><Value>UABAAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA==</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>"), want: finding.Fail, line: 5, setting: `UserAccounts\AdministratorPassword`},
	{rule: "password-encoding", name: "plain but marked as encoded", data: oobe("<AutoLogon><Password><Value>vagrant</Value><PlainText>false</PlainText></Password></AutoLogon>"), want: finding.Fail, line: 5},
	{rule: "password-scrubbed", name: "a password", data: oobe("<AutoLogon><Password><Value>x</Value></Password></AutoLogon>")},
	{rule: "password-scrubbed", name: "a used file", data: oobe("<AutoLogon><Password>" + scrubbed + "</Password></AutoLogon>"), want: finding.Fail, line: 5, setting: `AutoLogon\Password`},
	{rule: "password-scrubbed", name: "a used value", data: oobe("<AutoLogon><Password><Value>" + scrubbed + "</Value></Password></AutoLogon>"), want: finding.Fail, line: 5},
	{rule: "secret", name: "no password", data: oobe("<AutoLogon><Password><Value/></Password></AutoLogon>")},
	{rule: "secret", name: "a plain password", data: oobe("<AutoLogon><Password><Value>x</Value><PlainText>true</PlainText></Password></AutoLogon>"), want: finding.Warn, line: 5, setting: `AutoLogon\Password`},
	{rule: "secret", name: "an encoded password", data: oobe("<UserAccounts><AdministratorPassword><Value>" + vector + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>"), want: finding.Info, line: 5},
	{rule: "secret", name: "credentials of a command", data: deployment("<Credentials><Password>x</Password></Credentials>"), want: finding.Warn, line: 5, setting: `Credentials\Password`},
	{rule: "generalize-setting", name: "none", data: audit(commands(1, "")), ctx: toAudit},
	{rule: "generalize-setting", name: "with /audit", data: audit("<Generalize/>"), ctx: toAudit, want: finding.Warn, line: 5, setting: "Generalize"},
	{rule: "generalize-setting", name: "with /oobe", data: audit("<Generalize/>"), ctx: toOOBE, want: finding.Info, line: 5},
	{rule: "generalize-setting", name: "with an unknown command line", data: audit("<Generalize/>"), want: finding.Info, line: 5},
	{rule: "generalize-reseal", name: "one of them", data: audit("<Reseal/>")},
	{rule: "generalize-reseal", name: "both", data: audit("<Generalize/>\n<Reseal/>"), want: finding.Warn, line: 6, setting: "Reseal"},
	{rule: "reseal", name: "in a pass that is not run", data: audit("<Reseal><Mode>OOBE</Mode></Reseal>"), ctx: toOOBE},
	{rule: "reseal", name: "to OOBE in oobeSystem", data: wrap(OOBESystem, compDeployment, "<Reseal><Mode>OOBE</Mode></Reseal>"), ctx: toOOBE},
	{rule: "reseal", name: "to audit mode with /oobe", data: wrap(OOBESystem, compDeployment, "<Reseal><Mode>Audit</Mode></Reseal>"), ctx: toOOBE, want: finding.Warn, line: 5, setting: "Reseal"},
	{rule: "reseal", name: "to audit mode with an unknown command line", data: wrap(OOBESystem, compDeployment, "<Reseal><Mode>Audit</Mode></Reseal>"), want: finding.Info, line: 5},
	{rule: "reseal", name: "out of audit mode", data: audit("<Reseal><Mode>OOBE</Mode></Reseal>"), ctx: toAudit, want: finding.Warn, line: 5},
	{rule: "reseal", name: "with a shutdown", data: audit("<Reseal><ForceShutdownNow>true</ForceShutdownNow><Mode>Audit</Mode></Reseal>"), ctx: toAudit, want: finding.Warn, line: 5},
	{rule: "reseal", name: "without a mode in auditUser", data: audit("<Reseal/>"), ctx: toAudit, want: finding.Warn, line: 5},
	{rule: "vm-mode", name: "with /mode:vm", data: oobe("<OOBE><VMModeOptimizations/></OOBE>"), ctx: toVM},
	{rule: "vm-mode", name: "without /mode:vm", data: oobe("<OOBE><VMModeOptimizations/></OOBE>"), ctx: toOOBE, want: finding.Warn, line: 5, setting: `OOBE\VMModeOptimizations`},
	{rule: "vm-mode", name: "not known", data: oobe("<OOBE><VMModeOptimizations/></OOBE>"), want: finding.Info, line: 5},
	{rule: "device-cleanup", name: "both", data: wrap(Generalize, compPnp, "<PersistAllDeviceInstalls>true</PersistAllDeviceInstalls><DoNotCleanUpNonPresentDevices>true</DoNotCleanUpNonPresentDevices>")},
	{rule: "device-cleanup", name: "one", data: wrap(Generalize, compPnp, "<DoNotCleanUpNonPresentDevices>true</DoNotCleanUpNonPresentDevices>"), want: finding.Warn, line: 5, setting: "DoNotCleanUpNonPresentDevices"},
	{rule: "auto-logon", name: "once", data: oobe("<AutoLogon><Enabled>true</Enabled><LogonCount>1</LogonCount><Username>Administrator</Username></AutoLogon><FirstLogonCommands><SynchronousCommand><CommandLine>reg add x /v AutoLogonCount</CommandLine></SynchronousCommand></FirstLogonCommands>")},
	{rule: "auto-logon", name: "no count", data: logon("Administrator", ""), want: finding.Warn, line: 5, setting: "AutoLogon"},
	{rule: "auto-logon", name: "a count in words", data: logon("Administrator", "<LogonCount>once</LogonCount>"), want: finding.Warn, line: 5},
	{rule: "auto-logon", name: "nobody", data: oobe("<AutoLogon><Enabled>true</Enabled><LogonCount>1</LogonCount></AutoLogon>" + resetCount), want: finding.Warn, line: 5},
	{rule: "auto-logon", name: "off", data: oobe("<AutoLogon><Enabled>false</Enabled></AutoLogon>")},
	{rule: "auto-logon", name: "an account that the file makes", data: accountAndLogon("ANN", "x")},
	{rule: "auto-logon", name: "another password than the account's", data: accountAndLogon("ann", "y"), want: finding.Warn, line: 5},
	{rule: "auto-logon", name: "an account that the file does not make", data: accountAndLogon("bob", "x"), want: finding.Info, line: 5},
	{rule: "auto-logon", name: "an account of a domain", data: strings.Replace(accountAndLogon("bob", "x"), "<Enabled>", "<Domain>corp</Domain><Enabled>", 1)},
	{rule: "auto-logon", name: "a count that is not reset", data: oobe("<AutoLogon><Enabled>true</Enabled><LogonCount>1</LogonCount><Username>Administrator</Username></AutoLogon>"), want: finding.Info, line: 5},
	{rule: "nested-sysprep", name: "another command", data: deployment(commands(1, ""))},
	{rule: "nested-sysprep", name: "sysprep", data: deployment(`<RunSynchronous><RunSynchronousCommand><Path>C:\Windows\System32\Sysprep\Sysprep.exe /oobe</Path></RunSynchronousCommand></RunSynchronous>`), want: finding.Warn, line: 5},
	{rule: "deprecated", name: "current settings", data: oobe("<OOBE><ProtectYourPC>3</ProtectYourPC></OOBE>")},
	{rule: "deprecated", name: "SkipMachineOOBE", data: oobe("<OOBE><SkipMachineOOBE>true</SkipMachineOOBE></OOBE>"), want: finding.Warn, line: 5, setting: `OOBE\SkipMachineOOBE`},
	{rule: "pass-not-run", name: "specialize with /generalize", data: shell(""), ctx: toOOBE},
	{rule: "pass-not-run", name: "specialize without /generalize", data: shell(""), ctx: toAudit, want: finding.Info, line: 3},
	{rule: "pass-not-run", name: "windowsPE", data: wrap(WindowsPE, "Microsoft-Windows-Setup", ""), ctx: toOOBE, want: finding.Info, line: 3},
	{rule: "pass-not-run", name: "not known", data: wrap(WindowsPE, "Microsoft-Windows-Setup", "")},
	{rule: "oobe-account", name: "a password", data: oobe("<UserAccounts><AdministratorPassword/></UserAccounts>"), ctx: toOOBE},
	{rule: "oobe-account", name: "an automatic logon", data: oobe("<AutoLogon/>"), ctx: toOOBE},
	{rule: "oobe-account", name: "neither", data: oobe("<OOBE/>"), ctx: toOOBE, want: finding.Warn},
	{rule: "oobe-account", name: "neither in audit mode", data: oobe("<OOBE/>"), ctx: toAudit},
	{rule: "oobe-account", name: "audit mode first", data: toAuditMode(oobe("<OOBE/>")), ctx: toOOBE},
	{rule: "oobe-attended", name: "something", data: oobe("<OOBE/>"), ctx: toOOBE},
	{rule: "oobe-attended", name: "nothing", data: shell("<TimeZone>UTC</TimeZone>"), ctx: toOOBE, want: finding.Warn},
	{rule: "oobe-attended", name: "nothing, in audit mode", data: shell("<TimeZone>UTC</TimeZone>"), ctx: toAudit},
	{rule: "oobe-region", name: "languages", data: german(oobe("<OOBE/>")), ctx: toOOBE},
	{rule: "oobe-region", name: "no languages", data: oobe("<OOBE/>"), ctx: toOOBE, want: finding.Warn},
	{rule: "oobe-region", name: "no languages, old Windows", data: oobe("<OOBE><SkipMachineOOBE>true</SkipMachineOOBE></OOBE>"), ctx: toOOBE},
	{rule: "oobe-region", name: "no languages, as the whole pass is missing", data: shell(""), ctx: toOOBE},
	{rule: "oobe-licence", name: "hidden", data: oobe("<OOBE><HideEULAPage>true</HideEULAPage></OOBE>"), ctx: toOOBE},
	{rule: "oobe-licence", name: "shown", data: oobe("<OOBE><HideEULAPage>false</HideEULAPage></OOBE>"), ctx: toOOBE, want: finding.Warn},
	{rule: "oobe-pages", name: "all hidden", data: oobe("<OOBE><HideOnlineAccountScreens>true</HideOnlineAccountScreens><HideWirelessSetupInOOBE>true</HideWirelessSetupInOOBE><ProtectYourPC>3</ProtectYourPC></OOBE>"), ctx: toOOBE},
	{rule: "oobe-pages", name: "one shown", data: oobe("<OOBE><HideOnlineAccountScreens>true</HideOnlineAccountScreens><HideWirelessSetupInOOBE>true</HideWirelessSetupInOOBE></OOBE>"), ctx: toOOBE, want: finding.Info},
	{rule: "pass-not-run", name: "auditUser, where Reseal leads", data: toAuditMode(audit("<RunSynchronous/>")), ctx: toOOBE},
	{rule: "pass-not-run", name: "auditUser with /oobe", data: audit("<RunSynchronous/>"), ctx: toOOBE, want: finding.Info, line: 3},
	{rule: "architecture", name: "one for x86 among others", data: strings.Replace(german(shell("")), `"amd64"`, `"x86"`, 1), want: finding.Warn, line: 3},
	{rule: "architecture", name: "one for both", data: strings.Replace(shell(""), "<component", `<component name="`+compShell+`" processorArchitecture="x86" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"/><component`, 1)},
	{rule: "password-encoding", name: "without padding", data: adminValue(strings.TrimRight(EncodePassword("pw", "AdministratorPassword"), "=")), want: finding.Warn, line: 5},
	{rule: "password-encoding", name: "a password that seems to be for the other element", data: oobe("<AutoLogon><Password><Value>" + EncodePassword("pw", "AdministratorPassword") + "</Value><PlainText>false</PlainText></Password></AutoLogon>"), want: finding.Warn, line: 5},
	{rule: "secret", name: "a command", data: deployment(`<RunSynchronous><RunSynchronousCommand><Order>1</Order><Path>net user ann S3cret-1 /add</Path></RunSynchronousCommand></RunSynchronous>`), want: finding.Warn, line: 5},
	{rule: "secret", name: "a command that removes an account", data: deployment(`<RunSynchronous><RunSynchronousCommand><Order>1</Order><Path>cmd /c "net user packer /delete &amp; exit 0"</Path></RunSynchronousCommand></RunSynchronous>`)},
	{rule: "secret", name: "a comment", data: shell("<!-- https://example.com/?AccountName0=a&AccountPassword0=blue1 -->"), want: finding.Warn, line: 5},
	{rule: "secret", name: "a comment on a component", data: shell(`<!-- <component publicKeyToken="31bf3856ad364e35"/> the password is set later -->`)},
	{rule: "secret", name: "a product key of one's own", data: shell("<ProductKey>AAAAA-BBBBB-CCCCC-DDDDD-EEEEE</ProductKey>"), want: finding.Info, line: 5},
}

// settingOf is the innermost part of the place, "" where that is no setting.
func settingOf(f finding.Finding) string {
	if len(f.Where.Path) < 3 {
		return ""
	}
	return f.Where.Path[2]
}

func TestLintRules(t *testing.T) {
	for _, tt := range lintCases {
		t.Run(tt.rule+": "+tt.name, func(t *testing.T) {
			var found []finding.Finding
			for _, f := range Lint([]byte(tt.data), tt.ctx) {
				if f.ID == tt.rule {
					found = append(found, f)
				}
			}
			if tt.want == "" {
				if len(found) != 0 {
					t.Errorf("got %v, want no finding", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("got %v, want one finding", found)
			}
			f := found[0]
			if f.Severity != tt.want || f.Where.Line != tt.line || tt.setting != "" && settingOf(f) != tt.setting || f.Summary == "" {
				t.Errorf("got %+v, want severity %s, line %d, setting %s", f, tt.want, tt.line, tt.setting)
			}
			if f.Severity != finding.Info && f.Remedy == nil {
				t.Errorf("no remedy in %v", f)
			}
		})
	}
}

func TestEveryRuleHasAPassingAndAFailingCase(t *testing.T) {
	for _, r := range Rules() {
		passing, failing := false, false
		for _, c := range lintCases {
			passing = passing || c.rule == r.ID && c.want == ""
			failing = failing || c.rule == r.ID && c.want == r.Severity
		}
		if !passing || !failing {
			t.Errorf("rule %s: passing case %v, failing case with severity %s %v", r.ID, passing, r.Severity, failing)
		}
	}
	for _, c := range lintCases {
		if !slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == c.rule }) {
			t.Errorf("case %q tests rule %q, which does not exist", c.name, c.rule)
		}
	}
}

func TestFindingReadsAsOneLine(t *testing.T) {
	got := finding.Failed(Lint([]byte(oobe("<OOBE>\n<ProtectYourPC>9</ProtectYourPC></OOBE>")), Context{}), finding.Fail)
	want := `line 6: error: not one of the values of this setting (oobeSystem, Microsoft-Windows-Shell-Setup, OOBE\ProtectYourPC); write 1 or 2 or 3 [value]`
	if len(got) != 1 || render.Line(got[0]) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestFindingsNeverHoldAValue(t *testing.T) {
	const secret = "hunter2"
	files := []string{
		oobe("<UserAccounts><AdministratorPassword><Value>\n" + secret + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>"),
		shell("<ComputerName>" + secret + "   </ComputerName><ProductKey>" + secret + "</ProductKey><CopyProfile>" + secret + "</CopyProfile>" + secret),
		deployment("<RunSynchronous>" + secret + "<RunSynchronousCommand><Order>" + secret + "</Order><Path>" + strings.Repeat(secret, 50) + "</Path></RunSynchronousCommand></RunSynchronous>"),
		shell("<ComputerName>a&" + secret + ";</ComputerName>"),
		shell("<ComputerName>a<" + secret + "</ComputerName>"),
		shell("<ComputerName>a<" + secret + "></ComputerName>"),
		shell("<ComputerName>a<" + secret + ":></ComputerName>"),
		shell("<ComputerName>a<!-- -- " + secret + "--></ComputerName>"),
	}
	for _, data := range files {
		for _, ctx := range []Context{{}, toOOBE, toAudit} {
			report := Lint([]byte(data), ctx)
			if len(report) == 0 {
				t.Errorf("no finding in %s", data)
			}
			for _, f := range report {
				if strings.Contains(fmt.Sprintf("%#v", f), secret) {
					t.Errorf("a finding holds a value: %#v", f)
				}
			}
		}
	}
}

func TestFindingsOnAMergedFileHaveTheLinesOfTheBase(t *testing.T) {
	base, err := Parse([]byte("<?xml version=\"1.0\"?>\n<unattend xmlns=\"" + Namespace + "\">\n<settings pass=\"oobeSystem\">\n" +
		"<component name=\"" + compShell + "\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">\n" +
		"<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE>\n</component>\n</settings>\n</unattend>"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := Build(Unattend{ComputerName: "123"}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	merged, _ := Merge(base, overlay)
	lines := map[string]int{}
	for _, f := range finding.Failed(LintFile(merged, Context{}), finding.Fail) {
		lines[settingOf(f)] = f.Where.Line
	}
	if len(lines) != 2 || lines[`OOBE\ProtectYourPC`] != 5 || lines["ComputerName"] != 0 {
		t.Errorf("got %v", lines)
	}
}
