package answerfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// wrap puts settings into an otherwise right answer file.
func wrap(pass, component, settings string) string {
	return `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
<settings pass="` + pass + `">
<component name="` + component + `" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
` + settings + `
</component>
</settings>
</unattend>
`
}

func wide(s string, bom ...byte) []byte {
	data := append([]byte(nil), bom...)
	for _, u := range utf16.Encode([]rune(s)) {
		if len(bom) > 0 && bom[0] == 0xFE {
			data = append(data, byte(u>>8), byte(u))
		} else {
			data = append(data, byte(u), byte(u>>8))
		}
	}
	return data
}

func TestCheckRefusesWhatWindowsCouldNotLoad(t *testing.T) {
	const secret = "Pa55"
	value := func(s string) string { return wrap("specialize", "Microsoft-Windows-Shell-Setup", s) }
	utf16File := strings.Replace(value(""), "utf-8", "utf-16", 1)
	tests := []struct {
		name string
		data []byte
		rule string
		line int
		says string
	}{
		{"an empty file", nil, ruleWellFormed, 1, "no XML element"},
		{"text that is not XML", []byte("hello"), ruleWellFormed, 1, "outside the root element"},
		{"blanks before the declaration", []byte("\n  " + value("")), ruleWellFormed, 2, "not at the very start"},
		{"a value with an unescaped <", []byte(value("<Value>\n" + secret + "<wd" + secret + "></Value>")), ruleWellFormed, 6, "end tag does not match"},
		{"a value with an unescaped &", []byte(value("<Value>x&" + secret + ";</Value>")), ruleWellFormed, 5, "&amp;"},
		{"a value with an unescaped & and no semicolon", []byte(value("<Value>x&" + secret + "</Value>")), ruleWellFormed, 5, "&amp;"},
		{"a comment with two dashes", []byte(value("<!-- a\n -- " + secret + " -->")), ruleComment, 6, "0x800705b9"},
		{"an end tag too many", []byte("<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"/></x>"), ruleWellFormed, 1, "no start tag"},
		{"a file cut in the middle", []byte(value("")[:300]), ruleWellFormed, 4, "copied whole"},
		{"two root elements", []byte("<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"/>\n<x/>"), ruleWellFormed, 2, "second root element"},
		{"the same attribute twice", []byte("<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" a='1' a='2'/>"), ruleWellFormed, 1, "written twice"},
		{"an attribute without quotes", []byte("<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" a=1/>"), ruleWellFormed, 1, "quotes"},
		{"a prefix that is not declared", []byte(strings.Replace(value("<a wcm:action='add'/>"), "xmlns:wcm=", "xmlns:w=", 1)), ruleWellFormed, 5, "xmlns:wcm="},
		{"an unusual prefix that is not declared", []byte(value("<" + secret + ":a/>")), ruleWellFormed, 5, "prefix"},
		{"no space between attributes", []byte(strings.Replace(value(""), `" language`, `"language`, 1)), ruleWellFormed, 4, "put a space"},
		{"a declaration without quotes", []byte(strings.Replace(value(""), `"utf-8"`, `utf-8`, 1)), ruleWellFormed, 1, "XML declaration"},
		{"a declaration with two kinds of quotes", []byte(strings.Replace(value(""), `"utf-8"`, `'utf-8"`, 1)), ruleWellFormed, 1, "XML declaration"},
		{"a declaration without version", []byte(strings.Replace(value(""), `version="1.0"`, ``, 1)), ruleWellFormed, 1, "XML declaration"},
		{"another XML version", []byte(strings.Replace(value(""), `1.0`, `1.1`, 1)), ruleWellFormed, 1, "1.0"},
		{"an instruction without a name", []byte(value("<?a<b?>")), ruleWellFormed, 5, "processing instruction"},
		{"a prefix without namespace", []byte(strings.Replace(value(""), wcmNamespace, "", 1)), ruleWellFormed, 2, "namespace declaration"},
		{"a name that begins with a digit", []byte(value("<a wcm:1='x'/>")), ruleWellFormed, 5, "begin it with a letter"},
		{"a control character in a comment", []byte(value("<!-- \x01 -->")), ruleWellFormed, 5, "control character"},
		{"a reference outside of the root", []byte(value("") + "&#x20;"), ruleWellFormed, 9, "outside"},
		{"a reference to half a pair", []byte(value("<a>&#xD83D;&#xDE00;</a>")), ruleWellFormed, 5, "write the character itself"},
		{"a decimal reference to half a pair", []byte(value("<a b='&#55357;'/>")), ruleWellFormed, 5, "write the character itself"},
		{"a document type", []byte("<!DOCTYPE unattend [<!ENTITY a \"b\">]>" + value("")[39:]), ruleWellFormed, 1, "DOCTYPE"},
		{"bytes that are not UTF-8", []byte(value("<Value>\xff</Value>")), ruleEncoding, 5, "UTF-8"},
		{"a control character", []byte(value("<Value>\x01</Value>")), ruleWellFormed, 5, "control character"},
		{"another root element", []byte("<settings xmlns=\"urn:schemas-microsoft-com:unattend\"/>"), ruleRoot, 1, "<unattend>"},
		{"no namespace", []byte("\n<unattend/>"), ruleRoot, 2, "namespace"},
		{"a wrong namespace", []byte(strings.Replace(value(""), Namespace, "urn:x", 1)), ruleRoot, 2, "namespace"},
		{"a pass that does not exist", []byte(wrap("windows", "x", "")), rulePass, 3, "use one of windowsPE"},
		{"a pass in the wrong case", []byte(wrap("OobeSystem", "x", "")), rulePass, 3, `write pass="oobeSystem"`},
		{"UTF-8 that says UTF-16", []byte(utf16File), ruleEncoding, 1, "a different encoding"},
		{"UTF-16 that says UTF-8", wide(value(""), 0xFF, 0xFE), ruleEncoding, 1, "a different encoding"},
		{"UTF-16 with half a character", append(wide(utf16File, 0xFF, 0xFE), 'x'), ruleEncoding, 0, "damaged"},
		{"UTF-16 with a lone surrogate", append(wide(utf16File, 0xFF, 0xFE), 0x00, 0xD8), ruleEncoding, 9, "damaged"},
		{"an encoding that is not supported", []byte(strings.Replace(value(""), "utf-8", "windows-1252", 1)), ruleEncoding, 1, "neither UTF-8 nor UTF-16"},
		{"elements nested without end", []byte(value(strings.Repeat("<a>", 100))), ruleLimits, 5, "nested"},
		{"more attributes than any answer file", []byte(value("<a " + strings.Repeat("a='' ", 65) + "/>")), ruleLimits, 5, "attributes"},
		{"a name longer than any setting's", []byte(value("<" + strings.Repeat("a", 129) + "/>")), ruleLimits, 5, "name"},
		{"more elements than any answer file", []byte(value(strings.Repeat("<a/>", maxElements))), ruleLimits, 5, "elements"},
		{"more bytes than any answer file", make([]byte, MaxSize+1), ruleLimits, 0, "larger than 4 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check("unattend.xml", tt.data)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Rule != tt.rule || e.Line != tt.line || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got rule %s, line %d: %v\nwant rule %s, line %d, text with %q", e.Rule, e.Line, err, tt.rule, tt.line, tt.says)
			}
			if e.Fix == "" || !strings.Contains(err.Error(), "unattend.xml") {
				t.Errorf("no fix or no file name in %q", err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes a value: %q", err)
			}
		})
	}
}

func TestCheckNamesEveryUnknownPass(t *testing.T) {
	err := check("a.xml", []byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="a"/><settings pass="b"/></unattend>`))
	if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("got %v, want both passes named", err)
	}
}

func TestCheckAcceptsEveryEncodingThatWindowsWrites(t *testing.T) {
	plain := wrap("specialize", "Microsoft-Windows-Shell-Setup", "<RegisteredOwner>Jürgen &#x1F600;</RegisteredOwner>")
	utf16File := strings.Replace(plain, "utf-8", "UTF-16", 1)
	for name, data := range map[string][]byte{
		"UTF-8":                            []byte(plain),
		"UTF-8 with byte order mark":       []byte("\ufeff" + plain),
		"UTF-16LE with byte order mark":    wide(utf16File, 0xFF, 0xFE),
		"UTF-16BE with byte order mark":    wide(utf16File, 0xFE, 0xFF),
		"UTF-16LE without byte order mark": wide(utf16File),
		"no declaration":                   []byte(plain[strings.Index(plain, "<unattend"):]),
		"CRLF":                             []byte(strings.ReplaceAll(plain, "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(name, data); err != nil {
				t.Fatal(err)
			}
			file, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			owner := file.Find(Specialize, "Microsoft-Windows-Shell-Setup", "RegisteredOwner")
			if owner == nil || owner.Text != "Jürgen 😀" {
				t.Errorf("got %+v, want the owner's name", owner)
			}
		})
	}
}

// brokenInCorpus are the published files that are not XML, with the line and
// reason that a user must be told.
var brokenInCorpus = map[string]Error{
	"Orange-Cyberdefense-GOAD__packer-proxmox-answer_files-10_proxmox_cloudinit-Autounattend.xml": {Line: 1, Problem: "not at the very start"},
	"RadiumNetworks-HyperV-environments__Windows11-unattend.xml":                                  {Line: 21, Problem: "end tag does not match"},
	"RadiumNetworks-HyperV-environments__Windows2016-unattend.xml":                                {Line: 16, Problem: "end tag does not match"},
	"RadiumNetworks-HyperV-environments__Windows2025-unattend.xml":                                {Line: 21, Problem: "end tag does not match"},
}

// corpusFiles returns the published answer files.
func corpusFiles(t *testing.T) map[string][]byte {
	paths, err := filepath.Glob(filepath.Join(testutil.Corpus(t, "unattend"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if filepath.Base(path) == "INDEX.tsv" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = data
	}
	if len(files) < 71 {
		t.Fatalf("the corpus has %d answer files, want 71", len(files))
	}
	return files
}

func TestCheckOfPublishedAnswerFiles(t *testing.T) {
	for name, data := range corpusFiles(t) {
		err := check(name, data)
		want, broken := brokenInCorpus[name]
		if !broken {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Line != want.Line || !strings.Contains(e.Problem, want.Problem) {
			t.Errorf("%s: got %v, want line %d, %q", name, err, want.Line, want.Problem)
		}
	}
}

// check is every reason not to load a text that parsing alone can see.
func check(name string, data []byte) error {
	file, err := Parse(data)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Name = name
		}
		return err
	}
	var errs []error
	for _, p := range file.Passes() {
		if e := unknownPass(p); e != nil {
			e.Name = name
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}
