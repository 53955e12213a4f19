package winsim

import (
	"context"
	"regexp"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// grant is one entry of icacls: a SID, how it is inherited, full control.
var grant = regexp.MustCompile(`\A\*(S-1-5-18|S-1-5-32-544):((?:\(OI\))?(?:\(CI\))?)F\z`)

// icacls is icacls.exe as far as it takes everything inherited away and grants
// full control to SYSTEM and Administrators.
func (g *Guest) icacls(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) < 4 || !strings.EqualFold(args[1], "/inheritance:r") || !strings.EqualFold(args[2], "/grant:r") {
		return g.badSyntax(c, "icacls")
	}
	full, err := winfs.Clean(args[0], c.Dir)
	if err != nil || !g.drive.IsFile(full) && !g.drive.IsDir(full) {
		c.fail("%s: The system cannot find the file specified.\r\nSuccessfully processed 0 files; Failed processing 1 files", args[0])
		return 2
	}
	for _, entry := range args[3:] {
		// A file has nobody to inherit to.
		m := grant.FindStringSubmatch(entry)
		if m == nil || m[2] != "" && g.drive.IsFile(full) {
			return g.badSyntax(c, "icacls")
		}
	}
	if !g.isAdmin(c.user, c.filtered) {
		c.fail("%s: Access is denied.\r\nSuccessfully processed 0 files; Failed processing 1 files", args[0])
		return 5
	}
	g.setACL(full, args[3:])
	c.say("processed file: %s\r\nSuccessfully processed 1 files; Failed processing 0 files", args[0])
	return 0
}

func (g *Guest) setACL(full string, entries []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acls[strings.ToLower(full)] = entries
}

// ACL returns what icacls granted on a file or folder since the guest was
// made, nothing when the permissions are inherited ones.
func (g *Guest) ACL(path string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.acls[strings.ToLower(path)]
}
