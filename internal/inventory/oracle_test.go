package inventory

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// keys are those that another reader found: the values of each by its path, with names in
// lower case.
type keys map[string]map[string]found

// found is a value: its type and its bytes.
type found struct {
	kind uint32
	data []byte
}

func (f found) text() string {
	units := make([]uint16, len(f.data)/2)
	for i := range units {
		units[i] = uint16(f.data[2*i]) | uint16(f.data[2*i+1])<<8
	}
	s, _, _ := strings.Cut(string(utf16.Decode(units)), "\x00")
	return strings.TrimSpace(s)
}

func (f found) number() int64 {
	if f.kind != 4 || len(f.data) != 4 {
		return -1
	}
	return int64(f.data[0]) | int64(f.data[1])<<8 | int64(f.data[2])<<16 | int64(f.data[3])<<24
}

// below are the keys right below a key.
func (k keys) below(path string) map[string]map[string]found {
	list := map[string]map[string]found{}
	for p, values := range k {
		if name, ok := strings.CutPrefix(p, `\`+path+`\`); ok && !strings.Contains(name, `\`) {
			list[name] = values
		}
	}
	return list
}

// readers are two programs of other people that read hives.
var readers = map[string]func(t *testing.T, hive string, paths ...string) keys{"hivex": hivex, "libregf": libregf}

// hivex exports keys with hivexregedit, which writes each value in hexadecimal.
func hivex(t *testing.T, hive string, paths ...string) keys {
	t.Helper()
	tool := testutil.Tool(t, "hivexregedit")
	all := keys{}
	for _, path := range paths {
		out, err := exec.Command(tool, "--export", hive, `\`+path).Output()
		if err != nil {
			t.Fatalf("hivexregedit: %v", err)
		}
		var values map[string]found
		for _, line := range strings.Split(string(out), "\n") {
			line = strings.TrimSuffix(line, "\r")
			if key, ok := strings.CutPrefix(line, "["); ok {
				values = map[string]found{}
				all[strings.TrimSuffix(key, "]")] = values
				continue
			}
			name, written, ok := strings.Cut(line, "=")
			if !ok || values == nil {
				continue
			}
			name = strings.ToLower(strings.ReplaceAll(strings.Trim(strings.TrimPrefix(name, "@"), `"`), `\\`, `\`))
			values[name] = exported(t, written)
		}
	}
	return all
}

// exported reads a value as hivexregedit writes it: dword:00000070, hex(1):41,00.
func exported(t *testing.T, s string) found {
	t.Helper()
	if n, ok := strings.CutPrefix(s, "dword:"); ok {
		b, err := hex.DecodeString(n)
		if err != nil || len(b) != 4 {
			t.Fatalf("%q: %v", s, err)
		}
		return found{4, []byte{b[3], b[2], b[1], b[0]}}
	}
	head, list, _ := strings.Cut(s, ":")
	kind, err := strconv.ParseUint(strings.Trim(strings.TrimPrefix(head, "hex"), "()"), 16, 32)
	if err != nil {
		return found{} // a name with a sign of equality in it
	}
	b, err := hex.DecodeString(strings.ReplaceAll(list, ",", ""))
	if err != nil {
		t.Fatalf("%.80q: %v", s, err)
	}
	return found{uint32(kind), b}
}

const libregfProgram = `
import json, sys, pyregf
f = pyregf.file()
f.open(sys.argv[1])
out = {}
def read(key, path, deeper):
    out[path] = [[(v.name or "").lower(), v.type, (v.data or b"").hex()] for v in key.values]
    if deeper:
        for sub in key.sub_keys:
            read(sub, path + "\\" + sub.name, False)
for path in sys.argv[2:]:
    key = f.get_key_by_path("\\" + path)
    if key:
        read(key, "\\" + path, True)
json.dump(out, sys.stdout)
`

// libregf reads keys and those right below them.
func libregf(t *testing.T, hive string, paths ...string) keys {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, with its own packages
	if out, err := exec.Command(python, "-c", "import pyregf").CombinedOutput(); err != nil {
		testutil.Missing(t, fmt.Sprintf("python3-libregf is not installed (`make tools` installs it on Debian): %s", out))
	}
	cmd := exec.Command(python, append([]string{"-c", libregfProgram, hive}, paths...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("libregf: %v\n%s", err, &stderr)
	}
	var read map[string][][3]any
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	all := keys{}
	for path, values := range read {
		all[path] = map[string]found{}
		for _, v := range values {
			b, err := hex.DecodeString(v[2].(string))
			if err != nil {
				t.Fatal(err)
			}
			all[path][v[0].(string)] = found{uint32(v[1].(float64)), b}
		}
	}
	return all
}

// onDisk writes a hive into a file for the other readers.
func onDisk(t *testing.T, hive []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hive")
	if err := os.WriteFile(path, hive, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
