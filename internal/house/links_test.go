package house

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

const (
	ourFiles = "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/"
	ourPages = "/packer/integrations/packer-plugin-sysprep/sysprep/latest/components/"
)

// pagesOf is where the pages of components at HashiCorp come from.
var pagesOf = map[string]string{"builder": "builders", "provisioner": "provisioners", "post-processor": "post-processors"}

var (
	link     = regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)`)
	fence    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code     = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	included = regexp.MustCompile(`(?m)^@include '([^']+)'`)
	titled   = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	unslug   = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// slug is the anchor that GitHub makes of a heading.
func slug(text string) string {
	text = titled.ReplaceAllString(text, "$1")
	return strings.ReplaceAll(unslug.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}

// brokenLinks tells which links of the pages in tree lead nowhere, one line each.
// Addresses of others are not fetched.
func brokenLinks(tree fs.FS) (faults []string, links int, err error) {
	texts := map[string]string{}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "build" || name == ".cache" || name == ".git" || d.Name() == "node_modules" || name == ".web-docs") {
			return fs.SkipDir
		}
		if ext := path.Ext(name); !d.IsDir() && (ext == ".md" || ext == ".mdx") {
			text, err := fs.ReadFile(tree, name)
			if err != nil {
				return err
			}
			texts[name] = string(text)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	// A part is judged in the page that includes it.
	for name, text := range texts {
		texts[name] = fence.ReplaceAllString(included.ReplaceAllStringFunc(text, func(line string) string {
			return texts[path.Join("docs-partials", included.FindStringSubmatch(line)[1])]
		}), "")
	}
	maps.DeleteFunc(texts, func(name, _ string) bool { return strings.HasPrefix(name, "docs-partials/") })
	known := map[string][]string{}
	anchors := func(name string) []string {
		all, ok := known[name]
		if !ok {
			for _, m := range heading.FindAllStringSubmatch(texts[name], -1) {
				all = append(all, slug(m[1]))
			}
			known[name] = all
		}
		return all
	}
	for name, text := range texts {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			links++
			target, anchor, _ := strings.Cut(m[1], "#")
			switch {
			case strings.HasPrefix(target, ourFiles+"blob/main/"), strings.HasPrefix(target, ourFiles+"tree/main/"):
				_, target, _ = strings.Cut(strings.TrimPrefix(target, ourFiles), "/main/")
			case strings.HasPrefix(target, ourPages):
				kind, page, _ := strings.Cut(strings.TrimPrefix(target, ourPages), "/")
				target = path.Join("docs", pagesOf[kind], page+".mdx")
			case strings.HasPrefix(target, "https://"), strings.HasPrefix(target, "/packer/"):
				continue
			case strings.Contains(target, ":"):
				faults = append(faults, fmt.Sprintf("%s: %s is no https address", name, m[1]))
				continue
			case target == "":
				target = name
			default:
				target = path.Join(path.Dir(name), target)
			}
			if _, err := fs.Stat(tree, target); err != nil {
				faults = append(faults, fmt.Sprintf("%s: %s leads to no file", name, m[1]))
			} else if anchor != "" && texts[target] != "" && !slices.Contains(anchors(target), anchor) {
				faults = append(faults, fmt.Sprintf("%s: %s has no such heading", name, m[1]))
			}
		}
	}
	slices.Sort(faults)
	return faults, links, nil
}

func TestEveryLinkOfTheDocumentsLeadsSomewhere(t *testing.T) {
	faults, links, err := brokenLinks(os.DirFS(testutil.Root()))
	if err != nil || links < 100 {
		t.Fatalf("%d links: %v", links, err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	tree := fstest.MapFS{
		"docs/b.md":              {Data: []byte("# Page `b`\n## How, and why?\n```\n# none\n```\n")},
		"docs/builders/vhd.mdx":  {Data: []byte("# vhd\n\n@include 'x/y.mdx'\n")},
		"docs-partials/x/y.mdx":  {Data: []byte("### In a part\n[8](#vhd) [9](#in-the-other-page)\n")},
		"docs/good.md":           {Data: []byte("[1](b.md#how-and-why) [2](b.md#page-b) [3](https://example.com/x(y)) [4](" + ourPages + "builder/vhd#in-a-part) [5](" + ourFiles + "blob/main/docs/b.md) `[6](none.md)`\n```\n[7](none.md)\n```\n")},
		"docs/bad.md":            {Data: []byte("[1](none.md) [2](b.md#nope) [3](http://example.com) [4](" + ourPages + "builder/none) [5](" + ourFiles + "blob/main/none.md) [6](#nope)\n")},
		"node_modules/x/read.md": {Data: []byte("[1](none.md)\n")},
	}
	faults, links, err := brokenLinks(tree)
	if err != nil || links != 13 || len(faults) != 7 {
		t.Errorf("%d links: %v\n%s", links, err, strings.Join(faults, "\n"))
	}
	for _, fault := range faults {
		if !strings.HasPrefix(fault, "docs/bad.md: ") && fault != "docs/builders/vhd.mdx: #in-the-other-page has no such heading" {
			t.Error(fault)
		}
	}
}
