package footprint

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/guestexec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// elevated is a provisioner of Packer with elevated_user.
type elevated struct{ *packersdk.MockCommunicator }

func (e elevated) Communicator() packersdk.Communicator { return e.MockCommunicator }
func (elevated) ElevatedUser() string                   { return "u" }
func (elevated) ElevatedPassword() string               { return "p" }

// What Packer's own code names is recognised, whatever its version names it.
func TestTheNamesOfTheSDKAreRecognised(t *testing.T) {
	e := elevated{new(packersdk.MockCommunicator)}
	if _, err := guestexec.GenerateElevatedRunner("x", e); err != nil {
		t.Fatal(err)
	}
	text := e.UploadData
	for what, path := range map[string]string{
		"elevated script of Packer":              e.UploadPath,
		"output of an elevated script of Packer": match(t, text, `"%SYSTEMROOT%(/Temp/[^"]+\.out)"`),
		"elevated task of Packer":                `\System32\Tasks\` + match(t, text, `\$name = "([^"]+)"`),
	} {
		path = strings.TrimPrefix(strings.ReplaceAll(path, "/", `\`), `C:\Windows`)
		at := strings.LastIndexByte(path, '\\')
		if found, ok := Find(path[:at], path[at+1:]); !ok || found.What != what {
			t.Errorf("%s is %+v, want: %s", path, found, what)
		}
	}
}

func match(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return m[1]
}

// launch.ps1 is constant text and names these two itself.
func TestTheNamesOfTheLaunchScriptAreInTheTable(t *testing.T) {
	for _, trace := range []Trace{MovedLogs, Task} {
		if name := `"` + trace.Name("$stamp") + `"`; !bytes.Contains(scripts.Text(scripts.Launch), []byte(name)) {
			t.Errorf("launch.ps1 does not make %s", name)
		}
	}
}
