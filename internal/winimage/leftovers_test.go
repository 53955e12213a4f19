package winimage_test

import (
	"context"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// Whatever the plugin can bring into a guest the proof finds on its disk.
func TestEverythingOfOursIsALeftover(t *testing.T) {
	const id = "6b03b18d418c"
	files := map[string]string{}
	var want []string
	for _, trace := range []footprint.Trace{
		footprint.Folder, footprint.FilesFolder, footprint.Task, footprint.AnswerFolder, footprint.Mark, footprint.PartialMark, footprint.MovedLogs, footprint.RenamedLog, footprint.PartialSetupComplete,
	} {
		path := `\Windows` + trace.Path(id)
		files[path] = "x"
		want = append(want, path)
	}
	got := windowsOn(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: files})).Leftovers
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
}

// windowsOn is the one installation on a disk.
func windowsOn(t *testing.T, disk string) winimage.Windows {
	t.Helper()
	d, err := diskimage.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	facts, err := winimage.Inspect(context.Background(), d, winimage.Options{})
	if err != nil || len(facts.Windows) != 1 {
		t.Fatalf("%d installations, %v", len(facts.Windows), err)
	}
	return facts.Windows[0]
}

// One damaged name in a folder hides nothing that stands behind it.
func TestADamagedNameHidesNoLeftoverAndNoAnswerFile(t *testing.T) {
	brought := `\Windows` + footprint.Folder.Path("6b03b18d418c")
	given := `\Windows\System32\Sysprep\my-unattend.xml`
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{
		brought: "x", given: `<unattend xmlns="urn:schemas-microsoft-com:unattend"/>`,
		`\Windows\Temp\` + winimagetest.OddName: "x", `\Windows\System32\Sysprep\` + winimagetest.OddName: "x",
	}})
	winimagetest.WithSlash(t, disk)
	w := windowsOn(t, disk)
	if !slices.Equal(w.Leftovers, []string{brought}) {
		t.Errorf("leftovers %q", w.Leftovers)
	}
	if !slices.ContainsFunc(w.AnswerFiles, func(a winimage.AnswerFile) bool { return a.Path == given }) {
		t.Errorf("answer files %+v", w.AnswerFiles)
	}
}
