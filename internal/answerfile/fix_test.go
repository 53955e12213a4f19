package answerfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

func TestFixChangesWhatIsMechanical(t *testing.T) {
	tests := []struct{ name, data, want, says string }{
		{"nothing", shell("<TimeZone>UTC</TimeZone>"), shell("<TimeZone>UTC</TimeZone>"), ""},
		{"white space", shell("<TimeZone>\r\n  UTC &amp;\t\r\n</TimeZone>"), shell("<TimeZone>UTC &amp;</TimeZone>"), "white-space"},
		{"white space of a password stays", oobe("<AutoLogon><Password><Value> x </Value></Password></AutoLogon>"), oobe("<AutoLogon><Password><Value> x </Value></Password></AutoLogon>"), ""},
		{"white space of a command stays", deployment(`<RunSynchronous><RunSynchronousCommand wcm:action="add"><Path> a </Path></RunSynchronousCommand></RunSynchronous>`), deployment(`<RunSynchronous><RunSynchronousCommand wcm:action="add"><Path> a </Path></RunSynchronousCommand></RunSynchronous>`), ""},
		{"a deprecated setting, with its line", oobe("<OOBE>\n  <HideEULAPage>true</HideEULAPage>\n  <NetworkLocation>Work</NetworkLocation>\n</OOBE>"), oobe("<OOBE>\n  <HideEULAPage>true</HideEULAPage>\n</OOBE>"), "deprecated"},
		{"a deprecated setting among others", oobe("<OOBE><NetworkLocation>Work</NetworkLocation><HideEULAPage>true</HideEULAPage></OOBE>"), oobe("<OOBE><HideEULAPage>true</HideEULAPage></OOBE>"), "deprecated"},
		{"the order of credentials", deployment("<Credentials><Username>u</Username> <!-- c --> <Password>p</Password> <Domain>d</Domain></Credentials>"), deployment("<Credentials><Domain>d</Domain> <!-- c --> <Password>p</Password> <Username>u</Username></Credentials>"), "order-credentials"},
		{"an item without wcm:action", deployment("<RunSynchronous><RunSynchronousCommand><Order>1</Order></RunSynchronousCommand></RunSynchronous>"), deployment(`<RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>1</Order></RunSynchronousCommand></RunSynchronous>`), "list-action"},
		{"an item where the prefix is not declared", strings.Replace(deployment("<RunSynchronous><RunSynchronousCommand/></RunSynchronous>"), "xmlns:wcm", "xmlns:w", 1), strings.Replace(deployment("<RunSynchronous><RunSynchronousCommand/></RunSynchronous>"), "xmlns:wcm", "xmlns:w", 1), ""},
		{"a time zone", shell("<TimeZone>Europe/Berlin</TimeZone>"), shell("<TimeZone>W. Europe Standard Time</TimeZone>"), "time-zone"},
		{"a time zone with white space", shell("<TimeZone> Europe/Berlin </TimeZone>"), shell("<TimeZone>W. Europe Standard Time</TimeZone>"), "white-space time-zone"},
		{"what a directive turns off", shell("<!-- sysprep-lint off: time-zone --><TimeZone>Europe/Berlin</TimeZone>"), shell("<!-- sysprep-lint off: time-zone --><TimeZone>Europe/Berlin</TimeZone>"), ""},
		{"comments and elements in a time zone stay", shell("<TimeZone><!-- c -->Europe/Berlin</TimeZone>"), shell("<TimeZone><!-- c -->Europe/Berlin</TimeZone>"), ""},
		{"an element in a time zone stays", shell("<TimeZone>Europe/Berlin<x/></TimeZone>"), shell("<TimeZone>Europe/Berlin<x/></TimeZone>"), ""},
		{"an empty action", deployment(`<RunSynchronous><RunSynchronousCommand wcm:action=""/></RunSynchronous>`), deployment(`<RunSynchronous><RunSynchronousCommand wcm:action=""/></RunSynchronous>`), ""},
		{"what a directive of another rule stands before", oobe("<OOBE><!-- sysprep-lint off: value --><NetworkLocation>Work</NetworkLocation><ProtectYourPC>9</ProtectYourPC></OOBE>"), oobe("<OOBE><!-- sysprep-lint off: value --><NetworkLocation>Work</NetworkLocation><ProtectYourPC>9</ProtectYourPC></OOBE>"), ""},
		{"a password stays as it is", adminPassword("Abc1"), adminPassword("Abc1"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, changes, err := Fix([]byte(tt.data), FixOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, c := range changes {
				said = append(said, c.ID)
			}
			if string(got) != tt.want || strings.Join(said, " ") != tt.says {
				t.Errorf("got %q\n%s\nwant %q\n%s", said, got, tt.says, tt.want)
			}
			again, changes, err := Fix(got, FixOptions{})
			if err != nil || len(changes) != 0 || !bytes.Equal(again, got) {
				t.Errorf("fixed twice: %v, %v\n%s", changes, err, again)
			}
		})
	}
}

func TestFixEncodesPasswordsWhereAsked(t *testing.T) {
	data := oobe("<UserAccounts><AdministratorPassword><Value>a&amp;b</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>" +
		"<AutoLogon><Password><Value>x</Value></Password></AutoLogon>")
	got, changes, err := Fix([]byte(data), FixOptions{EncodePasswords: true})
	if err != nil || len(changes) != 2 {
		t.Fatalf("%v, %v", changes, err)
	}
	file, err := Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range [][]string{{"UserAccounts", "AdministratorPassword"}, {"AutoLogon", "Password"}} {
		e := file.Find(OOBESystem, compShell, path...)
		s := secretOf(e, "")
		if want := map[string]string{"AdministratorPassword": "a&b", "Password": "x"}[path[1]]; s.kind != encodedSecret || s.plain != want || e.Value("PlainText") != "false" {
			t.Errorf("%v: %+v in\n%s", path, s.kind, got)
		}
	}
	for _, c := range changes {
		if strings.Contains(c.Summary, "a&b") {
			t.Errorf("a change holds the password: %v", c)
		}
	}
}

func TestFixWritesPlainTextWithThePrefixOfItsNeighbour(t *testing.T) {
	data := `<u:unattend xmlns:u="` + Namespace + `"><u:settings pass="oobeSystem"><u:component name="` + compShell + `"><u:AutoLogon><u:Password><u:Value>x</u:Value>%s</u:Password></u:AutoLogon></u:component></u:settings></u:unattend>`
	for _, plain := range []string{"", "<u:PlainText/>", "<u:PlainText>true</u:PlainText>"} {
		got, _, err := Fix(fmt.Appendf(nil, data, plain), FixOptions{EncodePasswords: true})
		if want := fmt.Sprintf(strings.Replace(data, ">x<", ">"+EncodePassword("x", "Password")+"<", 1), "<u:PlainText>false</u:PlainText>"); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant %s", plain, err, got, want)
		}
	}
}

