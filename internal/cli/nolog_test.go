package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sysprep can succeed without having generalized anything.
func TestDiagnoseTellsARunWithoutGeneralize(t *testing.T) {
	const at = "2026-11-23 12:00:00, Info       [0x0f005f] SYSPRP "
	t.Cleanup(func() { stdin = os.Stdin })
	for options, says := range map[string]bool{"OOBE": true, "AUDIT REBOOT": true, "OOBE GENERALIZE": false, "RESPECIALIZE": false, "": false} {
		log := ""
		for _, o := range strings.Fields(options) {
			log += at + "ParseCommands:Found supported command line option '" + o + "'\r\n"
		}
		stdin = strings.NewReader(log + at + "FCreateTagFile:Successfully created tag file C:\\Windows\\System32\\Sysprep\\Sysprep_succeeded.tag\r\n")
		code, stdout, _ := run(t, "diagnose", "-")
		if code != OK || !strings.HasPrefix(stdout, "nothing failed: sysprep succeeded") || strings.Contains(stdout, "ran without /generalize") != says {
			t.Errorf("%q: %d\n%s", options, code, stdout)
		}
	}
}

// A text that is no log says what it means, an archive how to get at its logs.
func TestDiagnoseSaysWhatIsNoLog(t *testing.T) {
	dir := logsBelow(t, map[string]string{
		"loop.txt":         strings.Repeat("    azure-arm: IMAGE_STATE_COMPLETE\n", 30),
		"setupact.log.gz":  "\x1f\x8b\x08" + strings.Repeat("\x00", 600),
		"Application.evtx": "ElfFile\x00" + strings.Repeat("\x00", 600),
		"logs/panther.7z":  "7z\xbc\xaf\x27\x1c",
	})
	nested := zipped(t, map[string]string{"inner.zip": "PK"})
	for path, want := range map[string]string{
		filepath.Join(dir, "loop.txt"):         "sysprep refused, or did not begin",
		filepath.Join(dir, "setupact.log.gz"):  "this is a gzip file; unpack it first",
		filepath.Join(dir, "Application.evtx"): "Get-WinEvent",
		filepath.Join(dir, "logs"):             "panther.7z: an archive",
		nested:                                 "inner.zip: an archive",
	} {
		code, stdout, stderr := run(t, "diagnose", path)
		if code != CannotDo || stdout != "" || !strings.Contains(stderr, "cannot tell from") || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d\n%s%s", filepath.Base(path), code, stdout, stderr)
		}
	}
}
