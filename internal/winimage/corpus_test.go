package winimage

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// corpusHive is a hive of the corpus as text, for Spec.Files.
func corpusHive(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(testutil.Corpus(t, "hives", name+".gz"))
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
	return string(b)
}

// inspectPath opens an image and inspects it.
func inspectPath(t testing.TB, path string) Facts {
	t.Helper()
	d, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := Inspect(context.Background(), d, Options{Space: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// setupValues is Setup in the form of the corpus's table.
func setupValues(s Setup) map[string]string {
	values := map[string]string{`\Setup CmdLine`: fmt.Sprintf("str(1):%q", s.CmdLine)}
	for name, n := range map[string]*uint32{
		`\Setup SetupType`: s.SetupType, `\Setup SystemSetupInProgress`: s.SystemSetupInProgress, `\Setup OOBEInProgress`: s.OOBEInProgress,
		`\Setup\Status AuditBoot`:                         s.AuditBoot,
		`\Setup\Status\SysprepStatus GeneralizationState`: s.GeneralizationState,
		`\Setup\Status\SysprepStatus CleanupState`:        s.CleanupState,
		`\Setup\Status\ChildCompletion setup.exe`:         s.SetupCompletion,
	} {
		if n != nil {
			values[name] = fmt.Sprintf("dword:%08x", *n)
		}
	}
	return values
}

func TestSetupOfRealMachinesIsReadAsHivexReadsIt(t *testing.T) {
	table, err := os.ReadFile(testutil.Corpus(t, "hives", "expected", "setup-status.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	known := setupValues(Setup{SetupType: num(0), SystemSetupInProgress: num(0), OOBEInProgress: num(0), AuditBoot: num(0), GeneralizationState: num(0), CleanupState: num(0), SetupCompletion: num(0)})
	b := corpusHive(t, "regipy-SYSTEM_B")
	for _, c := range []struct {
		hive, content string
		bootDrivers   []string
	}{
		{"regipy-SYSTEM", corpusHive(t, "regipy-SYSTEM"), []string{"atapi", "intelide", "LSI_SAS"}},
		// hivex does not look at sequence numbers: with equal ones it is the
		// hive that the table was read from. Windows 10 has overridden the start
		// of all drivers, although their Start is 0.
		{"regipy-SYSTEM_B", flushed(b), nil},
	} {
		t.Run(c.hive, func(t *testing.T) {
			want := map[string]string{}
			for _, line := range strings.Split(string(table), "\n") {
				f := strings.Split(strings.TrimRight(line, "\r"), "\t")
				if len(f) == 4 && f[0] == c.hive && known[f[1]+" "+f[2]] != "" {
					want[f[1]+" "+f[2]] = f[3]
				}
			}
			if len(want) < 6 {
				t.Fatalf("the table has only %v", want)
			}
			r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Volume: 64 << 20, Files: map[string]string{systemHive: c.content}}))
			w := r.Windows[0]
			got := setupValues(w.Setup)
			for name := range known {
				if got[name] != want[name] {
					t.Errorf("%s is %q, want %q", name, got[name], want[name])
				}
			}
			if !w.Hives[0].Clean || len(w.Problems) != 0 {
				t.Errorf("hives %+v, problems %q", w.Hives, w.Problems)
			}
			var atBoot []string
			for _, d := range w.Drivers.Storage {
				if d.StartsAtBoot() {
					atBoot = append(atBoot, d.Name)
				}
			}
			if len(w.Drivers.Storage) < 6 || !slices.Equal(atBoot, c.bootDrivers) {
				t.Errorf("drivers %+v, at boot %v, want %v", w.Drivers.Storage, atBoot, c.bootDrivers)
			}
			// Both are machines in use, and are said to be.
			reasons := []string{"image-state", "generalization-state", "setup-type", "setup-command", "tag"}
			if failed := failedIDs(r); !slices.Equal(failed, reasons) {
				t.Errorf("failed %v, want %v", failed, reasons)
			}
		})
	}
}

const systemHive = `\Windows\System32\config\SYSTEM`

// flushed makes the sequence numbers of a hive equal.
func flushed(hive string) string {
	b := []byte(hive)
	le := binary.LittleEndian
	copy(b[8:12], b[4:8])
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(b[i:])
	}
	le.PutUint32(b[508:], sum)
	return string(b)
}

func failedIDs(r Facts) (ids []string) {
	for _, a := range finding.Failed(Prove(r, Expectation{}), finding.Fail) {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestARealHiveWhoseLogsDoNotJoinProvesNothing(t *testing.T) {
	r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Volume: 64 << 20, Files: map[string]string{
		systemHive:           corpusHive(t, "regipy-SYSTEM_B"),
		systemHive + ".LOG1": corpusHive(t, "regipy-SYSTEM_B.LOG1"),
		systemHive + ".LOG2": corpusHive(t, "regipy-SYSTEM_B.LOG2"),
	}}))
	h := r.Windows[0].Hives[0]
	if h.Clean || !strings.Contains(h.Problem, "cannot be recovered from its logs") {
		t.Errorf("hive %+v", h)
	}
	if s := r.Windows[0].Setup; s.SetupType != nil || s.GeneralizationState != nil || s.CmdLine != "" {
		t.Errorf("a stale hive was read: %+v", s)
	}
	if failed := failedIDs(r); len(failed) == 0 || failed[0] != "hives-clean" {
		t.Errorf("failed %v", failed)
	}
}

