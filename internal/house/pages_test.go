package house

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// unmarked tells which blocks of shell are neither run by a test nor say why not. A block
// without a mark is run by TestTheCommandsOfThePagesRun.
func unmarked(pages []testutil.Page, tests func(name string) bool) (faults []string, blocks int) {
	for _, page := range pages {
		for _, b := range page.Blocks() {
			if !b.Shell() {
				if by, ok := b.Marks["said"]; ok && !tests(by) {
					faults = append(faults, fmt.Sprintf("%s: said=%s is no test", b.Where, by))
				}
				if slices.Contains([]string{"text", "hcl", "json", "xml", "yaml", "go", "ini", "dockerfile"}, b.Kind) {
					continue
				}
				faults = append(faults, fmt.Sprintf("%s: a block of kind %q: name its language; text is for what a program says", b.Where, b.Kind))
				continue
			}
			blocks++
			for mark, value := range b.Marks {
				switch mark {
				case "norun":
					if _, reason := testutil.NotRun[value]; !reason && !tests(value) {
						faults = append(faults, fmt.Sprintf("%s: norun=%s is no reason of testutil.NotRun, and no test", b.Where, value))
					}
				case "exit":
					if !regexp.MustCompile(`^\d+$`).MatchString(value) {
						faults = append(faults, fmt.Sprintf("%s: exit=%s is no exit code", b.Where, value))
					}
				default:
					faults = append(faults, fmt.Sprintf("%s: what does %s mean?", b.Where, mark))
				}
			}
			if _, not := b.Marks["norun"]; !not && b.Kind != "sh" && b.Kind != "shell" {
				faults = append(faults, fmt.Sprintf("%s: commands of %s are not run here: mark it with norun=windows, or write them for sh", b.Where, b.Kind))
			}
		}
	}
	return faults, blocks
}

// testNames has the name of every test of the checkout.
func testNames(t *testing.T) func(string) bool {
	var names []string
	err := fs.WalkDir(os.DirFS(testutil.Root()), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"build", ".git", ".cache", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(testutil.Root(), filepath.FromSlash(name)))
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(bytes.Clone(m[1])))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) bool { return slices.Contains(names, name) }
}

func TestEveryCommandOfThePagesIsRunOrSaysWhyNot(t *testing.T) {
	pages, err := testutil.Pages(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	faults, blocks := unmarked(pages, testNames(t))
	if blocks < 20 {
		t.Errorf("%d blocks were found", blocks)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

func TestACommandThatIsNotRunIsFound(t *testing.T) {
	page := func(fence string) testutil.Page {
		return testutil.Page{Name: "a.md", Text: "```" + fence + "\nx\n```\n"}
	}
	tests := func(name string) bool { return name == "TestIt" }
	for fence, want := range map[string]string{
		"shell": "", "sh exit=1": "", "shell norun=network": "", "shell norun=TestIt": "", "powershell norun=windows": "", "text": "", "hcl": "", "text said=TestIt": "", "text said=TestNone": "is no test",
		"shell norun=TestNone": "no reason", "shell norun": "no reason", "shell norun=lazy": "no reason", "shell exit=x": "no exit code", "shell skip": "what does",
		"powershell": "not run here", "console": "not run here", "": "name its language", "nonsense": "name its language",
	} {
		faults, _ := unmarked([]testutil.Page{page(fence)}, tests)
		if want == "" && len(faults) > 0 || want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)) {
			t.Errorf("%q: %q, want %q", fence, faults, want)
		}
	}
}

// unreached are the pages below a folder that no chain of links leads to from its index.
func unreached(pages []testutil.Page, folder, index string) (names []string) {
	texts := map[string]string{}
	for _, p := range pages {
		texts[p.Name] = p.Text
	}
	seen := map[string]bool{index: true}
	for todo := []string{index}; len(todo) > 0; todo = todo[1:] {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(texts[todo[0]], ""), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if kind, page, ours := strings.Cut(strings.TrimPrefix(target, ourPages), "/"); ours && strings.HasPrefix(target, ourPages) {
				target = path.Join("docs", pagesOf[kind], page+".mdx")
			} else if below, ours := strings.CutPrefix(target, ourFiles+"blob/main/"); ours {
				target = below
			} else {
				target = path.Join(path.Dir(todo[0]), target)
			}
			if _, page := texts[target]; page && !seen[target] {
				seen[target] = true
				todo = append(todo, target)
			}
		}
	}
	for name := range texts {
		if strings.HasPrefix(name, folder) && !seen[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Whoever opens docs/README.md finds every page.
func TestEveryPageIsReachedFromTheIndex(t *testing.T) {
	pages, err := testutil.Pages(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range unreached(pages, "docs/", "docs/README.md") {
		t.Errorf("no link leads to %s from docs/README.md: add it to the index", name)
	}
}

func TestAPageThatNothingLeadsToIsFound(t *testing.T) {
	pages, err := testutil.Pages(fstest.MapFS{
		"docs/README.md":        {Data: []byte("[1](a.md#x) [2](" + ourPages + "builder/vhd) [3](" + ourFiles + "blob/main/docs/c.md)\n```text\n[4](lost.md)\n```\n")},
		"docs/a.md":             {Data: []byte("[5](how/b.md)")},
		"docs/how/b.md":         {Data: []byte("[6](../a.md)")},
		"docs/builders/vhd.mdx": {},
		"docs/c.md":             {},
		"docs/lost.md":          {},
		"other/d.md":            {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(unreached(pages, "docs/", "docs/README.md"), " "); got != "docs/lost.md" {
		t.Errorf("unreached: %s", got)
	}
}