func TestFixKeepsTheEncoding(t *testing.T) {
	plain := shell("<TimeZone> UTC </TimeZone><RegisteredOwner>Jürgen 😀</RegisteredOwner>")
	wanted := strings.Replace(plain, " UTC ", "UTC", 1)
	utf16Plain, utf16Wanted := strings.Replace(plain, "utf-8", "utf-16", 1), strings.Replace(wanted, "utf-8", "utf-16", 1)
	for name, pair := range map[string][2][]byte{
		"UTF-8":                            {[]byte(plain), []byte(wanted)},
		"UTF-8 with byte order mark":       {[]byte("\ufeff" + plain), []byte("\ufeff" + wanted)},
		"UTF-16LE with byte order mark":    {wide(utf16Plain, 0xFF, 0xFE), wide(utf16Wanted, 0xFF, 0xFE)},
		"UTF-16BE with byte order mark":    {wide(utf16Plain, 0xFE, 0xFF), wide(utf16Wanted, 0xFE, 0xFF)},
		"UTF-16LE without byte order mark": {wide(utf16Plain), wide(utf16Wanted)},
		"CRLF":                             {[]byte(strings.ReplaceAll(plain, "\n", "\r\n")), []byte(strings.ReplaceAll(wanted, "\n", "\r\n"))},
	} {
		if got, _, err := Fix(pair[0], FixOptions{}); err != nil || !bytes.Equal(got, pair[1]) {
			t.Errorf("%s: %v\n%q\n%q", name, err, got, pair[1])
		}
	}
}

func TestFixRefusesWhatCannotBeRead(t *testing.T) {
	var bad *Error
	if _, _, err := Fix([]byte("<a"), FixOptions{}); !errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
}

// TestFixOfPublishedAnswerFiles: what is fixed is not found any more, and
// everything else is as it was.
func TestFixOfPublishedAnswerFiles(t *testing.T) {
	fixed := 0
	for name, data := range corpusFiles(t) {
		got, changes, err := Fix(data, FixOptions{})
		if err != nil {
			if _, broken := brokenInCorpus[name]; !broken {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if len(changes) > 0 {
			fixed++
		}
		left := map[string]int{}
		for _, f := range Lint(got, Context{}) {
			left[f.ID]++
		}
		before := map[string]int{}
		for _, f := range Lint(data, Context{}) {
			before[f.ID]++
		}
		for _, rule := range []string{"deprecated", "order-credentials", "list-action", "time-zone"} {
			if n := left[rule]; n > 0 && slices.ContainsFunc(changes, func(c finding.Finding) bool { return c.ID == rule }) && n >= before[rule] {
				t.Errorf("%s: %d findings of %s are left of %d", name, n, rule, before[rule])
			}
		}
		for rule, n := range left {
			if n > before[rule] {
				t.Errorf("%s: %d findings of %s, before %d", name, n, rule, before[rule])
			}
		}
	}
	if fixed == 0 {
		t.Error("nothing was fixed")
	}
	t.Logf("%d files were changed", fixed)
}
