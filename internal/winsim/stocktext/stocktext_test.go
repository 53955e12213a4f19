package stocktext

import (
	"io"
	"log"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the SDK's communicator is talkative
	os.Exit(m.Run())
}

// What real clients sent, with other values than at the recording.
const (
	download  = `$ProgressPreference = 'SilentlyContinue';$file=[System.IO.File]::ReadAllBytes("C:/Windows/Temp/x.bin"); Write-Output $([System.Convert]::ToBase64String($file))`
	connected = `$ProgressPreference = 'SilentlyContinue';if (Test-Path variable:global:ProgressPreference){$ProgressPreference='SilentlyContinue'}; echo "WinRM connected."`
	restarted = `$ProgressPreference = 'SilentlyContinue';echo ("{0} restarted." -f [System.Net.Dns]::GetHostName())`
)

func TestTextsAreRecognisedWhole(t *testing.T) {
	l, err := Recorded()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Kind{
		download: Download, connected: Connected, restarted: Restarted,
		strings.Replace(download, "Write-Output", "Write-Host", 1): "",
		download + " ":  "",
		connected + ";": "", restarted + " ": "", " " + restarted: "", "": "",
		strings.Replace(download, "x.bin", `x.bin"); evil; ("`, 1): "",
	} {
		kind, vars, err := l.Match(t.Context(), text)
		if err != nil || kind != want {
			t.Errorf("%q is %q (%v), want %q", text, kind, err, want)
		}
		if kind == Download && vars["path"] != "C:/Windows/Temp/x.bin" {
			t.Errorf("path %q", vars["path"])
		}
	}
}

func TestVariablePartsMustAgree(t *testing.T) {
	tmpl, err := newTemplate("a=NAME b=NAME c=OTHER", variable{"n", "NAME", `\w+`}, variable{"o", "OTHER", `\w+`})
	if err != nil {
		t.Fatal(err)
	}
	if vars, ok := tmpl.match("a=x b=x c=y"); !ok || vars["n"] != "x" || vars["o"] != "y" {
		t.Errorf("%v, %v", vars, ok)
	}
	if _, ok := tmpl.match("a=x b=z c=y"); ok {
		t.Error("two values for one variable")
	}
	if _, err := newTemplate("text", variable{"n", "NAME", `\w+`}); err == nil {
		t.Error("a marker that the text lost goes unnoticed")
	}
}

func TestDecodeCommand(t *testing.T) {
	if s, err := DecodeCommand("ZQBjAGgAbwA="); err != nil || s != "echo" {
		t.Errorf("%q, %v", s, err)
	}
	for _, bad := range []string{"ZQBjAGg", "ZQ==", "%"} {
		if s, err := DecodeCommand(bad); err == nil {
			t.Errorf("%q became %q", bad, s)
		}
	}
}
