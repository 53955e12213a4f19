package winsim

import (
	"bytes"
	"context"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// fc is fc.exe with /b: it compares two files byte by byte.
func (g *Guest) fc(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) != 3 || !strings.EqualFold(args[0], "/b") {
		return g.badSyntax(c, "fc")
	}
	var content [2][]byte
	for i, name := range args[1:] {
		full, err := winfs.Clean(name, c.Dir)
		if err == nil {
			content[i], err = g.drive.ReadFile(full)
		}
		if err != nil {
			c.fail("FC: cannot open %s - No such file or folder", strings.ToUpper(name))
			return 2
		}
	}
	c.say("Comparing files %s and %s", args[1], strings.ToUpper(args[2]))
	if !bytes.Equal(content[0], content[1]) {
		c.say("%s longer than %s", args[1], args[2])
		return 1
	}
	c.say("FC: no differences encountered\r\n")
	return 0
}
