package winimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// Each fact of a drive, and what it is read as.
func TestFactsOfADrive(t *testing.T) {
	one, two := uint32(1), uint32(2)
	bias := int32(-60)
	tagged := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	setup := func(change func(k *hivewrite.Key)) winimagetest.Spec {
		return winimagetest.Spec{System: func(root *hivewrite.Key) { change(root.Path("Setup")) }}
	}
	for name, c := range map[string]struct {
		spec winimagetest.Spec
		fact func(w Windows) any
		want any
	}{
		"edition": {winimagetest.Spec{}, func(w Windows) any { return w.OS.EditionID }, "ServerStandard"},
		"the release where DisplayVersion is absent": {winimagetest.Spec{Software: func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows NT\CurrentVersion`).SetString("DisplayVersion", "").SetString("ReleaseId", "1809")
		}}, func(w Windows) any { return w.OS.DisplayVersion }, "1809"},
		"another control set": {winimagetest.Spec{System: func(root *hivewrite.Key) {
			root.Path("Select").SetDWord("Current", 2)
			root.Path(`ControlSet002\Control\Session Manager\Environment`).SetString("PROCESSOR_ARCHITECTURE", "ARM64")
		}}, func(w Windows) any { return w.OS.Architecture }, "arm64"},
		"state in use":      {winimagetest.Spec{}, func(w Windows) any { return w.Setup.ImageState }, "IMAGE_STATE_COMPLETE"},
		"state generalized": {winimagetest.Spec{Generalized: true}, func(w Windows) any { return w.Setup.StateINI }, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"},
		"State.ini absent":  {winimagetest.Spec{Remove: []string{winimagetest.State}}, func(w Windows) any { return w.Setup.StateINI }, ""},
		"audit boot":        {setup(func(k *hivewrite.Key) { k.Path("Status").SetDWord("AuditBoot", 1) }), func(w Windows) any { return w.Setup.AuditBoot }, &one},
		"setup type absent": {winimagetest.Spec{Files: map[string]string{hivePath("SYSTEM"): string(hivewrite.Build(hivewrite.NewKey("ROOT"), "SYSTEM"))}}, func(w Windows) any { return w.Setup.SetupType }, (*uint32)(nil)},
		"an upgrade":        {setup(func(k *hivewrite.Key) { k.Path("Source OS (Updated on 1/2/2026 03:04:05)") }), func(w Windows) any { return w.Setup.Upgraded }, true},
		"a pointer to nothing": {setup(func(k *hivewrite.Key) { k.SetString("UnattendFile", `C:\none.xml`) }),
			func(w Windows) any { return w.Setup.UnattendFileExists }, false},
		"a pointer that goes up and down": {winimagetest.Spec{
			System: func(root *hivewrite.Key) {
				root.Path("Setup").SetString("UnattendFile", `%SystemRoot%\..\\answers.xml`)
			},
			Files: map[string]string{`\answers.xml`: winimagetest.AnswerFile},
		}, func(w Windows) any {
			return []any{w.Setup.UnattendFileExists, w.AnswerFiles[0].Path, w.AnswerFiles[0].Passes}
		}, []any{true, `\Windows\..\\answers.xml`, []string{"oobeSystem"}}},
		"the clock": {winimagetest.Spec{System: func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Control\TimeZoneInformation`).SetString("TimeZoneKeyName", "W. Europe Standard Time").SetDWord("ActiveTimeBias", uint32(bias))
		}}, func(w Windows) any { return w.Clock }, Clock{ActiveBias: &bias, TimeZone: "W. Europe Standard Time"}},
		"automatic logon": {winimagetest.Spec{Software: func(root *hivewrite.Key) {
			root.Path(winlogon).SetString("AutoAdminLogon", " 1 ").SetString("DefaultUserName", "packer").SetString("DefaultPassword", "x")
		}}, func(w Windows) any { return w.Autologon }, Autologon{Enabled: true, User: "packer", DefaultPasswordPresent: true}},
		"rearm": {winimagetest.Spec{Software: func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform`).SetDWord("SkipRearm", 2)
		}}, func(w Windows) any { return w.SkipRearm }, &two},
		"network drivers": {winimagetest.Spec{}, func(w Windows) any { return w.Drivers.Network }, []Driver{{Name: "E1G60", Start: 3}, {Name: "e1iexpress", Start: 3}}},
		"the tag":         {winimagetest.Spec{Generalized: true, TagTime: tagged}, func(w Windows) any { return *w.Tag }, File{Path: tagFile, Modified: tagged}},
		"no tag":          {winimagetest.Spec{}, func(w Windows) any { return w.Tag }, (*File)(nil)},
		"a run that was refused": {winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}},
			func(w Windows) any { return []any{w.Log.Runs, w.Log.TagCreated, w.Log.Diagnosis != nil} }, []any{1, false, true}},
		"no log":             {winimagetest.Spec{}, func(w Windows) any { return w.Log }, (*Log)(nil)},
		"an answer file":     {winimagetest.Spec{Generalized: true}, func(w Windows) any { return w.AnswerFiles[0].Passes }, []string{"oobeSystem"}},
		"an answer file cut": {winimagetest.Spec{Files: map[string]string{winimagetest.Cached: "<unattend"}}, func(w Windows) any { return w.AnswerFiles[0].Problem != "" }, true},
		"leftovers": {winimagetest.Spec{Files: map[string]string{`\Windows\Temp\packer-x.ps1`: "", `\Windows\Temp\other.ps1`: ""}},
			func(w Windows) any { return w.Leftovers }, []string{`\Windows\Temp\packer-x.ps1`}},
		"the page file": {winimagetest.Spec{}, func(w Windows) any { return w.Volume }, Volume{PageFile: 1 << 20}},
		"hives that were flushed": {winimagetest.Spec{}, func(w Windows) any { return w.Hives },
			[]Hive{{Name: "SYSTEM", Clean: true}, {Name: "SOFTWARE", Clean: true}}},
		"a hive recovered from its log": {winimagetest.Spec{DirtyHive: "SOFTWARE", HiveLog: true}, func(w Windows) any { return []bool{w.Hives[1].Clean, w.Hives[1].Replayed > 0} }, []bool{false, true}},
		"a hive that is absent": {winimagetest.Spec{Remove: []string{hivePath("SOFTWARE")}}, func(w Windows) any { return w.Hives[1] },
			Hive{Name: "SOFTWARE", Problem: "file does not exist"}},
	} {
		w := Look(t.Context(), c.spec.FS(t))
		if got := c.fact(w); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if len(w.Problems)+len(w.Unread)+len(w.Limits) > 0 {
			t.Errorf("%s: problems %q, unread %q, limits %q", name, w.Problems, w.Unread, w.Limits)
		}
	}
}

// unreadable is a drive one file of which cannot be opened.
type unreadable struct {
	drive fs.FS
	name  string
}

func (u unreadable) Open(name string) (fs.File, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("damaged")}
	}
	return u.drive.Open(name)
}

// What cannot be read is named, and what would pass for good were it absent is
// unread.
func TestWhatCannotBeReadOfADriveIsNotTakenForAbsent(t *testing.T) {
	for windows, unread := range map[string]bool{
		tagFile: true, `\Windows\Temp`: true, sysprepFolder: true, stateINI: false, actLog: true, winimagetest.Cached: true, `\pagefile.sys`: true,
	} {
		drive := unreadable{winimagetest.Spec{Generalized: true}.FS(t), named(windows)}
		w := Look(t.Context(), drive)
		if want := windows + ": damaged"; len(w.Problems) == 0 || w.Problems[0] != want || w.missed(windows) != unread {
			t.Errorf("problems %q, unread %q, want %q", w.Problems, w.Unread, want)
		}
	}
	for _, name := range []string{"SYSTEM", "SOFTWARE"} {
		drive := unreadable{winimagetest.Spec{Generalized: true}.FS(t), named(hivePath(name))}
		p := Prove(Facts{Windows: []Windows{Look(t.Context(), drive)}}, Expectation{})
		if proven(p) || !strings.Contains(fmt.Sprint(finding.Failed(p, finding.Fail)), name+": damaged") {
			t.Errorf("%s: proven %t, %+v", name, proven(p), finding.Failed(p, finding.Fail))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := Look(ctx, winimagetest.Spec{Generalized: true}.FS(t)); len(w.AnswerFiles) != 0 || w.Setup.ImageState != "" {
		t.Errorf("after the end of its context: %+v", w)
	}
}

func TestPathsOfWindowsAreNamesOfIOFS(t *testing.T) {
	for windows, want := range map[string]string{
		`\`: ".", "": ".", `\Windows\System32`: "Windows/System32", `Windows\\Temp\`: "Windows/Temp", `\Windows\..\x`: "x", `\..\..\x`: "x", `/a\b`: "a/b",
	} {
		if got := named(windows); got != want || !fs.ValidPath(got) || got != "." && path.IsAbs(got) {
			t.Errorf("%q: %q, want %q", windows, got, want)
		}
	}
}

// A folder with the name of the tag says nothing of sysprep.
func TestAFolderIsNoTag(t *testing.T) {
	tag := named(tagFile)
	if w := Look(context.Background(), fstest.MapFS{tag: {Data: []byte{}}}); w.Tag == nil {
		t.Fatal("a tag is not seen")
	}
	w := Look(context.Background(), fstest.MapFS{tag + "/x": {Data: []byte("x")}})
	if w.Tag != nil || !slices.ContainsFunc(w.Problems, func(p string) bool { return strings.Contains(p, "it is a folder") }) {
		t.Errorf("%+v, %q", w.Tag, w.Problems)
	}
}
