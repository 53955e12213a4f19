//go:build unix

package vhd

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDisksAndFirmwareAreRegularFiles(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.vhd")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		for option, options := range map[string]map[string]any{
			"source_path":       {"source_path": path},
			"source_url":        {"source_path": nil, "source_url": "file://" + path, "source_checksum": "none"},
			"efi_firmware_vars": {"efi_firmware_vars": path, "efi_firmware_code": path},
		} {
			var c Config
			_, err := c.prepare(valid(t, options))
			if err == nil || !strings.Contains(err.Error(), option+": "+path+" is not a regular file but ") {
				t.Errorf("%s = %s: %v", option, path, err)
			}
		}
	}
}

func TestAURLThatIsAPath(t *testing.T) {
	for address, want := range map[string]string{
		"/disks/x.vhd": "/disks/x.vhd", "/disks/x.gz?archive=gz": "/disks/x.gz", "file:///a%20b.vhd": "/a b.vhd", "FILE:///x?checksum=y": "/x",
		"https://example.com/x.vhd": "", "relative.vhd": "", "s3::https://example.com/x": "", "": "", "file://server/share/x": "",
	} {
		if got := localFile(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}
