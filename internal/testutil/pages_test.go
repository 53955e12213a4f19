package testutil

import (
	"reflect"
	"testing"
	"testing/fstest"
)

func TestTheBlocksOfAPage(t *testing.T) {
	pages, err := Pages(fstest.MapFS{
		"docs/a.md":             {Data: []byte("# A\r\n\r\n```sh exit=1 once\r\na \\\r\n  b\r\n# no\r\n\r\nc |\r\n  d # e\r\n```\r\n  ```\n  x\n    y\n  ```\n")},
		"build/b.md":            {},
		"x/node_modules/c/d.md": {},
		".web-docs/e.md":        {},
		"f.go":                  {},
	})
	if err != nil || len(pages) != 1 {
		t.Fatalf("%v %v", pages, err)
	}
	blocks := pages[0].Blocks()
	if len(blocks) != 2 {
		t.Fatalf("%+v", blocks)
	}
	first, second := blocks[0], blocks[1]
	if first.Where != "docs/a.md:3" || !first.Shell() || !reflect.DeepEqual(first.Marks, map[string]string{"exit": "1", "once": ""}) {
		t.Errorf("%+v", first)
	}
	if got := first.Commands(); !reflect.DeepEqual(got, []string{"a   b", "c |  d # e"}) {
		t.Errorf("%q", got)
	}
	if second.Shell() || second.Text != "x\n  y\n" || second.Kind != "" {
		t.Errorf("%+v", second)
	}
}
