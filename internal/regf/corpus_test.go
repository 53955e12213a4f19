package regf_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// corpus reads a hive or log of the corpus, unpacked.
func corpus(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(testutil.Corpus(t, "hives", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}

// dump lists keys and values of a tree, one a line, in the notation of
// hivexregedit. keys counts the key nodes.
func dump(h *regf.Hive) (lines []string, keys int, err error) {
	root, err := h.Root()
	if err != nil {
		return nil, 0, err
	}
	var walk func(k *regf.Key, path string) error
	walk = func(k *regf.Key, path string) error {
		keys++
		if keys > 1<<18 || len(path) > 1<<14 {
			return errors.New("tree without end")
		}
		lines = append(lines, "["+max(path, `\`)+"]")
		values, err := k.Values()
		if err != nil {
			return err
		}
		for _, v := range values {
			data, err := v.Data()
			if err != nil {
				return err
			}
			name := "@"
			if v.Name != "" {
				name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.Name) + `"`
			}
			line := fmt.Sprintf("%s %s=hex(%x):", path, name, v.Type)
			if n, err := v.AsDWord(); err == nil && v.Type == regf.TypeDWord {
				line = fmt.Sprintf("%s %s=dword:%08x", path, name, n)
			} else {
				line += strings.ReplaceAll(fmt.Sprintf("% x", data), " ", ",")
			}
			lines = append(lines, line)
		}
		subs, err := k.Subkeys()
		if err != nil {
			return err
		}
		for _, s := range subs {
			if err := walk(s, path+`\`+s.Name()); err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(root, "")
	slices.Sort(lines)
	return lines, keys, err
}

// hivexDump is the same list as hivex makes it.
func hivexDump(t *testing.T, hive []byte) []string {
	t.Helper()
	tool := testutil.Tool(t, "hivexregedit")
	file := filepath.Join(t.TempDir(), "hive")
	if err := os.WriteFile(file, hive, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "--export", file, `\`).Output()
	if err != nil {
		t.Fatalf("hivexregedit: %v", err)
	}
	var lines []string
	path := ""
	for _, line := range strings.Split(string(out), "\n")[1:] {
		if !utf8.ValidString(line) { // Perl prints what fits into Latin-1 as such
			var s strings.Builder
			for i := range len(line) {
				s.WriteRune(rune(line[i]))
			}
			line = s.String()
		}
		switch {
		case line == "":
		case line[0] == '[':
			lines = append(lines, line)
			path = strings.TrimSuffix(line[1:len(line)-1], `\`)
		default:
			lines = append(lines, path+" "+line)
		}
	}
	slices.Sort(lines)
	return lines
}

func firstDifference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("line %d: got %.200q, want %.200q", i, slices.Concat(got, []string{"", ""})[min(i, len(got))], slices.Concat(want, []string{"", ""})[min(i, len(want))])
		}
	}
	return ""
}

// index is the corpus' own list of its hives.
func index(t *testing.T) [][]string {
	t.Helper()
	b, err := os.ReadFile(testutil.Corpus(t, "hives", "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		if row := strings.Split(line, "\t"); !strings.HasPrefix(row[0], "expected/") && !strings.Contains(row[0], ".LOG") {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestEveryCleanHiveOfTheCorpusReadsAsHivexReadsIt(t *testing.T) {
	read := 0
	for _, row := range index(t) {
		name, shows := row[0], row[4]
		_, count, ok := strings.Cut(shows, "hivex opens it: ")
		if !ok || strings.Contains(shows, "DIRTY") {
			continue
		}
		read++
		if strings.HasPrefix(name, "yarp-BadList") || strings.HasPrefix(name, "yarp-InvalidParent") {
			continue // see TestDamagedHivesOfTheCorpusAreToldSo
		}
		t.Run(name, func(t *testing.T) {
			b := corpus(t, name)
			h, err := regf.Open(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			got, keys, err := dump(h)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := strconv.Atoi(strings.TrimSuffix(count, " keys")); err != nil || keys != want {
				t.Errorf("%d keys, want %s", keys, count)
			}
			if d := firstDifference(got, hivexDump(t, b)); d != "" {
				t.Error(d)
			}
		})
	}
	if read < 30 {
		t.Errorf("only %d hives were read", read)
	}
}

func TestDamagedHivesOfTheCorpusAreToldSo(t *testing.T) {
	for _, c := range []struct {
		name, says string
		is         error
	}{
		{"registrytest-NotAHive.gz", "no regf signature", regf.ErrCorrupt},
		{"registrytest-SAMBadHBinHeader.gz", "no hive bin", regf.ErrCorrupt},
		{"regipy-SECURITY.gz", "sequence numbers 107 and 106", regf.ErrDirty},
		{"regipy-SYSTEM_B.gz", "sequence numbers 1622 and 1621", regf.ErrDirty},
		{"yarp-BadBaseBlockHive-BadBaseBlockHive.gz", "base block is damaged", regf.ErrDirty},
		{"yarp-BadListHive.gz", "belongs to", regf.ErrCorrupt},
		{"yarp-InvalidParentHive.gz", "belongs to", regf.ErrCorrupt},
		{"yarp-DeletedDataHiveTruncated.gz", "cell offset 0x100290", regf.ErrCorrupt},
		{"yarp-EffectiveSizeHive.gz", "base block is damaged", regf.ErrDirty},
		{"yarp-GarbageHive.gz", "base block is damaged", regf.ErrDirty},
		{"yarp-NewDirtyHive1-NewDirtyHive.gz", "no log holds an entry", regf.ErrDirty},
		{"yarp-OldDirtyHive-OldDirtyHive.gz", "no log holds an entry", regf.ErrDirty},
		{"yarp-OldLogWithRemnantData.gz", "file type 1", regf.ErrCorrupt},
		{"yarp-TruncatedHive.gz", "the file holds 8192", regf.ErrCorrupt},
		{"yarp-TruncatedHiveBin.gz", "too short", regf.ErrCorrupt},
		{"yarp-TruncatedNameHive.gz", "98 are needed", regf.ErrCorrupt},
	} {
		b := corpus(t, c.name)
		h, err := regf.Open(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, _, err = dump(h)
		}
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Half a surrogate pair in a name is odd, but Windows takes it.
	b := corpus(t, "yarp-TruncatedPairHive.gz")
	h := open(t, b)
	if lines, keys, err := dump(h); err != nil || keys != 4 || !strings.Contains(strings.Join(lines, "\n"), "\uFFFD") {
		t.Errorf("half a pair: %d keys, %v", keys, err)
	}
}

func TestDirtyHivesAreRecoveredAsWindowsRecoveredThem(t *testing.T) {
	for _, c := range []struct {
		name, hive, recovered string
		replayed              int
	}{
		{"logs of Windows 10", "yarp-NewDirtyHive1-NewDirtyHive", "yarp-NewDirtyHive1-RecoveredHive_Windows10", 4},
		{"log of Windows 7", "yarp-OldDirtyHive-OldDirtyHive", "yarp-OldDirtyHive-RecoveredHive_Windows7", 1},
		{"damaged base block", "yarp-BadBaseBlockHive-BadBaseBlockHive", "yarp-OldDirtyHive-RecoveredHive_Windows7", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			log2 := c.hive + ".LOG2"
			if strings.Contains(c.name, "10") {
				log2 += ".gz"
			}
			dirty := open(t, corpus(t, c.hive+".gz"), log(corpus(t, c.hive+".LOG1.gz")), log(corpus(t, log2)))
			if dirty.Clean() || dirty.Replayed() != c.replayed {
				t.Errorf("clean %v, %d entries replayed", dirty.Clean(), dirty.Replayed())
			}
			got, _, err := dump(dirty)
			if err != nil {
				t.Fatal(err)
			}
			windows := corpus(t, c.recovered+".gz")
			want, _, err := dump(open(t, windows))
			if err != nil {
				t.Fatal(err)
			}
			if d := firstDifference(got, want); d != "" {
				t.Error(d)
			}
			if d := firstDifference(got, hivexDump(t, windows)); d != "" {
				t.Error("hivex: ", d)
			}
		})
	}
}

func TestLogsThatCannotBeUsedAreRefused(t *testing.T) {
	for _, c := range []struct{ hive, says string }{
		{"yarp-BadLogHive1-BadLogHive", "base block of transaction log 1 is not valid"},
		{"yarp-BadLogHive2-BadLogHive", "no dirty vector"},
	} {
		b := corpus(t, c.hive+".gz")
		_, err := regf.Open(bytes.NewReader(b), int64(len(b)), log(corpus(t, c.hive+".LOG1.gz")), log(nil))
		if !errors.Is(err, regf.ErrDirty) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.hive, err)
		}
	}
	b := corpus(t, "yarp-NewDirtyHive1-NewDirtyHive.gz")
	_, err := regf.Open(bytes.NewReader(b), int64(len(b)), log(corpus(t, "yarp-NewDirtyHive1-NewDirtyHive.LOG2.gz")))
	if !errors.Is(err, regf.ErrDirty) || !strings.Contains(err.Error(), "the logs begin with entry 3") {
		t.Errorf("a gap before the log: %v", err)
	}
	lost := errors.New("disk lost")
	_, err = regf.Open(bytes.NewReader(b), int64(len(b)), func() ([]byte, error) { return nil, lost })
	if !errors.Is(err, lost) {
		t.Errorf("a log that cannot be read: %v", err)
	}
}

func TestLogsThatDoNotJoinAreRefused(t *testing.T) {
	// Taken from a running machine: 485 entries lie between hive and logs.
	b := corpus(t, "regipy-SYSTEM_B.gz")
	_, err := regf.Open(bytes.NewReader(b), int64(len(b)), log(corpus(t, "regipy-SYSTEM_B.LOG1.gz")), log(corpus(t, "regipy-SYSTEM_B.LOG2.gz")))
	if !errors.Is(err, regf.ErrDirty) || !strings.Contains(err.Error(), "1622 and 1621, the logs begin with entry 2107") {
		t.Error(err)
	}
}

func TestALogOfACleanHiveIsNotRead(t *testing.T) {
	open(t, corpus(t, "regipy-SYSTEM.gz"), func() ([]byte, error) {
		t.Error("the log was read")
		return nil, nil
	})
}