// corpusDisk unpacks an image of the corpus into a folder of the test.
func corpusDisk(t testing.TB, name string) string {
	t.Helper()
	path := testutil.Corpus(t, "disks", name)
	switch filepath.Ext(name) {
	case ".tgz": // sparse
		dir := t.TempDir()
		if out, err := exec.Command(testutil.Tool(t, "tar"), "-xSf", path, "-C", dir).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.raw"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v in %s, %v", files, name, err)
		}
		return files[0]
	case ".zip":
		dir := t.TempDir()
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		if err := os.CopyFS(dir, z); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, z.File[0].Name)
	case ".gz", ".bz2":
	default:
		return path
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bzip2.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasSuffix(name, ".tar.gz") {
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if err != nil {
				t.Fatalf("no image in %s: %v", name, err)
			}
			if strings.HasSuffix(h.Name, ".raw") {
				break
			}
		}
		r = tr
	}
	out, err := os.Create(filepath.Join(t.TempDir(), strings.TrimSuffix(name, filepath.Ext(name))))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	b, size, hole := make([]byte, 1<<20), int64(0), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(r, b)
		if !bytes.Equal(b[:n], hole[:n]) {
			if _, err := out.WriteAt(b[:n], size); err != nil {
				t.Fatal(err)
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func TestRealDisksWithoutWindowsAreToldSo(t *testing.T) {
	for _, c := range []struct {
		pattern string
		count   int
		failed  []string
	}{
		{"bitlk-*.img.gz", 14, []string{"windows", "bitlocker"}},
		{"util-linux-bitlocker-*.img.gz", 1, []string{"windows", "bitlocker"}},
		{"util-linux-ntfs.img.gz", 1, []string{"windows"}},
		{"*.vhd.bz2", 2, []string{"windows"}},
		{"*.vhdx.bz2", 2, []string{"windows"}},
		{"*.vhdx.gz", 1, []string{"windows"}},
		{"*.vhdx.zip", 1, []string{"windows"}},
		{"*.qcow2", 1, []string{"windows"}},
		{"dfir_ntfs-*.raw.gz", 3, []string{"windows"}},
		{"dfir_ntfs-vss_*.tar.gz", 2, []string{"windows"}},
		{"*.tgz", 2, []string{"windows"}},
		{"ntfs-*.raw.gz", 3, []string{"windows"}},
		{"sleuthkit-*.raw.gz", 1, []string{"windows"}},
		// Its hives are files of 13 bytes.
		{"velociraptor-*.raw.gz", 1, []string{"hives-clean", "image-state", "generalization-state", "setup-type", "setup-command", "tag"}},
	} {
		paths, err := filepath.Glob(filepath.Join(testutil.Corpus(t, "disks"), c.pattern))
		if err != nil || len(paths) != c.count {
			t.Errorf("%s: %d images, want %d (%v)", c.pattern, len(paths), c.count, err)
		}
		for _, path := range paths {
			name := filepath.Base(path)
			t.Run(name, func(t *testing.T) {
				r := inspectPath(t, corpusDisk(t, name))
				if failed := failedIDs(r); !slices.Equal(failed, c.failed) || proven(Prove(r, Expectation{})) {
					t.Errorf("failed %v, want %v", failed, c.failed)
				}
				if len(r.Problems) != 0 {
					t.Errorf("problems %q", r.Problems)
				}
				if len(r.Secrets) != 0 || len(r.Windows) > 0 && len(r.Windows[0].Secrets) > 0 {
					t.Errorf("secrets %+v, %+v", r.Secrets, r.Windows)
				}
			})
		}
	}
}
