package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const columns = "component\tpath\tpasses\tvalues\tvalue_kinds\tmax_length\tempty\tdeprecated\tpage\n"

// table is one with every line that the corrections are for, and more.
func table(lines ...string) string {
	text := columns
	for key := range corrections {
		text += key + "\t\t\t\t\t\t\t\n"
		if corrections[key].passes == "" {
			text = strings.Replace(text, key+"\t\t", key+"\tspecialize\t", 1)
		}
	}
	return text + strings.Join(lines, "")
}

func TestRowsAreWrittenAsTheLinterReadsThem(t *testing.T) {
	got, err := generate(table(
		"A\tList/IpAddress\tspecialize\t\t\t\tnonempty\t\tp\n", "A\tList/IpAddress/Key\tspecialize\t\tKey\t\t\t\tp\n",
		"A\tFlag\tspecialize,oobeSystem\ttrue|false|true|false\t\t\t\t\tp\n", "A\tMode\toobeSystem\tAudit|OOBE|(no value / default)\t\t\t\tdeprecated in Windows 10, version 1607\tp\n",
		"A\tKeys\toobeSystem\t\tAllowed|Blocked\t259\t\tThis setting is deprecated.\tp\n", "A\tConsent\toobeSystem\t0 or 1|2\t\t\t\t\tp\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"A\tList\\IpAddress\tspecialize\t\t\tnonempty,list:Key\t\n", "A\tList\\IpAddress\\Key\tspecialize\t\t\ttext\t\n",
		"A\tFlag\tspecialize,oobeSystem\ttrue|false\t\ttext\t\n", "A\tMode\toobeSystem\tAudit|OOBE\t\ttext\tWindows 10\n",
		"A\tKeys\toobeSystem\tAllowed|Blocked\t259\ttext\tyes\n", "A\tConsent\toobeSystem\t0|1|2\t\ttext\t\n",
		"Microsoft-Windows-TCPIP\tInterfaces\\Interface\\Ipv6Settings\tspecialize\t", "CC BY 4.0",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestATableThatIsNotTheKnownOneIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"other columns": "a\tb\n", "a line too short": table("A\tB\n"), "no pass": table("A\tB\t\t\t\t\t\t\tp\n"),
		"a row twice": table("A\tB\tspecialize\t\t\t\t\t\tp\n", "A\tB\tspecialize\t\t\t\t\t\tp\n"), "a correction of nothing": columns,
	} {
		if _, err := generate(text); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestWithoutTheTableNothingIsWrittenAndNothingFails(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SYSPREP_REFERENCE", filepath.Join(t.TempDir(), "none"))
	for _, check := range []bool{false, true} {
		if err := run(check); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("%s: %v", target, err)
	}
}

func TestAStaleFileFailsTheCheckAndIsWritten(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	t.Setenv("SYSPREP_REFERENCE", dir)
	if err := os.WriteFile(filepath.Join(dir, "unattend-settings.tsv"), []byte(table()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(true); err == nil || !strings.Contains(err.Error(), "run make generate") {
		t.Errorf("no file: %v", err)
	}
	if err := run(false); err != nil {
		t.Fatal(err)
	}
	if err := run(true); err != nil {
		t.Error(err)
	}
}
