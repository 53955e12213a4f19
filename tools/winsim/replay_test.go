package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

func TestWhatIsNoRunIsNotReplayed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":          {"x", "this is no run.json"},
		"a later schema":   {`{"schema":2,"plugin_version":"9.0.0"}`, `its schema is 2, and this plugin knows 1: use the release that wrote it (plugin_version "9.0.0")`},
		"of the builder":   {`{"schema":1,"component":"source sysprep-vhd"}`, "run.json"},
		"nothing was seen": {`{"schema":1,"component":"provisioner sysprep"}`, "nothing was observed"},
	} {
		path := filepath.Join(t.TempDir(), "run.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), []string{"replay", path}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := run(t.Context(), []string{"replay"}); err == nil || !strings.Contains(err.Error(), "replay needs the file run.json") {
		t.Errorf("without a file: %v", err)
	}
}

func TestHowToRunAgainstTheGuestIsSaid(t *testing.T) {
	at := int64(1500)
	var b bytes.Buffer
	describe(&b, runlog.Log{Version: "1.2.3", Builder: "null", Options: map[string]any{"stall_timeout": "10m0s"}, CancelledMS: &at,
		Verdict: &runlog.Verdict{Class: "refused", Cause: "MALFORMED", FirstLine: "sysprep refused"}}, "127.0.0.1:1")
	for _, want := range []string{"listening on 127.0.0.1:1", "stall_timeout = 10m0s", "[refused/MALFORMED] sysprep refused", "cancelled after 1.5 s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
}
