package winimage

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// fixture is a generalized Windows disk that other people's tools made (see
// testdata/make-generalized.sh).
func fixture(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "generalized.raw.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// conversions are all formats that can be written.
var conversions = map[string]diskimage.Options{
	"raw":         {Format: diskimage.Raw},
	"fixed VHD":   {Format: diskimage.VHD, Type: diskimage.Fixed, AlignMiB: true},
	"dynamic VHD": {Format: diskimage.VHD, Type: diskimage.Dynamic},
	"VHDX":        {Format: diskimage.VHDX},
	"qcow2":       {Format: diskimage.QCOW2},
}

// convert writes a disk in another format and opens the file.
func convert(t testing.TB, src diskimage.Disk, o diskimage.Options) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk."+string(o.Format))
	if _, err := diskimage.Convert(context.Background(), src, path, o); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func open(t testing.TB, r io.ReaderAt, size int64) diskimage.Disk {
	t.Helper()
	d, err := diskimage.OpenReader(r, size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADiskOfOtherPeoplesToolsIsReadWholeAndProven(t *testing.T) {
	b := fixture(t)
	d := open(t, bytes.NewReader(b), int64(len(b)))
	got, err := Inspect(context.Background(), d, Options{Name: "x", Space: true})
	if err != nil {
		t.Fatal(err)
	}
	// What testdata/make-generalized.sh wrote.
	when := time.Date(2026, 11, 23, 12, 0, 30, 0, time.UTC)
	w := got.Windows[0]
	logSize := w.Log.Size
	if free := w.Volume.Free; free == nil || *free < 1<<20 || *free > 3<<20 {
		t.Errorf("free space %v", free)
	}
	last := w.Log.Last
	if len(last) != 7 || last[6] != "2026-11-23 12:00:00, Info       [0x0f0052] SYSPRP Shutting down SysPrep log" {
		t.Errorf("the log ends with %q", last)
	}
	w.Log.Last, w.Volume.Free = nil, nil
	for _, f := range []*File{w.Tag, &w.Log.File, &w.AnswerFiles[0].File} {
		if f.Record < 16 || f.Sequence == 0 || f.Created.IsZero() {
			t.Errorf("file %+v", *f)
		}
		f.Record, f.Sequence, f.Created = 0, 0, time.Time{}
	}
	want := Windows{
		Partition: 2,
		OS: OS{
			ProductName: "Windows Server 2022 Standard", EditionID: "ServerStandard", InstallationType: "Server",
			DisplayVersion: "21H2", Build: "20348", Revision: 2340, Architecture: "amd64",
		},
		Setup: Setup{
			ImageState: "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", StateINI: "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
			GeneralizationState: num(4), CleanupState: num(2), SetupType: num(2), CmdLine: `oobe\windeploy.exe`,
			SystemSetupInProgress: num(1), OOBEInProgress: num(1), SetupCompletion: num(3),
		},
		Tag:         &File{Path: tagFile, Modified: when},
		Log:         &Log{File: File{Path: actLog, Size: logSize, Modified: when}, Runs: 1, Options: []string{"OOBE", "GENERALIZE", "SHUTDOWN"}, TagCreated: true},
		Hives:       []Hive{{Name: "SYSTEM", Clean: true}, {Name: "SOFTWARE", Clean: true}},
		Volume:      Volume{Size: 4190208, LogClean: true, PageFile: 256 << 10},
		Drivers:     Drivers{Storage: []Driver{{Name: "storahci"}, {Name: "stornvme", StartOverride: num(3)}}, Network: []Driver{{Name: "E1G60", Start: 3}}},
		AnswerFiles: []AnswerFile{{File: File{Path: cachedAnswerFile, Size: 356, Modified: when}, Passes: []string{"oobeSystem"}, OOBE: &OOBE{}}},
		Leftovers:   []string{},
	}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("got  %+v\nwant %+v", w, want)
	}
	disk := Disk{Path: "x", Format: "raw", VirtualSize: 8 << 20, SectorSize: 512, Scheme: "gpt", Generation: 2, Partitions: 2}
	if !reflect.DeepEqual(got.Disk, disk) || len(got.Problems) != 0 {
		t.Errorf("disk %+v, problems %q", got.Disk, got.Problems)
	}
	p := Prove(got, Expectation{Source: &Source{}, AnswerFile: true, VMMode: yes(false)})
	if len(p) != len(AssertionIDs()) {
		t.Errorf("%d assertions", len(p))
	}
	for _, a := range p {
		if !a.Holds {
			t.Errorf("%s: expected %s, found %s", a.ID, a.Expected, a.Found)
		}
	}
}

func TestEveryFormatGivesTheSameReport(t *testing.T) {
	b := fixture(t)
	raw := open(t, bytes.NewReader(b), int64(len(b)))
	want, err := Inspect(context.Background(), raw, Options{Space: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range conversions {
		t.Run(name, func(t *testing.T) {
			d, err := diskimage.Open(convert(t, raw, o).Name())
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := Inspect(context.Background(), d, Options{Space: true})
			if err != nil {
				t.Fatal(err)
			}
			if !proven(Prove(got, Expectation{})) {
				t.Error("not proven")
			}
			got.Time, got.Disk.Format = want.Time, want.Disk.Format
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
