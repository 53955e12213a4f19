package hostfile

import (
	"bufio"
	"context"
	"errors"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func symlink(t *testing.T, to, path string) string {
	t.Helper()
	testutil.Symlink(t, to, path)
	return path
}

// names are all files of a folder.
func names(t *testing.T, folder string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestReadRegularIsBounded(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "file"), "0123456789")
	if got, err := ReadRegular(path, 10); err != nil || string(got) != "0123456789" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := ReadRegular(path, 9); err == nil || !strings.Contains(err.Error(), path+" is larger than 9 bytes") {
		t.Errorf("9 of 10 bytes: %v", err)
	}
	if _, err := ReadRegular(filepath.Join(t.TempDir(), "none"), 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ReadRegular(t.TempDir(), 9); err == nil || !strings.Contains(err.Error(), "is not a regular file but a folder: name a regular file") {
		t.Errorf("folder: %v", err)
	}
	if _, err := ReadRegular(os.DevNull, 9); err == nil || !strings.Contains(err.Error(), "is not a regular file but a device") {
		t.Errorf("device: %v", err)
	}
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a", "disk.vhd"), "disk")
	link := symlink(t, filepath.Join(dir, "a"), filepath.Join(dir, "link"))
	hard := filepath.Join(dir, "hard.vhd")
	if err := os.Link(file, hard); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"itself", file, file, true},
		{"relative", file, filepath.Join("a", "disk.vhd"), true},
		{"with dots", file, filepath.Join("a", "..", "a", ".", "disk.vhd"), true},
		{"linked folder", file, filepath.Join(link, "disk.vhd"), true},
		{"hard link", file, hard, true},
		{"another", file, filepath.Join(dir, "a", "other.vhd"), false},
		{"both absent, one name", filepath.Join("a", "new"), filepath.Join(link, "new"), true},
		{"both absent, in absent folders", filepath.Join("a", "x", "new"), filepath.Join(link, "x", "new"), true},
		{"both absent, two names", filepath.Join("a", "new"), filepath.Join(link, "news"), false},
	} {
		if got := SameFile(c.a, c.b); got != c.same {
			t.Errorf("%s: SameFile(%s, %s) = %t", c.name, c.a, c.b, got)
		}
		if got := SameFile(c.b, c.a); got != c.same {
			t.Errorf("%s: SameFile(%s, %s) = %t", c.name, c.b, c.a, got)
		}
	}
}

func TestWithin(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "disk.vhd"), "disk")
	link := symlink(t, filepath.Join(dir, "a"), filepath.Join(dir, "link"))
	t.Chdir(dir)
	for _, c := range []struct {
		folder, path string
		within       bool
	}{
		{"a", "a", true},
		{"a", filepath.Join(link, "x", "new.vhd"), true},
		{link, filepath.Join(dir, "a", "disk.vhd"), true},
		{link, filepath.Join("a", "new.vhd"), true},
		{"a", filepath.Join("a", "..", "b"), false},
		{"a", "ab", false},
		{"absent", filepath.Join(dir, "absent", "x"), true},
		{"absent", "a", false},
		{filepath.Join("a", "deeper"), "a", false},
	} {
		if got := Within(c.folder, c.path); got != c.within {
			t.Errorf("Within(%s, %s) = %t", c.folder, c.path, got)
		}
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	input := write(t, filepath.Join(dir, "in", "disk.vhd"), "disk")
	old := write(t, filepath.Join(dir, "old.json"), "{}")
	link := symlink(t, filepath.Join(dir, "in"), filepath.Join(dir, "link"))
	dangling := symlink(t, filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling"))
	for _, c := range []struct{ name, path, want string }{
		{"absent", filepath.Join(dir, "new.json"), ""},
		{"absent folders", filepath.Join(dir, "x", "y", "new.json"), ""},
		{"a file", old, ""},
		{"empty", "", "the path is empty"},
		{"an input", input, "is the same file as " + input},
		{"an input through a link", filepath.Join(link, "disk.vhd"), "is the same file as " + input},
		{"a folder", dir, "is a folder, which is never replaced"},
		{"a folder that is absent", filepath.Join(dir, "new") + string(filepath.Separator), "is the path of a folder"},
		{"a device", os.DevNull, "is a device, which is never replaced"},
		{"a link to nothing", dangling, "is a symbolic link to nothing"},
	} {
		err := Writable(c.path, input, "")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Writable(%s) = %v, want %q", c.name, c.path, err, c.want)
		}
	}
	for _, c := range []struct{ name, path, want string }{
		{"there", dir, ""},
		{"absent", filepath.Join(dir, "x", "y"), ""},
		{"a file", old, "is a file, not a folder"},
		{"a device", os.DevNull, "is a device, not a folder"},
	} {
		err := WritableFolder(c.path)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: WritableFolder(%s) = %v, want %q", c.name, c.path, err, c.want)
		}
	}
	// A file below a file: Linux says ENOTDIR, Windows that the path is absent.
	want := old + " is a file, not a folder"
	if err := Writable(filepath.Join(old, "new.json")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a file below a file: %v", err)
	}
	if err := WritableFolder(filepath.Join(old, "folder")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a folder below a file: %v", err)
	}
	if got := strings.Join(names(t, dir), " "); got != "dangling in link old.json" {
		t.Errorf("the checks left something behind: %s", got)
	}
}

func TestWriteFileReplacesWholeFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "er", "report.json")
	for _, content := range []string{"first, longer", "second"} {
		if err := WriteFile(t.Context(), path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("wrote %q, %v", got, err)
		}
	}
	target := write(t, filepath.Join(dir, "target"), "old")
	link := symlink(t, target, filepath.Join(dir, "link"))
	if err := WriteFile(t.Context(), link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "new" {
		t.Errorf("the target of the link holds %q", got)
	}
	if err := WriteFile(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if got := strings.Join(append(names(t, filepath.Dir(path)), names(t, dir)...), " "); got != "report.json deep link target" {
		t.Errorf("left behind: %s", got)
	}
	if long := filepath.Join(dir, strings.Repeat("n", 250)); WriteFile(t.Context(), long, nil) != nil {
		t.Error("no room for the temporary name of a long one")
	}
}

func TestRenameRefusesAFolderAtOnce(t *testing.T) {
	dir := t.TempDir()
	from := write(t, filepath.Join(dir, "from"), "x")
	if err := os.Mkdir(filepath.Join(dir, "to"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Rename(t.Context(), from, filepath.Join(dir, "to")); err == nil || !strings.Contains(err.Error(), "a folder") {
		t.Errorf("renamed onto a folder: %v", err)
	}
	if err := Rename(t.Context(), from, filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if err := Remove(t.Context(), from); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}

// TestWhileBusy has its own clock: no second of it is real.
func TestWhileBusy(t *testing.T) {
	errHeld := errors.New("held by another program")
	held := func(err error) bool { return errors.Is(err, errHeld) }
	for _, c := range []struct {
		name     string
		free     time.Duration // when the file is free
		other    error         // what is answered then
		cancel   time.Duration
		least    time.Duration
		most     time.Duration
		contains string
	}{
		{name: "free at once"},
		{name: "held for 40 ms", free: 40 * time.Millisecond, least: 40 * time.Millisecond, most: 200 * time.Millisecond},
		{name: "held for 5 s", free: 5 * time.Second, least: 5 * time.Second, most: 7 * time.Second},
		{name: "held for good", free: time.Hour, least: 8 * time.Second, most: busyLimit, contains: "another program has held the file"},
		{name: "another error", other: fs.ErrPermission, contains: fs.ErrPermission.Error()},
		{name: "cancelled", free: time.Hour, cancel: time.Second, least: time.Second, most: time.Second, contains: context.Canceled.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				began := time.Now()
				err := whileBusy(ctx, held, func() error {
					if time.Since(began) < c.free {
						return errHeld
					}
					return c.other
				})
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("took %s, want %s to %s", took, c.least, c.most)
				}
				if (err == nil) != (c.contains == "") || err != nil && !strings.Contains(err.Error(), c.contains) {
					t.Errorf("%v, want %q", err, c.contains)
				}
			})
		})
	}
}

// TestLock has a second process, this program again, which holds the lock
// until it is killed.
func TestLock(t *testing.T) {
	if dir := os.Getenv("HOSTFILE_TEST_LOCK"); dir != "" {
		if _, err := Lock(dir); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(self, "-test.run=^TestLock$")
	other.Env = append(os.Environ(), "HOSTFILE_TEST_LOCK="+dir)
	other.Stderr = os.Stderr
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("a folder that another process holds: %v", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	if got := names(t, dir); len(got) != 1 || got[0] != LockName {
		t.Errorf("the killed process left %q; the next check would show nothing", got)
	}
	release, err := Lock(dir)
	if err != nil {
		t.Fatalf("the lock of a dead process: %v", err)
	}
	if _, err := Lock(filepath.Join(dir, ".")); !errors.Is(err, ErrLocked) {
		t.Errorf("a folder that this process holds: %v", err)
	}
	release()
	release()
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	one, err := LockOutput(filepath.Join(dir, "a.vhd"))
	if err != nil {
		t.Fatal(err)
	}
	defer one()
	two, err := LockOutput(filepath.Join(dir, "b.vhd"))
	if err != nil {
		t.Errorf("another file of the folder: %v", err)
	}
	defer two()
	if _, err := LockOutput(filepath.Join(dir, "a.vhd")); !errors.Is(err, ErrLocked) {
		t.Errorf("a file that is held: %v", err)
	}
}

func TestLockFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	precious := write(t, filepath.Join(dir, "precious"), "content")
	symlink(t, precious, filepath.Join(dir, LockName))
	if _, err := Lock(dir); err == nil {
		t.Error("locked through a link")
	}
	if got, _ := os.ReadFile(precious); string(got) != "content" {
		t.Errorf("the target of the link holds %q", got)
	}
}
