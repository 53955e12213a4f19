package footprint

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryNameIsRecognisedAsWhatItIs(t *testing.T) {
	for _, trace := range traces {
		for _, id := range []string{"6b03b18d418c", "20261128T043944Z", "6b03b18d-418c-2f7e-0a51-0242ac110002"} {
			name := trace.Name(id)
			if got, ok := trace.ID(name); !ok || got != id {
				t.Errorf("%s: the id of %s is %q", trace.What, name, got)
			}
			for _, spelt := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				if found, ok := Find(trace.Folder, spelt); !ok || found != trace {
					t.Errorf("%s\\%s is %+v, want %+v", trace.Folder, spelt, found, trace)
				}
			}
			if path := trace.Path(id); !slices.Contains(Folders(), path[:strings.LastIndexByte(path, '\\')]) {
				t.Errorf("nobody looks where %s lies", path)
			}
		}
	}
}

func TestAPathIsOfTheRunWhoseIDItHas(t *testing.T) {
	for _, trace := range traces {
		path := trace.Path("6b03b18d418c")
		if !Of("6b03b18d418c", strings.ToUpper(path)) || Of("6b03b18d418d", path) || Of("", path) {
			t.Errorf("%s is not told to be of its run", path)
		}
	}
	for _, path := range []string{"", "x", `\Temp`, `\Elsewhere\packer-sysprep-1`} {
		if Of("1", path) {
			t.Errorf("%q is taken for something of a run", path)
		}
	}
}

// The names that users and earlier versions know. A table alone would follow
// every change of itself.
func TestTheNamesAreThoseThatAreInUse(t *testing.T) {
	for got, want := range map[string]string{
		Folder.Path("1"):               `\Temp\packer-sysprep-1`,
		Task.Name("1"):                 `packer-sysprep-1`,
		AnswerFolder.Path("1"):         `\System32\Sysprep\packer-unattend-1`,
		Mark.Path("1"):                 `\System32\Sysprep\Panther\packer-1.mark`,
		MovedLogs.Path("1"):            `\System32\Sysprep\Panther.packer-1`,
		RenamedLog.Path("1"):           `\System32\Sysprep\Panther\setupact.packer-1.log`,
		PartialSetupComplete.Path("1"): `\Setup\Scripts\SetupComplete.cmd.packer-1`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	for _, path := range []string{
		`\Temp\script.bat`, `\Temp\script-1.txt`, `\Temp\winrmcp-.tmp`, `\Temp\setup.log`, `\Temp\packer-`,
		`\System32\Sysprep\Panther`, `\System32\Sysprep\Panther\setupact.log`, `\System32\Sysprep\unattend.xml`,
		`\System32\Sysprep\script-1.ps1`, `\System32\Tasks\Packer`, `\Setup\Scripts\SetupComplete.cmd`, `\packer-1`,
	} {
		at := strings.LastIndexByte(path, '\\')
		if found, ok := Find(path[:at], path[at+1:]); ok {
			t.Errorf("%s is taken for: %s", path, found.What)
		}
	}
}
