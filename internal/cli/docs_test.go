package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// wrongCommands tells which command lines of this program and of make in the shell blocks
// of a page name a command, an option or a target that does not exist.
func wrongCommands(page, targets string) (wrong []string, commands int) {
	fence := regexp.MustCompile("(?ms)^ *```(?:shell|sh|console|bash|powershell)(?: [^\n]*)?\n(.*?)^ *```")
	ours := regexp.MustCompile(`(?:^|[\s|(/&])(packer-plugin-sysprep|make)((?: [^|>&#\n)]+)?)`)
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		text := strings.ReplaceAll(regexp.MustCompile(`(?m)(^|\s)#.*$`).ReplaceAllString(block[1], ""), "\\\n", " ")
		for _, m := range ours.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(strings.NewReplacer("[", "", "]", "", "...", "").Replace(m[2]))
			if len(words) == 0 || strings.Contains(words[0], "/") { // a path that ends so
				continue
			}
			commands++
			if m[1] == "make" {
				for _, target := range words {
					if !strings.Contains(target, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:`).MatchString(targets) {
						wrong = append(wrong, "make "+target)
					}
				}
				continue
			}
			cmd, _, err := newRoot(&call{}).Find(words[:1])
			if err != nil || cmd.Name() != words[0] {
				wrong = append(wrong, words[0])
				continue
			}
			for _, word := range words[1:] {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				switch {
				case strings.HasPrefix(word, "--") && name != "help" && cmd.Flags().Lookup(name) == nil,
					strings.HasPrefix(word, "-") && len(word) == 2 && cmd.Flags().ShorthandLookup(name) == nil:
					wrong = append(wrong, words[0]+" "+word)
				}
			}
		}
	}
	return wrong, commands
}

func TestTheCommandsOfTheDocumentsExist(t *testing.T) {
	targets, err := os.ReadFile(filepath.Join(testutil.Root(), "GNUmakefile"))
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	err = fs.WalkDir(os.DirFS(testutil.Root()), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "build" || name == ".git" || name == ".cache" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(name); d.IsDir() || ext != ".md" && ext != ".mdx" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(testutil.Root(), filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		wrong, commands := wrongCommands(strings.ReplaceAll(string(text), "\r\n", "\n"), string(targets))
		for _, w := range wrong {
			t.Errorf("%s: %s does not exist", name, w)
		}
		all += commands
		return nil
	})
	if err != nil || all < 40 {
		t.Errorf("%d commands were found: %v", all, err)
	}
}

func TestACommandThatDoesNotExistIsFound(t *testing.T) {
	page := "```shell\npacker-plugin-sysprep inspect --for azure a.vhd  # --nope\npacker-plugin-sysprep inspekt a\nx | packer-plugin-sysprep lint --nope -\n" +
		"packer-plugin-sysprep diagnose -Z x && make dev nope X=1\npodman build -t packer-sysprep .\n```\n```text\nmake nothing\n```\n"
	wrong, commands := wrongCommands(page, "dev: build\n")
	if got := strings.Join(wrong, ", "); got != "inspekt, lint --nope, diagnose -Z, make nope" || commands != 5 {
		t.Errorf("%d commands, %q", commands, got)
	}
}

// What the page of sysprep-image shows of inspect is what inspect says of that disk
// (testdata/inspect-refused.txt). A line of a page may be cut by "...".
func TestTheImageOfThePageIsWhatInspectSays(t *testing.T) {
	said, err := os.ReadFile(filepath.Join("testdata", "inspect-refused.txt"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := testutil.Pages(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, page := range pages {
		for _, b := range page.Blocks() {
			if b.Marks["said"] != t.Name() {
				continue
			}
			for line := range strings.Lines(b.Text) {
				lines++
				if line = strings.TrimSuffix(strings.TrimSpace(line), "..."); !strings.Contains(string(said), strings.TrimSpace(line)) {
					t.Errorf("%s: inspect does not say %q", b.Where, line)
				}
			}
		}
	}
	if lines < 8 {
		t.Errorf("%d lines were found", lines)
	}
}
