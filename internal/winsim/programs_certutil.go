package winsim

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// certutil is certutil.exe with -decode, -encode and -hashfile.
func (g *Guest) certutil(_ context.Context, c *call) int {
	args := c.Argv()
	force := slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, "-f") })
	args = slices.DeleteFunc(args, func(a string) bool { return strings.EqualFold(a, "-f") })
	if len(args) != 3 {
		return g.badSyntax(c, "certutil")
	}
	verb := strings.ToLower(args[0])
	from, err := winfs.Clean(args[1], c.Dir)
	if err == nil && verb == "-hashfile" && strings.EqualFold(args[2], "SHA256") {
		return g.certutilHash(c, from)
	}
	if verb != "-decode" && verb != "-encode" {
		return g.badSyntax(c, "certutil")
	}
	var to string
	if err == nil {
		to, err = winfs.Clean(args[2], c.Dir)
	}
	var content []byte
	if err == nil {
		content, err = g.drive.ReadFile(from)
	}
	if err != nil {
		return certutilFails(c, verb, 0x80070002, "The system cannot find the file specified.")
	}
	if !force && g.drive.IsFile(to) {
		return certutilFails(c, verb, 0x80070050, "The file exists.")
	}
	var out []byte
	if verb == "-encode" {
		out = armoured(content)
	} else if out, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(bare(string(content))), "")); err != nil || len(out) == 0 {
		return certutilFails(c, verb, 0x8007000d, "The data is invalid.")
	}
	if err := g.drive.WriteFile(to, out); err != nil {
		return certutilFails(c, verb, 0x80070005, "Access is denied.")
	}
	c.say("Input Length = %d\r\nOutput Length = %d\r\nCertUtil: %s command completed successfully.", len(content), len(out), verb)
	return 0
}

func (g *Guest) certutilHash(c *call, path string) int {
	sum, err := g.hash(path)
	if info, statErr := g.drive.Stat(path); statErr == nil && info.Size() == 0 {
		return certutilFails(c, "-hashfile", 0x800703ee, "The volume for a file has been externally altered so that the opened file is no longer valid.")
	}
	if err != nil {
		return certutilFails(c, "-hashfile", 0x80070002, "The system cannot find the file specified.")
	}
	if g.scenario.release().kernel != "10.0" { // blanks between the bytes
		var b strings.Builder
		for i := 0; i < len(sum); i += 2 {
			b.WriteString(sum[i:i+2] + " ")
		}
		sum = strings.TrimSpace(b.String())
	}
	c.say("SHA256 hash of %s:\r\n%s\r\nCertUtil: -hashfile command completed successfully.", path, sum)
	return 0
}

func certutilFails(c *call, verb string, code uint32, text string) int {
	c.say("CertUtil: %s command FAILED: 0x%08x\r\nCertUtil: %s", verb, code, text)
	return int(int32(code))
}

const (
	armourBegin = "-----BEGIN CERTIFICATE-----"
	armourEnd   = "-----END CERTIFICATE-----"
)

func armoured(content []byte) []byte {
	text := base64.StdEncoding.EncodeToString(content)
	var b strings.Builder
	b.WriteString(armourBegin + "\r\n")
	for len(text) > 0 {
		n := min(64, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	b.WriteString(armourEnd + "\r\n")
	return []byte(b.String())
}

func bare(text string) string {
	return strings.NewReplacer(armourBegin, "", armourEnd, "").Replace(text)
}
