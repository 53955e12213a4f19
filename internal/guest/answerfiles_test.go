package guest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestAnswerFilesAreFoundOnTheWholeSearchPath(t *testing.T) {
	const pointer = "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\r\n    UnattendFile    REG_SZ    C:\\my answers\\a.xml\r\n\r\n"
	for _, test := range []struct {
		name, answer string
		want         AnswerFiles
	}{
		{"none", "packer-part:pointer\r\npacker-part:files\r\npacker-part:end\r\n", AnswerFiles{}},
		{"everywhere", "packer-part:pointer\r\n" + pointer + "packer-part:files\r\npacker-part:file=0\r\npacker-part:file=1\r\npacker-part:file=2\r\npacker-part:file=3\r\npacker-part:file=6\r\npacker-part:media=a:0\r\npacker-part:media=c:0\r\npacker-part:media=d:0\r\npacker-part:media=d:1\r\npacker-part:end\r\n", AnswerFiles{
			Pointer: `C:\my answers\a.xml`, Cached: `C:\Windows\Panther\unattend.xml`,
			Above: []string{`C:\Windows\Panther\Unattend\Unattend.xml`, `C:\Windows\Panther\Unattend\Autounattend.xml`},
			Below: []string{`C:\Windows\System32\Sysprep\Unattend.xml`, `C:\Autounattend.xml`},
			Media: []string{`A:\Unattend.xml`, `D:\Unattend.xml`, `D:\Autounattend.xml`},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := scripted(test.answer, "")
			found, err := New(f, "id").AnswerFiles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			line := f.lines()[0]
			for _, part := range []string{`exist "%windir%\Panther\unattend.xml" (echo packer-^part:file=2)`, `(for %D in (a: b: `, ` y: z:) do ((if exist "%D\Unattend.xml" (echo packer-^part:media=%D0))& (if exist "%D\Autounattend.xml" (echo packer-^part:media=%D1))))`, `exist "%SystemDrive%\Autounattend.xml" (echo packer-^part:file=6)`} {
				if !strings.Contains(line, part) {
					t.Fatalf("%s is not in %s", part, line)
				}
			}
			if !reflect.DeepEqual(found, test.want) {
				t.Errorf("got %+v\nwant %+v", found, test.want)
			}
			if len(line) > 2000 {
				t.Errorf("the line has %d characters", len(line))
			}
		})
	}
}

func TestAnAnswerAboutAnswerFilesThatIsCutOffIsNotBelieved(t *testing.T) {
	for _, answer := range []string{"", "packer-part:pointer\r\npacker-part:files\r\n", "packer-part:files\r\npacker-part:file=99\r\npacker-part:end\r\n", "packer-part:files\r\npacker-part:file=x\r\npacker-part:end\r\n",
		"packer-part:files\r\npacker-part:media=ab0\r\npacker-part:end\r\n", "packer-part:files\r\npacker-part:media=a:2\r\npacker-part:end\r\n",
		"packer-part:files\r\npacker-part:media=a:0\r\npacker-part:media=a:0\r\npacker-part:end\r\n"} {
		if _, err := New(scripted(answer, ""), "id").AnswerFiles(t.Context()); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestOnlyWhatWasFoundOnTheDriveOfWindowsIsRemoved(t *testing.T) {
	f := scripted("packer-part:pointer\r\npacker-part:files\r\npacker-part:end\r\n", "")
	left, err := New(f, "id").RemoveAnswerFiles(t.Context(), AnswerFiles{Pointer: `C:\own.xml`, Below: []string{`C:\Unattend.xml`}, Media: []string{`E:\Unattend.xml`}})
	if err != nil || left.Pointer != "" || len(left.Files()) != 0 {
		t.Fatalf("left %+v, %v", left, err)
	}
	if want := `reg delete "HKLM\SYSTEM\Setup" /v UnattendFile /f /reg:64& del /f /q "C:\Unattend.xml"`; f.lines()[0] != want {
		t.Errorf("got %s\nwant %s", f.lines()[0], want)
	}
	if _, err := New(f, "id").RemoveAnswerFiles(t.Context(), AnswerFiles{Media: []string{`E:\Unattend.xml`}}); err != nil || len(f.lines()) != 2 {
		t.Errorf("there was nothing to remove: %v, %q", err, f.lines())
	}
}

func TestAFolderThatCouldNotBeMadePrivateIsAnError(t *testing.T) {
	err := New(scripted("processed file: x\r\n", "Access is denied."), "id").MakePrivate(t.Context(), `C:\x`)
	if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "Access is denied.") {
		t.Errorf("got %v", err)
	}
	if err := New(scripted("processed file: x\r\npacker-part:done\r\npacker-part:end\r\n", ""), "id").MakePrivate(t.Context(), `C:\x`); err != nil {
		t.Error(err)
	}
}

// A command that was given up and runs late must not take away what came after it.
func TestAFolderWithItsFileStays(t *testing.T) {
	f := scripted("packer-part:kept\r\npacker-part:done\r\npacker-part:end\r\n", "")
	if err := New(f, "id").MakePrivateFor(t.Context(), `C:\x\unattend.xml`); err != nil {
		t.Error(err)
	}
	if line := f.lines()[0]; !strings.HasPrefix(line, `(if exist "C:\x\unattend.xml" (`) || !strings.Contains(line, `) else ((if exist "C:\x" (rd /s /q "C:\x"))& mkdir "C:\x"&& icacls "C:\x" `) {
		t.Error(line)
	}
}

func TestSetupCompleteIsWrittenOnce(t *testing.T) {
	f := &fake{start: answers{{"findstr", "packer-part:done\r\npacker-part:end\r\n", ""}}.start}
	if err := New(f, "id").DeleteCachedAfterDeployment(t.Context()); err != nil || len(f.lines()) != 1 {
		t.Errorf("it is there already: %v, %q", err, f.lines())
	}
	f = &fake{start: answers{{"findstr", "packer-part:end", ""}, {"move", "", "Access is denied."}}.start}
	if err := New(f, "id").DeleteCachedAfterDeployment(t.Context()); err == nil || !strings.Contains(err.Error(), "Access is denied.") {
		t.Errorf("got %v", err)
	}
}
