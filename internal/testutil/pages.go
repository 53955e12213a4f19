package testutil

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Block is a fenced block of a page.
type Block struct {
	// Where is the page and the line of the fence, as page:line.
	Where string
	// Kind is the first word behind the fence, Marks the others: "norun=network",
	// "exit=1". A mark without a value has none.
	Kind  string
	Marks map[string]string
	Text  string
}

// Page is a file in Markdown, by its path with slashes below the root of the checkout.
type Page struct{ Name, Text string }

// Pages are the files of a tree that are written in Markdown, but those of others and what
// is made of them (.web-docs). Line ends are \n.
func Pages(tree fs.FS) (pages []Page, err error) {
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"build", ".git", ".cache", ".web-docs", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		if ext := path.Ext(name); d.IsDir() || ext != ".md" && ext != ".mdx" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		pages = append(pages, Page{name, strings.ReplaceAll(string(text), "\r\n", "\n")})
		return err
	})
	return pages, err
}

var fenced = regexp.MustCompile("(?ms)^( *)```([^\n`]*)\n(.*?)^ *```")

// Blocks are the fenced blocks of a page, without their indentation.
func (p Page) Blocks() (blocks []Block) {
	for _, m := range fenced.FindAllStringSubmatchIndex(p.Text, -1) {
		part := func(i int) string { return p.Text[m[2*i]:m[2*i+1]] }
		b := Block{Where: fmt.Sprintf("%s:%d", p.Name, strings.Count(p.Text[:m[0]], "\n")+1), Marks: map[string]string{}}
		b.Text = strings.TrimPrefix(strings.ReplaceAll("\n"+part(3), "\n"+part(1), "\n"), "\n")
		for i, word := range strings.Fields(part(2)) {
			if i == 0 {
				b.Kind = word
				continue
			}
			key, value, _ := strings.Cut(word, "=")
			b.Marks[key] = value
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// Shell reports whether a block is of commands.
func (b Block) Shell() bool {
	return slices.Contains([]string{"shell", "sh", "bash", "zsh", "console", "powershell", "pwsh", "ps1", "cmd", "bat", "batch"}, b.Kind)
}

// NotRun are the reasons why the commands of a block are not run by a test, as the mark
// norun gives them. A name of a test says that it runs them.
var NotRun = map[string]string{
	"network":   "it asks a server of others",
	"minutes":   "it builds or tests for minutes; CI does it",
	"container": "it needs a container engine",
	"release":   "it needs a release, and none was made yet",
	"windows":   "it needs Windows",
	"checkout":  "it works on the checkout itself",
	"endless":   "it ends when it is stopped",
	"program":   "it needs a program of others that no package of Debian has; it was tried by hand",
}

// Commands are the commands of a block of shell, one each: comments are left out, and
// lines that go on are joined.
func (b Block) Commands() (commands []string) {
	line := ""
	for next := range strings.Lines(b.Text) {
		next = strings.TrimRight(next, "\n")
		if strings.HasPrefix(strings.TrimSpace(next), "#") || line == "" && strings.TrimSpace(next) == "" {
			continue
		}
		line += next
		if before, goesOn := strings.CutSuffix(line, `\`); goesOn {
			line = before
			continue
		}
		if strings.HasSuffix(line, "|") {
			continue
		}
		commands = append(commands, strings.TrimSpace(line))
		line = ""
	}
	if line != "" {
		commands = append(commands, strings.TrimSpace(line))
	}
	return commands
}
