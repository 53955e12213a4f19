package winsim

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// regArgs are the switches of reg.exe.
type regArgs struct {
	key                  string
	value                *string // /v, or "" for /ve
	data                 string
	kind                 registry.Kind
	force, recursive, va bool
}

// regexe is reg.exe with QUERY, ADD and DELETE.
func (g *Guest) regexe(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) < 2 {
		return g.badSyntax(c, "reg")
	}
	verb := strings.ToLower(args[0])
	a, ok := parseRegArgs(verb, args[1:])
	if !ok {
		return g.badSyntax(c, "reg")
	}
	root, rest, _ := strings.Cut(strings.TrimRight(a.key, `\`), `\`)
	if !strings.EqualFold(root, "HKLM") && !strings.EqualFold(root, "HKEY_LOCAL_MACHINE") {
		g.refuse("reg %s", c.Args)
		c.fail("ERROR: Invalid key name.\r\nType \"REG %s /?\" for usage.", strings.ToUpper(verb))
		return 1
	}
	a.key = `HKEY_LOCAL_MACHINE\` + rest
	if verb == "query" {
		return g.regQuery(c, a)
	}
	if !g.isAdmin(c.user, c.filtered) {
		c.fail("ERROR: Access is denied.")
		return 1
	}
	if verb == "add" {
		return g.regAdd(c, a)
	}
	return g.regDelete(c, a)
}

func parseRegArgs(verb string, args []string) (regArgs, bool) {
	a := regArgs{key: args[0], kind: registry.String}
	seen := map[string]bool{}
	for i := 1; i < len(args); i++ {
		sw := strings.ToLower(args[i])
		if seen[sw] {
			return a, false
		}
		seen[sw] = true
		needs := sw == "/v" || sw == "/t" || sw == "/d"
		if needs {
			if i++; i >= len(args) {
				return a, false
			}
		}
		switch {
		case sw == "/reg:64" && (verb == "query" || verb == "add" || verb == "delete"):
		case sw == "/v" && a.value == nil:
			a.value = &args[i]
		case sw == "/ve" && a.value == nil:
			a.value = new(string)
		case sw == "/s" && verb == "query":
			a.recursive = true
		case sw == "/f" && verb != "query":
			a.force = true
		case sw == "/va" && verb == "delete":
			a.va = true
		case sw == "/t" && verb == "add":
			kind, ok := registry.ParseKind(args[i])
			if !ok {
				return a, false
			}
			a.kind = kind
		case sw == "/d" && verb == "add":
			a.data = args[i]
		default:
			return a, false
		}
	}
	return a, verb == "query" || verb == "add" || verb == "delete"
}

const regNotFound = "ERROR: The system was unable to find the specified registry key or value."

func (g *Guest) regQuery(c *call, a regArgs) int {
	values, keys, err := g.reg.List(a.key)
	if err != nil {
		c.fail(regNotFound)
		return 1
	}
	if a.value != nil {
		v, ok := g.reg.Get(a.key, *a.value)
		if a.recursive {
			return g.badSyntax(c, "reg")
		}
		if !ok {
			c.fail(regNotFound)
			return 1
		}
		c.say("\r\n%s\r\n%s\r\n", a.key, regNamed(v, c.Console.Text("(Default)")))
		return 0
	}
	g.regList(c, a.key, values, keys, a.recursive)
	return 0
}

func (g *Guest) regList(c *call, key string, values []registry.Value, keys []string, recursive bool) {
	if len(values) > 0 {
		c.say("\r\n%s", key)
		for _, v := range values {
			c.say("%s", regNamed(v, c.Console.Text("(Default)")))
		}
	}
	if len(values) > 0 || !recursive {
		c.say("")
	}
	for _, name := range keys {
		below := key + `\` + name
		if !recursive {
			c.say("%s", below)
			continue
		}
		if values, keys, err := g.reg.List(below); err == nil {
			g.regList(c, below, values, keys, true)
		}
	}
}

func regLine(v registry.Value) string { return regNamed(v, "(Default)") }

// regNamed is the line of a value; without a name it has the default one.
func regNamed(v registry.Value, name string) string {
	if v.Name != "" {
		name = v.Name
	}
	var data string
	switch v.Kind {
	case registry.DWord:
		data = fmt.Sprintf("0x%x", v.Number())
	case registry.String, registry.ExpandString:
		data = v.Text()
	case registry.MultiString:
		data = strings.Join(v.Strings(), `\0`)
	default:
		data = strings.ToUpper(hex.EncodeToString(v.Data))
	}
	return "    " + name + "    " + v.Kind.String() + "    " + data
}

func (g *Guest) regAdd(c *call, a regArgs) int {
	if strings.HasPrefix(strings.ToUpper(a.key), `HKEY_LOCAL_MACHINE\HARDWARE\`) && !g.reg.Has(a.key) {
		c.fail("ERROR: Cannot create a stable subkey under a volatile parent key.")
		return 1
	}
	if a.value == nil {
		if a.data != "" || !g.reg.Create(a.key) {
			return g.badSyntax(c, "reg")
		}
		c.say("The operation completed successfully.")
		return 0
	}
	if _, there := g.reg.Get(a.key, *a.value); there && !a.force {
		// It would ask, and nobody answers.
		return g.badSyntax(c, "reg")
	}
	var v registry.Value
	switch a.kind {
	case registry.String:
		v = registry.StringValue(*a.value, a.data)
	case registry.ExpandString:
		v = registry.ExpandValue(*a.value, a.data)
	case registry.MultiString:
		v = registry.MultiValue(*a.value, strings.Split(a.data, `\0`)...)
	case registry.DWord:
		n, err := strconv.ParseUint(a.data, 0, 32)
		if err != nil {
			return g.badSyntax(c, "reg")
		}
		v = registry.DWordValue(*a.value, uint32(n))
	default:
		b, err := hex.DecodeString(a.data)
		if err != nil {
			return g.badSyntax(c, "reg")
		}
		v = registry.Value{Name: *a.value, Kind: registry.Binary, Data: b}
	}
	_, service, isService := strings.Cut(strings.ToLower(a.key), `\currentcontrolset\services\`)
	unread := isService && strings.EqualFold(*a.value, "Start") && g.startMode(service) == "Disabled"
	if !g.reg.Set(a.key, v) {
		return g.badSyntax(c, "reg")
	}
	if unread {
		if err := g.machine.Change(func(s *machinestate.State) { s.Unread = append(s.Unread, service) }); err != nil {
			c.fail("%v", err)
			return 1
		}
	}
	c.say("The operation completed successfully.")
	return 0
}

func (g *Guest) regDelete(c *call, a regArgs) int {
	if !a.force {
		return g.badSyntax(c, "reg") // it would ask
	}
	ok := false
	switch {
	case a.va:
		values, _, err := g.reg.List(a.key)
		for _, v := range values {
			g.reg.DeleteValue(a.key, v.Name)
		}
		ok = err == nil
	case a.value != nil:
		ok = g.reg.DeleteValue(a.key, *a.value)
	default:
		ok = g.reg.DeleteKey(a.key)
	}
	if !ok {
		c.fail(regNotFound)
		return 1
	}
	c.say("The operation completed successfully.")
	return 0
}
